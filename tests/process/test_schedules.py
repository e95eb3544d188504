"""Jobs that come back by a schedule, on real servers that are killed: always exactly one is to come."""

import json
import os
import signal
from collections.abc import Iterator

import pytest
from tests.process.lab import Lab, wait_for
from tests.process.yard import Yard, open_yard

from penstock.query import Query
from penstock.states import State

pytestmark = pytest.mark.process

JOBS = """
    from datetime import datetime, timezone

    class Ticking(Cron, Job):
        cron_schedule = "* * * * * *"
        destroy_on_complete = True
        number: int = field(1, copy_on_restart=True)

        def perform(self):
            note("tick", self.id, self.scheduled_at.isoformat(), datetime.now(timezone.utc).isoformat())
            if told("break"):
                raise ValueError("broken")

        def after_complete(self):
            note("after", self.id)
            if told("kill") and once(f"killed.{self.id}"):
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)

    class TickingLines(Cron, BatchJob):
        cron_schedule = "* * * * * *"

        def before_batch(self):
            self.upload(["a", "b"])

        def perform(self, record):
            note("record", record)

    class Endless(Restart, Job):
        def perform(self):
            note("again", self.id)
            time.sleep(0.01)
            if told("stop"):
                self.expires_at = datetime.now(timezone.utc)
"""


@pytest.fixture
def yard(lab: Lab) -> Iterator[Yard]:
    with open_yard(lab, JOBS) as made:
        yield made


def to_come(yard: Yard, kind: str = "Ticking") -> int:
    """Return how many jobs of the kind are to come, or run, or have hooks due that may make the next."""
    query = Query(kinds=(kind,), states=(State.QUEUED, State.RUNNING, State.PAUSED))
    return yard.store.count_jobs(query)


def due(yard: Yard, kind: str = "Ticking") -> int:
    """Return how many jobs have ended whose hooks are still to make the next.

    One that was killed behind that has its hooks due too, and they find that it is made.
    """
    query = Query(kinds=(kind,), states=(State.COMPLETED, State.FAILED, State.ABORTED))
    ended = list(yard.store.find_jobs(query))
    return sum(row.pending_hooks is not None and not json.loads(row.fields).get("succeeded_by") for row in ended)


def test_it_ticks_each_time_once_and_exactly_one_is_to_come(yard: Yard) -> None:
    yard.python("Ticking.ensure()")
    for _ in range(2):
        yard.serve()
    ticks = yard.await_notes("tick", 4)
    meant = [line[2] for line in ticks]
    assert len(set(meant)) == len(meant), "one time came twice"
    assert meant == sorted(meant)
    assert all(line[3] >= line[2] for line in ticks), "it ran before its time"
    wait_for(lambda: (to_come(yard), due(yard)) == (1, 0), "the next")


def test_deploys_that_ensure_it_again_and_again_make_no_second(yard: Yard) -> None:
    server = yard.serve()
    for count in range(3):
        yard.python("for _ in range(10): Ticking.ensure()")
        yard.await_notes("tick", count + 1)
    yard.stop(server)
    assert to_come(yard) + due(yard) == 1


@pytest.mark.parametrize("what", ["worker", "server"])
def test_killed_between_its_end_and_the_next_instance_there_is_exactly_one_next(yard: Yard, what: str) -> None:
    yard.python("Ticking.ensure()")
    if what == "worker":
        yard.tell("kill")
        yard.serve()
        yard.await_notes("after", 6)  # Each twice: the first time it is killed in the hook.
    else:
        for count in range(1, 4):
            server = yard.serve()
            yard.await_notes("after", count)
            yard.kill(server)  # Perhaps before the next was made, perhaps after.
        yard.serve()
        yard.await_notes("tick", 5)
    yard.lab.path("kill").unlink(missing_ok=True)
    wait_for(lambda: (to_come(yard), due(yard)) == (1, 0), "the next")
    meant = [line[2] for line in yard.notes("tick")]
    performed = {line[1] for line in yard.notes("tick")}
    assert len(set(meant)) == len(performed), "one time came as two jobs"


def test_server_groups_killed_at_any_moment_leave_exactly_one_to_come(yard: Yard) -> None:
    yard.python("Ticking.ensure()")
    for count in range(6):
        server = yard.serve()
        yard.await_notes("tick", 1 + len(yard.notes("tick")))
        if count % 2:
            wait_for(lambda: len(yard.notes("after")) >= 1, "a hook")
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        yard.servers.remove(server)
        assert to_come(yard) + due(yard) == 1
    server = yard.serve()
    before = len(yard.notes("tick"))
    yard.await_notes("tick", before + 2)
    yard.stop(server)
    assert to_come(yard) + due(yard) == 1


def test_one_that_fails_hands_on_and_stays_to_be_seen(yard: Yard) -> None:
    yard.tell("break")
    yard.python("Ticking.ensure()")
    server = yard.serve()
    yard.await_notes("tick", 2)
    os.unlink(yard.lab.path("break"))
    yard.await_notes("after")
    yard.stop(server)
    counts = yard.store.count_by_state(Query(kinds=("Ticking",)))
    assert counts[State.FAILED] >= 2
    assert (to_come(yard), due(yard)) == (1, 0)
    failed = next(yard.store.find_jobs(Query(states=(State.FAILED,))))
    assert '"cron_schedule":null' in failed.fields


def test_a_batch_job_comes_back_too(yard: Yard) -> None:
    yard.python("TickingLines.ensure()")
    server = yard.serve()
    yard.await_notes("record", 6)
    yard.stop(server)
    assert to_come(yard, "TickingLines") + due(yard, "TickingLines") == 1
    records = [line[1] for line in yard.notes("record")]
    assert records.count("a") - records.count("b") in (0, 1)


def test_times_missed_while_nothing_ran_come_once(yard: Yard) -> None:
    yard.python("Ticking.ensure()")
    (row,) = yard.store.find_jobs(Query(kinds=("Ticking",)))
    assert row.run_at is not None
    from datetime import timedelta

    yard.store.update_job(row.id, {"run_at": row.run_at - timedelta(days=1)})
    server = yard.serve()
    first, second = yard.await_notes("tick", 2)[:2]
    assert first[1] == str(row.id)
    assert second[2] > first[3]  # Planned from when the late one ended, not for each second of the day.
    yard.stop(server)


def test_a_restarting_job_runs_one_at_a_time_on_two_servers_until_it_expires(yard: Yard) -> None:
    yard.create("Endless.create()")
    for _ in range(2):
        yard.serve()
    for _ in range(20):
        assert to_come(yard, "Endless") <= 1
        yard.await_notes("again", len(yard.notes("again")) + 1)
    yard.tell("stop")
    wait_for(lambda: yard.store.count_jobs(Query(kinds=("Endless",))) == 0, "its end")
    ids = [line[1] for line in yard.notes("again")]
    assert len(ids) == len(set(ids))
