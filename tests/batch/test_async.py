"""`async def perform`: several records of a slice at once, results in order, the first that fails named."""

import asyncio
import threading
import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import BatchJob, InputCategory, Job, Result, hooks
from penstock.batch.perform import SliceWork, perform_slice
from penstock.errors import JobTimeout
from penstock.model.event_loop import finish
from penstock.records import decode_records, encode_records
from penstock.server.deadlines import Deadlines
from penstock.states import State

LOG: list = []
UNDER_WAY: list = [0, 0]


@pytest.fixture(autouse=True)
def _forgetful():
    LOG.clear()
    UNDER_WAY[:] = [0, 0]


class Fetch(BatchJob, kind="tests.batch.asynchronous.Fetch"):
    """Waits as many turns of the loop as its record says; what is said in words happens then."""

    concurrency = 4
    collect_output = True
    destroy_on_complete = False

    async def perform(self, record):
        turns, what = record
        UNDER_WAY[0] += 1
        UNDER_WAY[1] = max(UNDER_WAY)
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
            LOG.append(self.record_number)
            if what == "raise":
                raise ValueError(self.record_number)
            if what == "exit":
                raise SystemExit(1)
            if what == "cancel":
                raise asyncio.CancelledError
            if what == "set":
                return {1}
            return Result(self.record_number, "main") if what == "result" else self.record_number
        finally:
            UNDER_WAY[0] -= 1


def work(records, done=0):
    return SliceWork(1, 101, done, encode_records(records))


def outputs_of(outcome, name="main"):
    return [it for output in outcome.outputs if output.category == name for it in decode_records(output.payload)]


RECORDS = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from(["", "", "", "result", "raise", "exit", "cancel", "set"])),
    min_size=1,
    max_size=25,
)


@given(records=RECORDS, concurrency=st.integers(1, 8), data=st.data())
def test_results_are_those_of_one_after_the_other_whatever_ends_first(records, concurrency, data):
    UNDER_WAY[:] = [0, 0]
    cls = type(BatchJob)("Any", (Fetch,), {"__module__": __name__, "concurrency": concurrency}, abstract=True)
    done = data.draw(st.integers(0, len(records) - 1))
    outcome = perform_slice(cls(), work(records, done))
    bad = [n for n, (_, what) in enumerate(records) if what in ("raise", "exit", "cancel", "set") and n >= done]
    stop = bad[0] if bad else len(records)
    assert outcome.done == stop
    assert outputs_of(outcome) == [101 + n for n in range(done, stop)]
    assert (outcome.failure and outcome.failure.record_number) == (101 + stop if bad else None)
    assert UNDER_WAY[0] == 0
    assert UNDER_WAY[1] <= concurrency


@given(records=RECORDS, concurrency=st.integers(1, 8))
def test_where_records_are_rejected_each_that_raises_is_and_no_other(records, concurrency):
    cls = type(BatchJob)("Any", (Fetch,), {"__module__": __name__, "concurrency": concurrency}, abstract=True)
    outcome = perform_slice(cls(on_record_error="reject"), work(records))
    fatal = [n for n, (_, what) in enumerate(records) if what in ("exit", "cancel")]
    stop = fatal[0] if fatal else len(records)
    bad = [n for n in range(stop) if records[n][1] in ("raise", "set")]
    assert (outcome.done, outcome.rejected) == (stop, len(bad))
    assert outputs_of(outcome) == [101 + n for n in range(stop) if n not in bad]
    assert [told["record_number"] for told in outputs_of(outcome, "rejects")] == [101 + n for n in bad]


def test_as_many_are_under_way_as_the_class_says():
    perform_slice(Fetch(), work([(5, "")] * 20))
    assert UNDER_WAY == [0, 4]


def test_one_after_the_other_by_default():
    class Single(Fetch):
        concurrency = 1

    perform_slice(Single(), work([(3, "")] * 10))
    assert UNDER_WAY[1] == 1


def test_what_runs_behind_a_failed_record_is_cancelled_and_runs_again_with_it(driver, balanced):
    class Once(Fetch):
        async def perform(self, record):
            if record == "slow":
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    LOG.append("cancelled")
                    raise
            if record == "bad" and "bad" not in LOG:
                LOG.append("bad")
                await asyncio.sleep(0.01)
                raise ValueError("bad")
            return record

    job = Once()
    job.upload(["a", "bad", "c", "slow"])
    job.save()
    driver.run()
    assert job.reload().state is State.FAILED
    assert LOG == ["bad", "cancelled"]
    job.edit_record(4, "d").retry()
    driver.run()
    assert list(job.reload().output.records()) == ["a", "bad", "c", "d"]
    balanced(job)


def test_one_that_takes_too_long_fails_alone_and_is_named(driver):
    class Hurried(Fetch):
        timeout = 0.05

        async def perform(self, record):
            await asyncio.sleep(record)
            return record

    job = Hurried()
    job.upload([0, 0, 30, 0])
    job.save()
    driver.run()
    (failed,) = job.reload().each_failed_record()
    assert (failed.record_number, failed.failure.class_name) == (3, "penstock.errors.JobTimeout")
    assert list(job.output.records()) == [0, 0]


@dataclass
class Row:
    n: int


@pytest.mark.parametrize("seconds", [None, 30])
def test_rows_have_their_class_also_under_a_time_out(driver, tmp_path, seconds):
    class Typed(Fetch):
        input_category = InputCategory(format="csv")

        async def perform(self, row: Row):
            return row.n * 2

    class TypedSync(BatchJob):
        input_category = InputCategory(format="csv")
        collect_output = True
        destroy_on_complete = False

        def perform(self, row: Row):
            return row.n * 2

    (tmp_path / "in.csv").write_text("n\n1\n2\n3\n")
    for cls in (Typed, TypedSync):
        job = cls(timeout=seconds)
        job.upload(tmp_path / "in.csv")
        job.save()
        driver.crash(driver.take())
        driver.run()
        assert list(job.reload().output.records()) == [2, 4, 6]


def test_a_row_that_cannot_be_read_fails_at_its_place(driver, tmp_path, balanced):
    class Typed(Fetch):
        input_category = InputCategory(format="csv")

        async def perform(self, row: Row):
            await asyncio.sleep(0)
            return row.n * 2

    (tmp_path / "in.csv").write_text("n\n1\n2\nx\n4\ny\n6\n")
    job = Typed()
    job.upload(tmp_path / "in.csv")
    job.save()
    driver.run()
    assert [failed.record_number for failed in job.reload().each_failed_record()] == [3]
    assert list(job.output.records()) == [2, 4]
    job = Typed(on_record_error="reject")
    job.upload(tmp_path / "in.csv")
    job.save()
    driver.run()
    assert list(job.reload().output.records()) == [2, 4, 8, 12]
    assert [told["record"] for told in job.output["rejects"].records()] == ["x", "y"]
    balanced(job)


def test_hooks_run_around_each_record(driver):
    class Hooked(Fetch):
        @hooks.before_perform
        def _before(self):
            LOG.append(("before", self.record_number))

        @hooks.around_perform
        def _around(self):
            LOG.append(("in", self.record_number))
            yield
            LOG.append(("out", self.record_number))

        @hooks.after_perform
        def _after(self):
            LOG.append(("after", self.record_number))

    job = Hooked()
    job.upload([(2, ""), (0, "")])
    job.save()
    driver.run()
    told = [it if isinstance(it, tuple) else ("performed", it) for it in LOG]
    for number in (1, 2):
        assert [what for what, of in told if of == number] == ["before", "in", "performed", "out", "after"]


def test_a_record_may_abort_the_job(driver):
    class Aborting(Fetch):
        async def perform(self, record):
            await asyncio.sleep(0)
            if record == 3:
                self.abort()
            return record

    job = Aborting()
    job.upload(range(10))
    job.save()
    driver.run()
    assert job.reload().state is State.ABORTED


def test_all_slices_run_on_one_event_loop():
    class Looped(Fetch):
        async def perform(self, record):
            LOG.append(asyncio.get_running_loop())

    for _ in range(3):
        perform_slice(Looped(), work([1, 2]))
    assert len(set(LOG)) == 1


def test_performed_here_and_now_what_it_raises_comes_out(configured_store):
    job = Fetch()
    job.upload([(0, ""), (0, "raise"), (0, "")])
    with pytest.raises(ValueError, match="2"):
        job.perform_now()


# Regular jobs -------------------------------------------------------------------------------------


class Wait(Job, kind="tests.batch.asynchronous.Wait"):
    seconds: float = 0
    how: str = ""
    collect_output = True
    destroy_on_complete = False

    async def perform(self):
        await asyncio.sleep(self.seconds)
        if self.how == "raise":
            raise ValueError("no")
        if self.how == "cancel":
            raise asyncio.CancelledError
        return {"slept": self.seconds}


def test_a_regular_job_is_awaited(driver):
    job = Wait.create()
    driver.run()
    assert job.reload().result == {"slept": 0}


@pytest.mark.parametrize(("values", "name"), [({"how": "raise"}, "ValueError"), ({"how": "cancel"}, "CancelledError")])
def test_a_regular_job_fails_with_what_it_raises(driver, values, name):
    job = Wait.create(**values)
    driver.run()
    assert job.reload().state is State.FAILED
    assert name in job.row.exception


def test_a_regular_job_is_cancelled_when_its_time_is_up(driver):
    job = Wait.create(seconds=60, timeout=0.05)
    driver.run()
    assert job.reload().state is State.FAILED
    assert "JobTimeout" in job.row.exception


def test_a_thread_that_waits_is_interrupted_and_cancels_what_it_waits_for():
    cancelled = threading.Event()

    async def wait():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    began = time.monotonic()
    with pytest.raises(JobTimeout), Deadlines().limit(0.01):
        finish(wait())
    assert cancelled.wait(10)
    assert time.monotonic() - began < 30


def test_a_time_out_of_the_code_itself_comes_out():
    async def fail():
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        finish(fail())


def test_a_regular_job_may_be_performed_here_and_now():
    assert Wait(how="").perform_now() is not None
    with pytest.raises(ValueError, match="no"):
        Wait(how="raise").perform_now()
