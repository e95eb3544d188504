"""A process is killed at a named moment of its work, and what comes of it is what is promised for that moment.

Those at which the promise differs; `python -m tests.faults --each` does it at every point there is, on both stores.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.process.lab import Lab, wait_for
from tests.process.yard import Yard, open_yard

from penstock.query import Query
from penstock.states import State

pytestmark = pytest.mark.process

JOBS = """
    import fcntl

    class Small(Job):
        collect_output = True
        destroy_on_complete = False

        def perform(self):
            note("small", os.getpid())
            return os.getpid()

    class Held(Job):
        collect_output = True
        destroy_on_complete = False

        def perform(self):
            with open("held", "w") as held:
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    note("twice")
                note("held", os.getppid())
                wait_until_told("go")
            return os.getppid()

    class Turned(BatchJob):
        slice_size = 10
        collect_output = True
        destroy_on_complete = False

        def before_batch(self):
            note("before")

        def perform(self, line):
            note("record", self.record_number)
            return line[::-1]

        def after_batch(self):
            note("after")

    class Ticking(Cron, Job):
        cron_schedule = "* * * * * *"

        def perform(self):
            note("tick", self.scheduled_at.isoformat())
"""
LINES = 60
PASSAGES = {"in_slice": 37, "in_settle": 2}
"""In the midst of the fourth slice; and behind before_batch, which is a piece of work too."""
UPLOAD = "job = Turned(); job.upload('in.txt'); job.save(); print(job.id)"


@pytest.fixture
def yard(lab: Lab) -> Iterator[Yard]:
    lab.path("marks").mkdir()
    lab.extra["PENSTOCK_FAULT_MARKS"] = str(lab.path("marks"))
    with open_yard(lab, JOBS) as made:
        yield made


def serve_until_killed(yard: Yard, point: str, passage: int = 1) -> None:
    """Start a server that is killed at a point, or its worker; where it was the server, start another."""
    yard.lab.extra["PENSTOCK_FAULT"] = f"{point}:kill:{passage}"
    server = yard.serve()
    del yard.lab.extra["PENSTOCK_FAULT"]
    wait_for(lambda: yard.lab.path(f"marks/{point}").exists(), f"the passage of {point}")
    wait_for(lambda: server.process.poll() is not None or "killed by SIGKILL" in server.err, "the end of a process")
    if server.process.poll() is not None:
        assert server.process.returncode == -signal.SIGKILL
        yard.servers.remove(server)
        yard.serve()


@pytest.mark.parametrize(
    ("point", "performed", "crashes"),
    [
        ("before_perform", 1, 1),
        ("in_perform", 1, 1),
        ("after_perform", 2, 1),
        ("after_send", 1, 0),
        ("after_claim", 1, 0),
        ("in_settle", 2, 0),
        ("after_settle", 1, 0),
    ],
)
def test_a_job_whose_process_is_killed_is_performed_once_more_unless_its_result_was_stored(
    yard: Yard, point: str, performed: int, crashes: int
) -> None:
    (job_id,) = yard.create("Small.create()")
    serve_until_killed(yard, point)
    yard.await_states(State.COMPLETED, job_id)
    row = yard.row(job_id)
    assert len(yard.notes("small")) == performed
    assert row.crash_count == crashes
    assert row.attempt == (2 if performed == 2 or crashes or point == "after_claim" else 1)
    assert yard.lab.show(str(job_id))["result"] == int(yard.notes("small")[-1][1])


@pytest.mark.parametrize("point", ["in_slice", "in_settle", "before_complete", "in_before_batch", "after_after_batch"])
def test_a_batch_job_has_each_output_once_and_in_order_and_its_hooks_run_whatever_is_killed(
    yard: Yard, point: str
) -> None:
    lines = yard.lab.lines("in.txt", LINES)
    job_id = yard.python(UPLOAD)
    serve_until_killed(yard, point, PASSAGES.get(point, 1))
    yard.python("Turned.query.where(id=sys.argv[1]).first().wait(60).download('out.txt')", job_id)
    assert yard.lab.path("out.txt").read_text("utf-8") == "".join(f"{line[::-1]}\n" for line in lines)
    checked = yard.lab.check(job_id)
    assert (checked["processed"], checked["outputs"], checked["failed"]) == (LINES, {"main": LINES}, 0)
    performed = Counter(int(number) for _, number in yard.notes("record"))
    assert sorted(performed) == list(range(1, LINES + 1))
    if point == "in_slice":
        again = {number for number, count in performed.items() if count > 1}
        assert len(again) <= 30, "more than the slices that the worker held began anew"
    before, after = len(yard.notes("before")), len(yard.notes("after"))
    assert (before, after) == (1, 2 if point == "after_after_batch" else 1)


@pytest.mark.parametrize("point", ["in_upload"])
def test_a_job_whose_upload_is_killed_is_never_processed_and_not_seen(yard: Yard, point: str) -> None:
    yard.lab.lines("in.txt", 150_000)  # More than are stored in one transaction.
    server = yard.serve()
    yard.worker(server)
    client = yard.lab.start_python(f"from jobs import *\n{UPLOAD}", env={"PENSTOCK_FAULT": f"{point}:kill"})
    assert client.end().code == -signal.SIGKILL
    (job_id,) = yard.create("Small.create()")
    yard.await_states(State.COMPLETED, job_id)
    assert yard.notes("record") == []
    assert [job["kind"] for job in yard.lab.jobs()] == ["Small"]


@pytest.mark.parametrize("point", ["before_rename", "after_rename"])
def test_a_run_that_is_killed_while_it_writes_leaves_a_whole_output_or_none_and_goes_on(lab: Lab, point: str) -> None:
    lab.module(
        "jobs", "from penstock import BatchJob\nclass T(BatchJob):\n    perform = staticmethod(lambda s: s[::-1])\n"
    )
    expected = "".join(f"{line[::-1]}\n" for line in lab.lines("in.txt", 1_000))
    killed = lab.run("jobs:T", "--input", "in.txt", "--output", "out.txt", env={"PENSTOCK_FAULT": f"{point}:kill"})
    assert killed.code == -signal.SIGKILL
    assert lab.path("out.txt").exists() is (point == "after_rename")
    if point == "after_rename":
        assert lab.path("out.txt").read_text("utf-8") == expected
    resumed = lab.run("--resume", "--app", "jobs", "--output", "out.txt")
    assert resumed.code == 0, resumed.err
    assert lab.path("out.txt").read_text("utf-8") == expected
    assert lab.litter() == []


@pytest.mark.parametrize("point", ["before_succession"])
def test_a_scheduled_job_that_is_killed_while_it_hands_on_has_exactly_one_next(yard: Yard, point: str) -> None:
    yard.python("Ticking.ensure()")
    serve_until_killed(yard, point)
    yard.await_notes("tick", 3)
    alive = Query(kinds=("Ticking",), states=(State.QUEUED, State.RUNNING))
    wait_for(lambda: yard.store.count_jobs(alive) == 1, "one that is to come")
    meant = [line[1] for line in yard.notes("tick")]
    assert len(set(meant)) == len(meant), "one time came twice"


def test_a_server_that_is_killed_while_it_takes_over_from_another_leaves_it_to_the_next(yard: Yard) -> None:
    (job_id,) = yard.create("Held.create()")
    first = yard.serve()
    yard.await_notes("held")
    yard.kill(first)
    yard.lab.extra["PENSTOCK_FAULT"] = "in_rescue:kill"
    second = yard.serve()
    del yard.lab.extra["PENSTOCK_FAULT"]
    assert second.end().code == -signal.SIGKILL
    yard.servers.remove(second)
    yard.tell("go")
    yard.serve()
    yard.await_states(State.COMPLETED, job_id)
    assert len(yard.notes("held")) == 2


def test_workers_whose_dispatcher_is_killed_end_before_another_server_runs_their_work(yard: Yard) -> None:
    (job_id,) = yard.create("Held.create()")
    first = yard.serve()
    worker = yard.worker(first)
    yard.await_notes("held")
    yard.serve()
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    yard.servers.remove(first)
    yard.await_notes("held", 2)
    wait_for(lambda: worker not in yard.lab.living(), "the end of the worker")
    yard.tell("go")
    yard.await_states(State.COMPLETED, job_id)
    assert yard.notes("twice") == []


def test_a_server_that_was_suspended_loses_its_work_and_what_it_returns_afterwards_is_refused(yard: Yard) -> None:
    yard.lab.extra["PENSTOCK_DEAD_AFTER"] = "2"
    (job_id,) = yard.create("Held.create()")
    first = yard.serve()
    yard.await_notes("held")
    os.killpg(first.process.pid, signal.SIGSTOP)
    second = yard.serve()
    yard.await_notes("held", 2)
    yard.tell("go")
    yard.await_states(State.COMPLETED, job_id)
    stored = yard.lab.show(str(job_id))["result"]
    os.killpg(first.process.pid, signal.SIGCONT)
    ended = first.end()
    yard.servers.remove(first)
    assert ended.code != 0
    assert "was taken for dead" in ended.err
    assert stored == second.process.pid
    assert yard.lab.show(str(job_id))["result"] == stored
    assert yard.row(job_id).attempt == 2
