"""Automatic retries by real servers, killed or not: as many tries as were asked for, and nothing lost of batch jobs."""

import itertools
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import pytest
from tests.process.lab import Lab, wait_for
from tests.process.yard import Yard, open_yard

from penstock.states import State

pytestmark = pytest.mark.process

JOBS = """
    from datetime import datetime, timezone

    class Flaky(Retry, Job):
        destroy_on_complete = False
        retry_limit = 4
        good_at: int = 1000
        wait_seconds: float = 0.1

        def retry_delay(self, failures):
            return self.wait_seconds

        def perform(self):
            note("try", self.id, datetime.now(timezone.utc).isoformat(), len(self.failed_at_list))
            if len(self.failed_at_list) + 1 < self.good_at:
                raise OSError(f"failure {len(self.failed_at_list) + 1}")

    class Reluctant(Flaky):
        retry_rules = {OSError: 1, ValueError: 3}

    class Lines(Retry, BatchJob):
        destroy_on_complete = False
        collect_output = True
        slice_size = 5
        retry_limit = 3

        def retry_delay(self, failures):
            return 0.1

        def perform(self, record):
            note("record", record)
            if record % 7 == 0:
                for time_ in (1, 2):  # Bad the first two times.
                    if once(f"seen.{record}.{time_}"):
                        raise ValueError(f"bad {record}")
            time.sleep(0.001)
            return record * 10

    class Hopeless(Lines):
        def perform(self, record):
            note("record", record)
            if record == 3:
                raise ValueError("never")
            return record
"""


@pytest.fixture
def yard(lab: Lab) -> Iterator[Yard]:
    with open_yard(lab, JOBS) as made:
        yield made


def upload(yard: Yard, count: int, cls: str = "Lines") -> UUID:
    program = f"job = {cls}()\njob.upload(range(1, {count} + 1))\nprint(job.save().id)"
    return UUID(yard.python(program))


def fields(yard: Yard, job_id: UUID) -> dict:
    found: dict = json.loads(yard.row(job_id).fields)
    return found


def tries(yard: Yard, job_id: UUID) -> list[list[str]]:
    return [line for line in yard.notes("try") if line[1] == str(job_id)]


def has_failed_for_good(yard: Yard, job_id: UUID) -> bool:
    row = yard.row(job_id)
    return row.state is State.FAILED and row.pending_hooks is None


def test_jobs_that_always_fail_are_each_tried_as_often_as_they_say_by_two_servers(yard: Yard) -> None:
    job_ids = yard.create(*[f"Flaky.create(retry_limit={limit})" for limit in (0, 1, 2, 3, 4) * 4])
    for _ in range(2):
        yard.serve()
    wait_for(lambda: all(has_failed_for_good(yard, job_id) for job_id in job_ids), "their ends")
    for job_id, limit in zip(job_ids, (0, 1, 2, 3, 4) * 4, strict=True):
        found = tries(yard, job_id)
        assert len(found) == limit + 1
        row = yard.row(job_id)
        assert (row.failure_count, row.crash_count) == (limit + 1, 0)
        stored = fields(yard, job_id)
        assert stored["errors"] == [f"OSError: failure {n}" for n in range(1, limit + 2)]
        assert len(stored["failed_at_list"]) == limit + 1
        # Never sooner than was said.
        moments = [datetime.fromisoformat(line[2]) for line in found]
        pauses = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(moments)]
        assert all(pause >= 0.1 for pause in pauses), pauses


def test_a_rule_for_an_exception_holds(yard: Yard) -> None:
    (job_id,) = yard.create("Reluctant.create()")
    yard.serve()
    wait_for(lambda: has_failed_for_good(yard, job_id), "its end")
    assert len(tries(yard, job_id)) == 2


def test_tries_are_counted_over_the_deaths_of_servers_which_take_none(yard: Yard) -> None:
    (job_id,) = yard.create("Flaky.create(retry_limit=6, wait_seconds=0.3)")
    for count in range(1, 4):
        server = yard.serve(workers=1)
        wait_for(lambda count=count: yard.row(job_id).failure_count >= count, "another failure")
        yard.kill(server)
    yard.serve(workers=1)
    wait_for(lambda: has_failed_for_good(yard, job_id), "its end")
    found = tries(yard, job_id)
    # A try whose server was killed before it could be stored was run again under its number.
    assert sorted({int(line[3]) for line in found}) == list(range(7))
    assert len(fields(yard, job_id)["failed_at_list"]) == 7
    assert yard.row(job_id).failure_count == 7


def test_one_that_succeeds_in_the_end_is_completed_and_shows_no_exception(yard: Yard) -> None:
    (job_id,) = yard.create("Flaky.create(good_at=3)")
    yard.serve()
    yard.await_states(State.COMPLETED, job_id)
    row = yard.row(job_id)
    assert (row.failure_count, row.exception) == (2, None)
    assert fields(yard, job_id)["errors"] == ["OSError: failure 1", "OSError: failure 2"]


def test_the_failed_slices_of_a_batch_job_are_retried_by_themselves_and_all_is_there_in_order(yard: Yard) -> None:
    job_id = upload(yard, 200)
    for _ in range(2):
        yard.serve()
    yard.await_states(State.COMPLETED, job_id)
    told = yard.python(f"print(list(Lines.query.where(id='{job_id}').first().output.records()))")
    assert json.loads(told) == [10 * n for n in range(1, 201)]
    performed = Counter(int(line[1]) for line in yard.notes("record"))
    assert {record for record, count in performed.items() if count != 1} == {n for n in range(1, 201) if n % 7 == 0}
    assert {count for record, count in performed.items() if record % 7 == 0} == {3}
    checked = yard.lab.check(str(job_id))
    assert (checked["processed"], checked["failed"]) == (200, 0)
    # Two failures of the whole job: slices that fail together are retried together.
    assert 2 <= len(fields(yard, job_id)["failed_at_list"]) <= 3


def test_a_batch_job_with_a_hopeless_record_ends_failed_and_all_others_are_done_once(yard: Yard) -> None:
    job_id = upload(yard, 50, "Hopeless")
    yard.serve()
    wait_for(lambda: has_failed_for_good(yard, job_id), "its end")
    performed = Counter(int(line[1]) for line in yard.notes("record"))
    assert performed.pop(3) == 4
    assert set(performed.values()) == {1}
    checked = yard.lab.check(str(job_id))
    assert (checked["processed"], checked["failed"]) == (47, 3)


def test_workers_killed_between_the_tries_of_a_batch_job_lose_nothing(yard: Yard) -> None:
    job_id = upload(yard, 300)
    server = yard.serve(processes=2)
    for number in range(3):
        yard.await_notes("record", 40 * (number + 1))
        for pid in server.workers()[:1]:
            os.kill(pid, signal.SIGKILL)
    yard.await_states(State.COMPLETED, job_id)
    told = yard.python(f"print(list(Lines.query.where(id='{job_id}').first().output.records()))")
    assert json.loads(told) == [10 * n for n in range(1, 301)]
    assert yard.lab.check(str(job_id))["processed"] == 300
