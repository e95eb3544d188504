"""Bytes from anybody on the sockets of a server, and ends that race each other."""

import os
import random
import socket
from pathlib import Path
from uuid import UUID

import pytest
from tests.process.lab import Lab
from tests.process.yard import Yard, open_yard

from penstock.states import State

pytestmark = pytest.mark.process

TIMED = 20
"""Jobs by which it is told how long one takes here."""

JOBS = """
    class Quick(Job):
        destroy_on_complete = False

        def perform(self):
            note("quick", self.id)

        @hooks.after_complete
        def tell_completed(self):
            note("completed", self.id)

        @hooks.after_abort
        def tell_aborted(self):
            note("aborted", self.id)
"""


@pytest.fixture
def yard(lab: Lab):
    with open_yard(lab, JOBS) as found:
        yield found


def sockets(yard: Yard) -> list[Path]:
    """Return the sockets of those who listen for changes of the store."""
    return [path for path in yard.lab.folder.rglob("*") if path.is_socket()]


@pytest.mark.sqlite("on PostgreSQL a server has no socket: it is woken by its database")
def test_whatever_is_sent_to_the_sockets_of_a_server_it_lives_and_works(yard: Yard) -> None:
    server = yard.serve()
    worker = yard.worker(server)
    (first,) = yard.create("Quick.create()")
    yard.await_states(State.COMPLETED, first)
    chance = random.Random(38)
    listening = sockets(yard)
    assert listening
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hostile:
        hostile.setblocking(False)
        for path in listening:
            folder = os.open(path.parent, os.O_RDONLY)  # A short name: that of a socket has about 100 bytes at most.
            try:
                for size in (0, 1, 2, 100, 4096, 65_536, 200_000):
                    for _ in range(50):
                        try:
                            hostile.sendto(chance.randbytes(size), f"/proc/self/fd/{folder}/{path.name}")
                        except OSError:
                            break  # It is full, or takes no such size.
            finally:
                os.close(folder)
    jobs = yard.create(*["Quick.create()"] * 20)
    yard.await_states(State.COMPLETED, *jobs)
    assert yard.worker(server) == worker
    assert len(yard.notes("quick")) == 21


def test_of_an_abort_and_a_completion_that_race_one_wins_and_its_hooks_run_once(yard: Yard) -> None:
    yard.serve(workers=4, processes=2)
    printed = yard.python(
        """
        import random
        from penstock.errors import InvalidMove
        chance = random.Random(55)
        took = []
        for _ in range(int(sys.argv[1])):
            began = time.monotonic()
            Quick.create().wait(60)
            took.append(time.monotonic() - began)
        usual = sorted(took)[len(took) // 2]
        lost = 0
        for _ in range(150):
            job = Quick.create()
            time.sleep(chance.uniform(0, 1.5 * usual))
            try:
                job.abort()
            except InvalidMove:
                lost += 1
            print(job.id)
        print(lost)
        """,
        str(TIMED),
    ).split()
    *job_ids, lost = printed
    ended = {job.id: job.state for job in map(yard.row, map(UUID, job_ids))}
    assert set(ended.values()) == {State.COMPLETED, State.ABORTED}, "no race at all"
    assert sum(state is State.COMPLETED for state in ended.values()) == int(lost)
    for state, word in ((State.COMPLETED, "completed"), (State.ABORTED, "aborted")):
        wanted = sorted(str(job_id) for job_id, its in ended.items() if its is state)
        yard.await_notes(word, len(wanted) + (TIMED if state is State.COMPLETED else 0))
        assert sorted(line[1] for line in yard.notes(word) if UUID(line[1]) in ended) == wanted
