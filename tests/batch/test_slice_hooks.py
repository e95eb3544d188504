"""Hooks around slices and around their records, and batch jobs that move themselves in the midst of a slice."""

import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from penstock import BatchJob, throttle
from penstock import hooks as moments
from penstock.states import State

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests.driver import Driver  # noqa: E402
from tests.tables import counts  # noqa: E402

LOG: list = []
TROUBLE: set = set()


@pytest.fixture(autouse=True)
def _forgetful():
    LOG.clear()
    TROUBLE.clear()


@pytest.fixture
def server(configured_store):
    return Driver(configured_store)


class Lines(BatchJob, abstract=True):
    slice_size = 3
    collect_output = True
    destroy_on_complete = False

    def perform(self, record):
        LOG.append(record)
        if record in TROUBLE:
            raise ValueError(f"bad {record}")
        return record * 10


def uploaded(cls, count=6, **values):
    job = cls(**values)
    job.upload(range(1, count + 1))
    return job


def stored(cls, count=6, **values):
    return uploaded(cls, count, **values).save()


def outputs(job):
    return list(job.output.records())


def tens(*numbers):
    return [10 * number for number in numbers]


class TestOrder:
    def test_each_slice_has_its_hooks_once_and_each_record_its_own(self, server):
        class Hooked(Lines):
            def before_slice(self):
                LOG.append("before")

            def around_slice(self):
                LOG.append("in")
                yield
                LOG.append("out")

            def after_slice(self):
                LOG.append("after")

            def after_perform(self):
                LOG.append("performed")

        job = stored(Hooked, 4)
        server.run()
        records = [[n, "performed"] for n in range(1, 5)]
        assert [
            "before", "in", *records[0], *records[1], *records[2], "out", "after",
            "before", "in", *records[3], "out", "after",
        ] == LOG  # fmt: skip
        assert outputs(job.reload()) == tens(1, 2, 3, 4)

    def test_of_base_class_and_subclass_the_outermost_is_the_first_declared(self, server):
        class Base(Lines, abstract=True):
            @moments.around_slice
            def outer(self):
                LOG.append("outer in")
                yield
                LOG.append("outer out")

            @moments.after_slice
            def tidy(self):
                LOG.append("base after")

        class Real(Base):
            @moments.around_slice
            def inner(self):
                LOG.append("inner in")
                yield
                LOG.append("inner out")

            @moments.after_slice
            def tell(self):
                LOG.append("own after")

        stored(Real, 1)
        server.run()
        assert LOG == ["outer in", "inner in", 1, "inner out", "outer out", "own after", "base after"]

    def test_a_slice_that_is_retried_has_its_hooks_again(self, server):
        class Hooked(Lines):
            def before_slice(self):
                LOG.append("before")

            def after_slice(self):
                LOG.append("after")

        TROUBLE.add(2)
        job = stored(Hooked, 3)
        server.run()
        TROUBLE.clear()
        job.reload().retry()
        server.run()
        # It goes on at the record that failed.
        assert LOG == ["before", 1, 2, "before", 2, 3, "after"]
        assert outputs(job.reload()) == tens(1, 2, 3)

    def test_the_record_number_is_known_in_hooks_of_records(self, server):
        class Numbered(Lines):
            def before_perform(self):
                LOG.append(("before", self.record_number))

            def after_perform(self):
                LOG.append(("after", self.record_number))

        stored(Numbered, 4)
        server.run()
        assert [entry for entry in LOG if isinstance(entry, tuple)] == [
            (when, number) for number in range(1, 5) for when in ("before", "after")
        ]


class TestRaising:
    @pytest.mark.parametrize("moment", ["before_slice", "before_perform"])
    def test_before_the_first_record_nothing_of_the_slice_is_done_and_the_first_is_named(
        self, server, balanced, moment
    ):
        def refuse(self):
            if TROUBLE:
                raise ValueError("refused")

        job = stored(type(Lines)("Hooked", (Lines,), {"__module__": __name__, moment: refuse}), 4)
        TROUBLE.add("x")
        server.run()
        assert job.reload().state is State.FAILED
        assert LOG == []
        failed = list(server.store.failed_slices(job.id))
        assert [found.failed_record for found in failed] == [1, 4]
        assert balanced(job)["failed"] == 4
        TROUBLE.clear()
        job.retry()
        server.run()
        assert outputs(job.reload()) == tens(1, 2, 3, 4)
        assert LOG == [1, 2, 3, 4]
        balanced(job)

    def test_after_a_record_it_counts_as_not_done_and_is_performed_again(self, server, balanced):
        class Hooked(Lines):
            def after_perform(self):
                if self.record_number in TROUBLE:
                    raise ValueError("after")

        TROUBLE.add(2)
        job = stored(Hooked, 3)
        server.run()
        (failed,) = server.store.failed_slices(job.id)
        assert failed.failed_record == 2
        TROUBLE.clear()
        job.reload().retry()
        server.run()
        assert LOG == [1, 2, 2, 3]
        assert outputs(job.reload()) == tens(1, 2, 3)
        assert balanced(job)["processed"] == 3

    @pytest.mark.parametrize("moment", ["after_slice", "around_slice"])
    def test_after_the_last_record_the_records_are_done_and_a_retry_runs_the_hooks_alone(
        self, server, balanced, moment
    ):
        def after(self):
            LOG.append("hook")
            if TROUBLE:
                raise ValueError("after all")

        def around(self):
            yield
            after(self)

        hook = around if moment == "around_slice" else after
        job = stored(type(Lines)("Hooked", (Lines,), {"__module__": __name__, moment: hook}), 3)
        TROUBLE.add("x")
        server.run()
        assert job.reload().state is State.FAILED
        (failed,) = server.store.failed_slices(job.id)
        assert "after all" in failed.exception
        # No record that there is not is blamed.
        assert (failed.failed_record - 1, failed.done) in [(3, 3), (2, 3), (0, 0)]
        number = job.exception.record_number
        assert number is None or 1 <= number <= 3
        balanced(job)
        TROUBLE.clear()
        job.retry()
        server.run()
        assert job.reload().state is State.COMPLETED
        assert outputs(job) == tens(1, 2, 3)
        assert [entry for entry in LOG if entry == "hook"] == ["hook", "hook"]
        assert [entry for entry in LOG if entry != "hook"] == [1, 2, 3]
        assert balanced(job)["processed"] == 3

    def test_the_failure_of_a_hook_after_all_records_names_no_record_beyond_the_slice(self, server):
        class Hooked(Lines):
            def after_slice(self):
                raise ValueError("after all")

        job = stored(Hooked, 4)
        server.run()
        from penstock.model.failure import parse_failure

        numbers = [parse_failure(failed.exception).record_number for failed in server.store.failed_slices(job.id)]
        for number, allowed in zip(numbers, [range(1, 4), range(4, 5)], strict=True):
            assert number is None or number in allowed

    def test_what_a_record_raises_is_raised_at_the_yield_of_around_slice(self, server):
        class Hooked(Lines):
            def around_slice(self):
                try:
                    yield
                except ValueError as error:
                    LOG.append(str(error))
                    raise

        TROUBLE.add(2)
        job = stored(Hooked, 3)
        server.run()
        assert LOG == [1, 2, "bad 2"]
        assert job.reload().state is State.FAILED

    def test_what_around_slice_swallows_fails_the_slice_all_the_same_and_no_record_is_lost(self, server, balanced):
        class Hooked(Lines):
            def around_slice(self):
                try:
                    yield
                except ValueError:
                    LOG.append("swallowed")

        TROUBLE.add(2)
        job = stored(Hooked, 6)
        server.run()
        assert LOG[:3] == [1, 2, "swallowed"]
        accounts = balanced(job)
        assert (accounts["processed"], accounts["failed"]) == (4, 2)
        (failed,) = server.store.failed_slices(job.id)
        assert "bad 2" in failed.exception
        TROUBLE.clear()
        job.reload().retry()
        server.run()
        assert outputs(job.reload()) == tens(*range(1, 7))

    def test_what_around_perform_swallows_is_a_record_without_a_result(self, server, balanced):
        class Hooked(Lines):
            def around_perform(self):
                try:
                    yield
                except ValueError:
                    LOG.append("swallowed")

        TROUBLE.add(2)
        job = stored(Hooked, 3)
        server.run()
        assert outputs(job.reload()) == [10, None, 30]
        assert balanced(job)["processed"] == 3

    def test_an_around_slice_without_a_yield_fails_the_slice_and_no_record_is_performed(self, server, balanced):
        class Hooked(Lines):
            def around_slice(self):
                if TROUBLE:
                    yield

        job = stored(Hooked, 3)
        server.run()
        assert (LOG, job.reload().state, balanced(job)["failed"]) == ([], State.FAILED, 3)

    def test_hooks_of_slices_raise_what_would_end_the_process_and_nothing_ends(self, server, balanced):
        class Hooked(Lines):
            def before_slice(self):
                raise SystemExit(3)

        job = stored(Hooked, 3)
        server.run()
        assert (job.reload().state, balanced(job)["failed"]) == (State.FAILED, 3)


MOVES = {
    "fail": (lambda job: job.fail("by itself"), State.FAILED),
    "complete": (lambda job: job.complete(), State.COMPLETED),
    "abort": (lambda job: job.abort(), State.ABORTED),
    "pause": (lambda job: job.pause(), State.PAUSED),
}


class TestMovingItself:
    def make(self, at, move, record=5, **body):
        """Return a class whose jobs move themselves once, at the slice or record that has this number."""
        act, _ = MOVES.get(move, (lambda job: job.snooze(60), None))

        def maybe(self):
            if self.record_number in (record, record - 1) and "moved" not in LOG:
                if at != "before_slice" and self.record_number != record:
                    return
                LOG.append("moved")
                act(self)

        def perform(self, value):
            maybe(self)
            LOG.append(value)
            return value * 10

        body |= {moment: _noting(moment) for moment in ("before_" + move, "after_" + move) if moment in moments.HOOKS}
        body |= {"__module__": __name__} | ({"perform": perform} if at == "perform" else {at: maybe})
        return type(Lines)("Moving", (Lines,), body)

    @pytest.mark.parametrize("at", ["before_slice", "before_perform", "perform"])
    @pytest.mark.parametrize("move", MOVES)
    def test_it_takes_effect_at_once_and_nothing_more_of_the_job_is_performed(self, server, move, at):
        job = stored(self.make(at, move), 9)
        server.run()
        job.reload()
        assert job.state is MOVES[move][1]
        done = [entry for entry in LOG if isinstance(entry, int)]
        assert done == ([1, 2, 3] if at == "before_slice" else [1, 2, 3, 4])
        assert [entry for entry in LOG if not isinstance(entry, int)] == ["moved", f"before_{move}", f"after_{move}"]
        if move == "fail":
            assert (job.exception.message, job.failure_count) == ("by itself", 1)

    @pytest.mark.parametrize("at", ["before_slice", "before_perform", "perform"])
    @pytest.mark.parametrize(("move", "back"), [("pause", "resume"), ("fail", "retry")])
    def test_a_job_that_paused_or_failed_itself_goes_on_where_it_was_and_nothing_is_lost_or_done_twice(
        self, server, balanced, move, back, at
    ):
        job = stored(self.make(at, move), 9)
        server.run()
        balanced(job)
        getattr(job.reload(), back)()
        server.run()
        assert job.reload().state is State.COMPLETED
        assert [entry for entry in LOG if isinstance(entry, int)] == list(range(1, 10))
        assert outputs(job) == tens(*range(1, 10))
        assert balanced(job)["processed"] == 9

    @pytest.mark.parametrize("at", ["before_slice", "before_perform", "perform"])
    def test_a_job_that_snoozed_goes_on_by_itself_at_its_time(self, server, clock, balanced, at):
        job = stored(self.make(at, "requeue"), 9)
        server.run()
        assert job.reload().state is State.RUNNING
        done = len([entry for entry in LOG if isinstance(entry, int)])
        assert done < 9
        assert job.row.held_until == clock.now() + timedelta(seconds=60)
        balanced(job)
        clock.advance(59)
        server.run()
        assert len([entry for entry in LOG if isinstance(entry, int)]) == done
        clock.advance(1)
        server.run()
        assert job.reload().state is State.COMPLETED
        assert [entry for entry in LOG if isinstance(entry, int)] == list(range(1, 10))
        assert outputs(job) == tens(*range(1, 10))
        assert job.failure_count == 0

    def test_a_job_that_aborted_itself_leaves_no_slices(self, server, stored_rows):
        job = stored(self.make("perform", "abort"), 9)
        server.run()
        assert job.reload().state is State.ABORTED
        assert stored_rows() == {"jobs": 1, "slices": 0, "slice_payloads": 0, "output_slices": 0, "progress": 0}

    @pytest.mark.parametrize("hooked", [False, True], ids=["without hook", "with hook"])
    def test_a_job_that_completed_itself_is_destroyed_with_all_that_is_left_as_its_class_says(
        self, server, stored_rows, hooked
    ):
        cls = self.make("perform", "complete")
        if not hooked:
            cls = type(Lines)("Plain", (cls,), {"__module__": __name__, "after_complete": lambda self: None})
        job = stored(cls, 9, destroy_on_complete=True)
        server.run()
        assert server.row(job.id) is None
        assert set(stored_rows().values()) == {0}

    def test_one_without_hooks_that_completed_itself_is_destroyed_too(self, server, stored_rows):
        class Plain(Lines):
            def perform(self, record):
                if record == 5:
                    self.complete()
                return record

        job = stored(Plain, 9, destroy_on_complete=True)
        server.run()
        assert server.row(job.id) is None
        assert set(stored_rows().values()) == {0}

    def test_somebody_who_moved_the_job_meanwhile_wins(self, server, balanced):
        job = stored(self.make("perform", "pause", record=2), 6)
        task = server.take()
        job.reload().fail("by a person")
        server.perform(task)
        server.run()
        assert (job.reload().state, job.exception.message) == (State.FAILED, "by a person")
        balanced(job)


@pytest.fixture
def stored_rows(stored_tables):
    return stored_tables


@pytest.fixture
def stored_tables(configured_store):
    return partial(counts, configured_store)


class TestHeld:
    def test_a_throttle_of_slices_lets_the_job_rest_and_go_on(self, server, clock, balanced):
        class Throttled(Lines):
            @throttle("the disk is full", scope="job", slices=True, seconds=30)
            def disk_full(self):
                return len(LOG) == 3 and not TROUBLE

        job = stored(Throttled, 9)
        server.run()
        job.reload()
        assert (LOG, job.state, job.throttled_by) == ([1, 2, 3], State.RUNNING, "the disk is full")
        balanced(job)
        clock.advance(29)
        server.run()
        assert len(LOG) == 3
        TROUBLE.add("x")
        clock.advance(1)
        server.run()
        job.reload()
        assert (job.state, job.throttled_by) == (State.COMPLETED, None)
        assert list(range(1, 10)) == LOG

    def test_a_throttle_of_jobs_is_asked_before_the_first_slice_only(self, server, clock):
        class Throttled(Lines):
            @throttle("closed", scope="job", seconds=30)
            def closed(self):
                LOG.append("asked")
                return LOG.count("asked") == 1

        job = stored(Throttled, 6)
        server.run()
        assert (LOG, job.reload().state) == (["asked"], State.QUEUED)
        clock.advance(30)
        server.run()
        assert LOG == ["asked", "asked", 1, 2, 3, 4, 5, 6]

    def test_a_throttle_that_raises_fails_the_slice(self, server, balanced):
        class Throttled(Lines):
            @throttle("broken", slices=True)
            def broken(self):
                if LOG:
                    raise ValueError("broken")

        job = stored(Throttled, 6)
        server.run()
        assert job.reload().state is State.FAILED
        assert balanced(job)["failed"] == 3


def _noting(moment):
    return lambda self: LOG.append(moment)


class TestHere:
    """`perform_now` of a batch job."""

    def test_the_hooks_of_slices_and_records_run_as_on_a_server(self, configured_store):
        class Hooked(Lines):
            def before_slice(self):
                LOG.append("before")

            def around_slice(self):
                LOG.append("in")
                yield
                LOG.append("out")

            def after_complete(self):
                LOG.append("complete")

        job = uploaded(Hooked, 4)
        job.perform_now()
        assert LOG == ["before", "in", 1, 2, 3, "out", "before", "in", 4, "out", "complete"]
        assert outputs(job) == tens(1, 2, 3, 4)

    @pytest.mark.parametrize("moment", ["before_slice", "after_slice", "before_perform"])
    def test_what_a_hook_raises_comes_out_and_the_next_call_goes_on_there(self, configured_store, balanced, moment):
        def refuse(self):
            if TROUBLE:
                raise ValueError("refused")

        TROUBLE.add("x")
        job = uploaded(type(Lines)("Hooked", (Lines,), {"__module__": __name__, moment: refuse}), 4)
        with pytest.raises(ValueError, match="refused"):
            job.perform_now()
        balanced(job)
        TROUBLE.clear()
        job.perform_now()
        assert LOG == [1, 2, 3, 4]
        assert outputs(job) == tens(1, 2, 3, 4)
        assert balanced(job)["processed"] == 4

    @pytest.mark.parametrize("move", ["fail", "complete", "abort", "pause", "snooze"])
    def test_a_job_that_moves_itself_in_a_slice_loses_no_record(self, configured_store, balanced, clock, move):
        class Moving(Lines):
            def perform(self, record):
                if record == 5 and "moved" not in LOG:
                    LOG.append("moved")
                    self.snooze(60) if move == "snooze" else getattr(self, move)()
                return super().perform(record)

        job = uploaded(Moving, 9)
        job.perform_now()
        if move in ("complete", "abort"):
            assert job.state is MOVES[move][1]
            assert LOG == [1, 2, 3, 4, "moved"]
            return
        accounts = balanced(job)
        assert accounts["processed"] + accounts["failed"] + accounts["queued"] + accounts["running"] == 9
        if move == "fail":
            assert job.state is State.FAILED
        if job.state is not State.COMPLETED:
            job.perform_now()
        assert [entry for entry in LOG if entry != "moved"] == list(range(1, 10))
        assert outputs(job) == tens(*range(1, 10))

    def test_a_throttle_of_slices_is_not_asked_or_loses_no_record(self, configured_store, balanced):
        class Throttled(Lines):
            @throttle("closed", scope="job", slices=True)
            def closed(self):
                return 3 in LOG

        job = uploaded(Throttled, 6)
        job.perform_now()
        assert job.state is State.COMPLETED
        assert balanced(job)["processed"] == 6
        assert outputs(job) == tens(*range(1, 7))
