"""One attempt at a job, here or on a server: what decides how it ends, and what is kept of it."""

import gc
import weakref
from datetime import timedelta

import pytest

import penstock
from penstock import BatchJob, Job, ProcessingWindow, Retry, throttle
from penstock.errors import InvalidMove
from penstock.model.attempt import attempt
from penstock.query import Query
from penstock.states import Move, State

pytestmark = pytest.mark.usefixtures("configured_store")

LOG: list = []


@pytest.fixture(autouse=True)
def _forgetful():
    LOG.clear()


class TestHere:
    """`perform_now`."""

    def test_of_a_stored_job_nothing_is_stored(self, configured_store):
        class Counting(Job):
            count: int = 0

            def perform(self):
                self.count += 1
                self.priority = 3
                return self.count

        job = Counting.create()
        assert job.perform_now() == 1
        row = configured_store.job(job.id)
        assert (row.state, row.priority, row.attempt) == (State.QUEUED, 50, 0)
        assert Counting.query.first().count == 0

    def test_neither_a_throttle_nor_a_window_is_asked(self, clock):
        class Held(ProcessingWindow, Job):
            processing_schedule = "0 12 * * *"
            processing_duration = 60.0

            @throttle("never")
            def never(self):
                LOG.append("asked")
                return True

            def perform(self):
                return "done"

        assert Held().perform_now() == "done"
        assert LOG == []

    def test_a_job_that_would_be_retried_is_failed_and_what_it_raised_comes_out(self, clock):
        class Retried(Retry, Job):
            def perform(self):
                raise ValueError("no")

        job = Retried()
        with pytest.raises(ValueError, match="no"):
            job.perform_now()
        assert (job.state, job.failure_count, job.exception.message) == (State.FAILED, 1, "no")
        assert job.failed_at_list == [clock.now()]

    def test_a_failed_job_may_be_retried_in_memory_and_performed_again(self):
        class Second(Job):
            def perform(self):
                LOG.append(1)
                if len(LOG) == 1:
                    raise ValueError("once")
                return "done"

        job = Second()
        with pytest.raises(ValueError, match="once"):
            job.perform_now()
        assert job.retry().perform_now() == "done"
        assert (job.state, job.failure_count, job.exception) == (State.COMPLETED, 1, None)

    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), BaseException("odd")], ids=repr)
    def test_what_would_end_the_process_comes_out_too(self, error):
        class Leaving(Job):
            def perform(self):
                raise error

        job = Leaving()
        with pytest.raises(type(error)):
            job.perform_now()
        assert job.state is State.FAILED

    def test_progress_is_a_hundred_at_the_end_and_what_the_job_said_when_it_failed(self):
        class Going(Job):
            broken: bool = False

            def perform(self):
                self.percent_complete = 40
                if self.broken:
                    raise ValueError

        job = Going()
        job.perform_now()
        assert job.percent_complete == 100
        job = Going(broken=True)
        with pytest.raises(ValueError):  # noqa: PT011
            job.perform_now()
        assert job.percent_complete == 40

    def test_a_job_may_perform_another_here(self):
        class Inner(Job):
            def perform(self):
                self.snooze(5)
                return "inner"

        class Outer(Job):
            def perform(self):
                inner = Inner()
                return inner.perform_now(), inner.state, self.state

        assert Outer().perform_now() == ("inner", State.QUEUED, State.RUNNING)

    def test_a_job_may_enqueue_another_which_is_stored(self):
        class Next(Job):
            pass

        class First(Job):
            def perform(self):
                Next.create()

        First().perform_now()
        assert Next.query.count() == 1
        assert First.query.count() == 0

    def test_a_paused_or_ended_job_is_not_performed(self):
        class Plain(Job):
            def perform(self):
                LOG.append("performed")

        for move in ("pause", "abort", "fail"):
            job = getattr(Plain(), move)()
            with pytest.raises(InvalidMove, match="cannot start"):
                job.perform_now()
        assert LOG == []


class TestOnAServer:
    def test_the_worker_is_known_while_it_runs_and_no_more_afterwards(self, server):
        class Telling(Job):
            destroy_on_complete = False

            def perform(self):
                LOG.append((self.worker, self.state, self.is_stored, self.started_at))

        job = Telling.create()
        server.run()
        ((worker, state, stored, started),) = LOG
        assert (worker, state, stored) == ("server-1:1", State.RUNNING, True)
        assert started == job.reload().started_at
        assert job.worker is None

    def test_a_job_that_is_aborted_by_somebody_while_it_runs_stays_aborted(self, server):
        class Plain(Job):
            destroy_on_complete = False
            note: str = ""

            def perform(self):
                self.note = "done"

        job = Plain.create()
        task = server.take()
        job.abort()
        server.perform(task)
        server.run()
        assert (job.reload().state, job.note) == (State.ABORTED, "")

    def test_a_job_that_is_destroyed_by_somebody_while_it_runs_is_gone(self, server):
        class Plain(Job):
            destroy_on_complete = False

            def perform(self):
                return None

        job = Plain.create()
        task = server.take()
        Plain.query.first().destroy()
        server.perform(task)
        server.run()
        assert server.row(job.id) is None

    def test_what_a_person_edits_while_it_runs_survives_and_so_does_what_the_job_changed(self, server):
        class Edited(Job):
            destroy_on_complete = False
            mine: str = ""
            theirs: str = ""

            def perform(self):
                self.mine = "job"
                self.percent_complete = 70

        job = Edited.create()
        task = server.take()
        job.update(theirs="person", priority=2, description="edited")
        server.perform(task)
        server.run()
        job.reload()
        assert (job.mine, job.theirs, job.priority, job.description) == ("job", "person", 2, "edited")
        assert (job.state, job.percent_complete) == (State.COMPLETED, 100)

    def test_where_both_change_one_field_the_job_which_ends_last_wins(self, server):
        class Edited(Job):
            destroy_on_complete = False
            note: str = ""

            def perform(self):
                self.note = "job"

        job = Edited.create()
        task = server.take()
        job.update(note="person")
        server.perform(task)
        server.run()
        assert job.reload().note == "job"

    @pytest.mark.parametrize("saves", [True, False])
    def test_a_job_may_save_itself_while_it_runs(self, server, saves):
        class Saving(Job):
            destroy_on_complete = False
            step: int = 0

            def perform(self):
                self.step = 1
                if saves:
                    self.save()
                    LOG.append(Saving.query.first().step)
                self.step += 1

        job = Saving.create()
        server.run()
        assert ([1] if saves else []) == LOG
        assert (job.reload().step, job.state) == (2, State.COMPLETED)

    def test_the_result_is_kept_where_the_class_says_so_and_only_of_a_completed_job(self, server):
        class Returning(Job):
            destroy_on_complete = False
            keep: bool = True

            def perform(self):
                self.collect_output = self.keep
                return (1, "two")

        kept, dropped = Returning.create(), Returning.create(keep=False)
        server.run()
        assert (kept.reload().result, dropped.reload().result) == ((1, "two"), None)

    def test_a_result_that_cannot_be_stored_fails_the_job_by_its_type(self, server):
        class Odd(Job):
            destroy_on_complete = False
            collect_output = True

            def perform(self):
                return {"a": object()}

        job = Odd.create()
        server.run()
        assert (job.reload().state, job.result) == (State.FAILED, None)
        assert "object" in job.exception.message

    def test_percent_complete_said_by_the_job_is_seen_when_it_fails(self, server):
        class Going(Job):
            def perform(self):
                self.percent_complete = 40
                raise ValueError

        job = Going.create()
        server.run()
        assert job.reload().percent_complete == 40

    def test_a_field_of_the_wrong_type_fails_the_job_at_the_assignment(self, server):
        class Wrong(Job):
            count: int = 0

            def perform(self):
                self.count = "many"

        job = Wrong.create()
        server.run()
        assert (job.reload().state, job.count) == (State.FAILED, 0)
        assert "count" in job.exception.message

    def test_what_cannot_be_stored_of_its_fields_fails_the_job_by_the_field(self, server):
        class Holding(Job):
            destroy_on_complete = False
            numbers: list[int] = []  # noqa: RUF012

            def perform(self):
                self.numbers.append(object())

        job = Holding.create()
        server.run()
        assert (job.reload().state, job.numbers) == (State.FAILED, [])
        assert "numbers" in job.exception.message

    def test_a_wrong_value_left_in_a_field_fails_the_job_and_is_not_stored(self, server):
        class Holding(Job):
            destroy_on_complete = False
            numbers: list[int] = []  # noqa: RUF012

            def perform(self):
                self.numbers.append("many")

        job = Holding.create()
        server.run()
        assert (job.reload().state, job.numbers) == (State.FAILED, [])
        assert "numbers" in job.exception.message

    def test_an_exception_whose_text_cannot_be_made_fails_the_job_all_the_same(self, server):
        class Unspeakable(Exception):
            def __str__(self):
                raise ValueError("worse")

        class Plain(Job):
            def perform(self):
                raise Unspeakable

        job = Plain.create()
        server.run()
        assert job.reload().state is State.FAILED
        assert "Unspeakable" in job.exception.summary

    def test_an_exception_group_and_a_chain_are_kept_as_text(self, server):
        class Grouped(Job):
            def perform(self):
                raise ExceptionGroup("several", [ValueError("a"), KeyError("b")])

        job = Grouped.create()
        server.run()
        assert "several" in job.reload().exception.message

    def test_a_message_of_megabytes_is_cut(self, server):
        class Long(Job):
            def perform(self):
                raise ValueError("x" * 5_000_000)

        job = Long.create()
        server.run()
        assert len(job.reload().exception.message) <= 10_000

    def test_a_job_may_enqueue_others_and_read_itself(self, server):
        class Child(Job):
            parent: str

            def perform(self):
                LOG.append(self.parent)

        class Parent(Job):
            def perform(self):
                Child.create_many([{"parent": str(self.id)}] * 2)
                LOG.append(Parent.query.running.first().id == self.id)

        parent = Parent.create()
        server.run()
        assert [True, str(parent.id), str(parent.id)] == LOG


class TestLettingGo:
    """What a job held is let go at its end, not at the next full garbage collection, which may be long after."""

    @pytest.fixture(autouse=True)
    def _uncollected(self):
        gc.collect()
        gc.disable()
        yield
        gc.enable()

    @pytest.mark.parametrize("base", [Job, BatchJob], ids=["regular", "batch"])
    @pytest.mark.parametrize("hooked", [False, True], ids=["plain", "with hooks"])
    @pytest.mark.parametrize("chained", [False, True], ids=["alone", "with a cause"])
    def test_of_one_that_failed(self, server, base, hooked, chained):
        class Large:
            pass

        def perform(self, *record):
            large = Large()
            LOG.append(weakref.ref(large))
            try:
                raise ValueError("inner")
            except ValueError as error:
                if chained:
                    raise KeyError("outer") from error
                raise

        def around(self):
            yield

        hooks = {"around_perform": around, "around_slice": around, "before_slice": lambda self: None} if hooked else {}
        job = type(Job)("Holding", (base,), {"__module__": __name__, "perform": perform, **hooks})()
        if base is BatchJob:
            job.upload([1])
        job.save()
        server.run()
        assert job.reload().state is State.FAILED
        (large,) = LOG
        assert large() is None


class TestHeld:
    def test_a_throttle_that_raises_fails_the_job(self, server):
        class Broken(Job):
            @throttle("broken")
            def broken(self):
                raise ValueError("in the throttle")

            def perform(self):
                LOG.append("performed")

        job = Broken.create()
        server.run()
        assert (job.reload().state, job.exception.message, LOG) == (State.FAILED, "in the throttle", [])

    def test_a_job_that_is_held_runs_no_hooks_counts_no_failure_and_runs_when_it_may(self, server, clock):
        class Held(Job):
            destroy_on_complete = False

            @throttle(scope="job", seconds=30)
            def disk_full_exceeded(self):
                LOG.append("asked")
                return LOG.count("asked") < 3

            def before_start(self):
                LOG.append("before_start")

            def after_requeue(self):
                LOG.append("after_requeue")

            def perform(self):
                LOG.append("performed")

        job = Held.create()
        server.run()
        job.reload()
        assert (job.state, job.throttled_by, job.failure_count, job.started_at) == (
            State.QUEUED,
            "disk full",
            0,
            None,
        )
        assert (job.row.throttled_at, job.row.held_until) == (clock.now(), clock.now() + timedelta(seconds=30))
        began = clock.now()
        clock.advance(30)
        server.run()
        # Since when it waits for this reason, not since it was last asked.
        assert job.reload().row.throttled_at == began
        clock.advance(30)
        server.run()
        job.reload()
        assert (job.state, job.throttled_by) == (State.COMPLETED, None)
        assert [word for word in LOG if word != "after_requeue"] == ["asked"] * 3 + ["before_start", "performed"]

    def test_of_two_throttles_the_first_that_is_exceeded_gives_the_reason(self, server, clock):
        class Held(Job):
            @throttle("first")
            def one(self):
                return False

            @throttle(lambda job: f"second of {job.description}")
            def two(self):
                return True

            @throttle("third")
            def three(self):
                LOG.append("asked")
                return True

        job = Held.create(description="ada")
        server.run()
        assert (job.reload().throttled_by, LOG) == ("second of ada", [])

    def test_a_throttle_of_the_kind_holds_all_jobs_of_the_kind_and_no_others(self, server, clock):
        class Held(Job):
            @throttle("closed", seconds=60)
            def closed(self):
                LOG.append("asked")
                return True

        class Free(Job):
            def perform(self):
                LOG.append("free")

        Held.create_many([{"priority": 1}] * 5)
        Free.create()
        server.run()
        assert LOG == ["asked", "free"]


def test_an_attempt_by_itself_knows_no_store():
    class Plain(Job):
        def perform(self):
            self.abort()
            return 5

    job = Plain()
    job._move_in_memory(Move.START)
    verdict = attempt(job)
    assert (verdict.move, verdict.value, verdict.error) == (Move.ABORT, 5, None)
    assert not job.has_perform_hooks
    penstock.configure(store="sqlite:////nowhere/at/all.db")
    with pytest.raises(InvalidMove):
        job.resume()


def test_nothing_is_stored_by_jobs_in_memory(configured_store):
    class Plain(Job):
        def perform(self):
            self.fail("x")

    Plain().perform_now()
    Plain().pause().resume().abort()
    assert configured_store.count_jobs(Query()) == 0
