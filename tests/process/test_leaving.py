"""A program that uses a store ends when it is through, whoever holds the store's lock at that moment."""

import fcntl
import subprocess
import sys

import pytest
from tests.process.lab import Lab, wait_for

pytestmark = [pytest.mark.process, pytest.mark.sqlite("a write lock that another program holds")]

JOBS = """
    from penstock import Job

    class Nothing(Job):
        def perform(self):
            pass
"""


def test_a_program_ends_though_the_write_lock_is_held_by_another_while_it_leaves(lab: Lab) -> None:
    lab.module("jobs", JOBS)
    program = subprocess.Popen(
        [sys.executable, "-c", "import jobs; jobs.Nothing.create(); print('saved', flush=True); input()"],
        cwd=lab.folder,
        env=lab.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    lab.started.append(program)
    assert program.stdin
    assert program.stdout
    assert program.stdout.readline() == b"saved\n"
    with lab.path("penstock.db-lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        program.stdin.write(b"leave\n")
        program.stdin.flush()
        # It ends at once, or waits for the lock, which it then gets.
        wait_for(lambda: program.poll() is not None or waits_for_lock(program.pid), "its end, or its waiting")
    _, err = program.communicate(timeout=20)
    assert (program.returncode, err) == (0, b"")


def waits_for_lock(pid: int) -> bool:
    """Tell whether the kernel has a flock of this process waiting (proc_locks(5))."""
    with open("/proc/locks") as locks:
        return any("->" in line and f" {pid} " in line for line in locks)
