"""Jobs that are tried again by themselves: how often, when, for which exceptions, and what is kept of each failure."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

import penstock
from penstock import BatchJob, Job, ProcessingWindow, Retry, State
from penstock.errors import JobTimeout
from penstock.model.failure import Failure
from penstock.plugins.retry import ERROR_LENGTH, MOST_ERRORS

LOG: list = []
BROKEN: set = set()


@pytest.fixture(autouse=True)
def _forgetful(configured_store, clock):
    LOG.clear()
    BROKEN.clear()


class Flaky(Retry, kind="retry.Flaky"):
    destroy_on_complete = False
    retry_limit = 3
    good_at: int = 1000

    def perform(self):
        LOG.append(penstock.clock.now())
        if len(LOG) < self.good_at:
            raise ValueError(f"failure {len(LOG)}")
        return "done"


class FlakyLines(Retry, BatchJob, kind="retry.FlakyLines"):
    destroy_on_complete = False
    collect_output = True
    retry_limit = 3
    slice_size = 2

    def perform(self, record):
        LOG.append(record)
        if record in BROKEN:
            raise ValueError(f"bad {record}")
        return record * 10


def run_through(server, clock, job, *, most=100):
    """Run a job and move the clock to each of its tries, until it waits for nothing more."""
    for _ in range(most):
        server.run()
        row = server.row(job.id)
        due = max((moment for moment in (row.run_at, row.held_until) if moment), default=clock.now())
        if row.state not in (State.QUEUED, State.RUNNING) or due <= clock.now():
            return job.reload()
        clock.advance((due - clock.now()).total_seconds())
    raise AssertionError("there is no end to it")


class TestHowOften:
    @pytest.mark.parametrize("limit", [0, 1, 3, 25])
    def test_as_many_times_as_the_limit_says_after_the_first_and_then_it_stays_failed(self, server, clock, limit):
        job = Flaky.create(retry_limit=limit)
        run_through(server, clock, job)
        assert len(LOG) == limit + 1
        assert (job.state, job.failure_count, len(job.failed_at_list)) == (State.FAILED, limit + 1, limit + 1)
        assert job.failed_at_list == LOG

    def test_one_that_succeeds_is_not_tried_again(self, server, clock):
        job = Flaky.create(good_at=3)
        run_through(server, clock, job)
        assert (job.state, len(LOG), job.failure_count, job.exception) == (State.COMPLETED, 3, 2, None)
        assert job.errors == ["ValueError: failure 1", "ValueError: failure 2"]

    def test_after_the_last_try_a_person_may_retry_it_once_each_time(self, server, clock):
        job = Flaky.create(retry_limit=1)
        run_through(server, clock, job)
        for tries in (3, 4):
            job.retry()
            run_through(server, clock, job)
            assert (job.state, len(LOG)) == (State.FAILED, tries)

    def test_a_limit_raised_on_a_failed_job_gives_it_more_tries(self, server, clock):
        job = Flaky.create(retry_limit=1)
        run_through(server, clock, job)
        job.update(retry_limit=3).retry()
        run_through(server, clock, job)
        # Of the four tries after the first that it may have now, two were left with that of the person's.
        assert (job.state, len(LOG)) == (State.FAILED, 4)

    @pytest.mark.parametrize("wrong", [-1, 1001, "many"])
    def test_limits_beyond_reason_are_refused(self, wrong):
        with pytest.raises(ValidationError, match="retry_limit"):
            Flaky(retry_limit=wrong)

    def test_a_worker_that_dies_is_no_failure_and_takes_no_try(self, server, clock):
        job = Flaky.create(retry_limit=1, good_at=2)
        server.crash(server.take())
        run_through(server, clock, job)
        assert (job.state, len(LOG)) == (State.COMPLETED, 2)

    def test_what_kills_its_workers_is_not_retried(self, server, clock):
        job = Flaky.create()
        for _ in range(3):
            server.crash(server.take())
        run_through(server, clock, job)
        assert (job.state, job.exception.class_name, LOG) == (State.FAILED, "WorkerCrashed", [])

    def test_what_a_person_or_the_job_itself_failed_is_not_retried(self, server, clock):
        class Giving(Flaky):
            def perform(self):
                LOG.append(1)
                self.fail("that is it")

        by_person, by_itself = Flaky.create().fail("no"), Giving.create()
        for job in (by_person, by_itself):
            run_through(server, clock, job)
            assert (job.state, job.failed_at_list) == (State.FAILED, [])
        assert LOG == [1]

    def test_a_snooze_is_no_failure(self, server, clock):
        class Sleepy(Flaky):
            def perform(self):
                LOG.append(1)
                if len(LOG) < 10:
                    self.snooze(5)

        job = Sleepy.create(retry_limit=1)
        run_through(server, clock, job)
        assert (job.state, len(LOG), job.failed_at_list, job.failure_count) == (State.COMPLETED, 10, [], 0)

    def test_an_expired_job_is_not_tried_again(self, server, clock):
        job = Flaky.create(expires_at=clock.now() + timedelta(seconds=10))
        task = server.take()
        clock.advance(10)
        server.perform(task)
        run_through(server, clock, job)
        assert (job.state, len(LOG)) == (State.FAILED, 1)

    def test_one_that_expires_while_it_waits_for_its_next_try_is_gone(self, server, clock):
        job = Flaky.create(expires_at=clock.now() + timedelta(seconds=10))
        server.run()
        assert job.reload().state is State.QUEUED
        clock.advance(3600)
        server.run()
        assert (server.row(job.id), len(LOG)) == (None, 1)

    def test_before_fail_runs_at_each_failure_and_after_fail_and_after_retry_tell_them_apart(self, server, clock):
        class Telling(Flaky):
            def before_fail(self):
                LOG.append("before_fail")

            def after_fail(self):
                LOG.append("after_fail")

            def after_retry(self):
                LOG.append("after_retry")

        job = Telling.create(retry_limit=1)
        run_through(server, clock, job)
        words = [entry for entry in LOG if isinstance(entry, str)]
        assert words == ["before_fail", "after_fail", "after_retry", "before_fail", "after_fail"]


class TestWhen:
    def test_each_pause_is_within_the_formula_and_starts_at_the_failure(self, server, clock):
        job = Flaky.create(retry_limit=10)
        run_through(server, clock, job)
        pauses = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(LOG)]
        assert len(pauses) == 10
        for failures, pause in enumerate(pauses):
            assert failures**4 + 15 <= pause <= failures**4 + 15 + 30 * (failures + 1)

    def test_the_pauses_have_a_random_part_so_that_jobs_do_not_come_back_together(self, server, clock):
        jobs = Flaky.create_many([{}] * 20)
        server.run()
        moments = {job.reload().run_at for job in jobs}
        assert len(moments) > 15

    def test_it_is_not_tried_before_its_time(self, server, clock):
        job = Flaky.create()
        server.run()
        clock.advance(14.999)
        server.run()
        assert len(LOG) == 1
        job.reload()
        clock.advance((job.run_at - clock.now()).total_seconds())
        server.run()
        assert len(LOG) == 2

    def test_it_starts_again_from_the_time_of_the_failure_not_of_the_start(self, server, clock):
        job = Flaky.create()
        task = server.take()
        clock.advance(5000)
        server.perform(task)
        server.run()
        assert 15 <= (job.reload().run_at - clock.now()).total_seconds() <= 45

    def test_a_class_may_have_a_formula_of_its_own(self, server, clock):
        class Steady(Flaky):
            def retry_delay(self, failures):
                return 10 * (failures + 1)

        began = clock.now()
        run_through(server, clock, Steady.create())
        assert [began + timedelta(seconds=n) for n in (0, 10, 30, 60)] == LOG

    def test_one_that_waits_may_be_run_now(self, server, clock):
        job = Flaky.create(good_at=2)
        server.run()
        job.reload().run_now()
        server.run()
        assert (job.reload().state, len(LOG)) == (State.COMPLETED, 2)

    def test_it_is_queued_meanwhile_so_it_can_be_paused_and_aborted(self, server, clock):
        job = Flaky.create()
        server.run()
        job.reload().pause()
        clock.advance(10_000)
        server.run()
        assert len(LOG) == 1
        job.resume()
        server.run()
        assert len(LOG) == 2
        job.reload().abort()
        clock.advance(100_000)
        assert server.run() == 0

    def test_in_a_window_a_try_waits_for_its_opening(self, server, clock):
        class Windowed(ProcessingWindow, Flaky):
            processing_schedule = "0 12 * * *"
            processing_duration = 600.0

            def retry_delay(self, failures):
                return 3600

        job = Windowed.create(retry_limit=1)
        run_through(server, clock, job)
        assert [datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 2, 12, tzinfo=UTC)] == LOG


class TestRules:
    class Ruled(Flaky, kind="retry.Ruled"):
        retry_limit = 2
        retry_rules = {ValueError: 0, LookupError: 1, KeyError: 4, OSError: 3, Exception: 5}  # noqa: RUF012

        def perform(self):
            LOG.append(1)
            raise {"value": ValueError, "unicode": UnicodeError, "key": KeyError, "index": IndexError,
                   "os": FileNotFoundError, "type": TypeError, "base": BaseException, "exit": SystemExit,
                   "timeout": JobTimeout}[self.description]  # fmt: skip

        def retry_delay(self, failures):
            return 1

    @pytest.mark.parametrize(
        ("error", "tries"),
        [
            ("value", 0),
            ("unicode", 0),  # A subclass of ValueError.
            ("index", 1),  # Of LookupError;
            ("key", 4),  # KeyError is nearer.
            ("os", 3),
            ("timeout", 3),  # A TimeoutError, which is an OSError.
            ("type", 5),
            ("base", 2),  # No rule: the limit of the job.
            ("exit", 2),
        ],
    )
    def test_the_nearest_rule_for_an_exception_decides(self, server, clock, error, tries):
        job = self.Ruled.create(description=error)
        run_through(server, clock, job)
        assert (job.state, len(LOG)) == (State.FAILED, tries + 1)

    def test_all_failures_count_whatever_raised_them(self, server, clock):
        class Mixed(self.Ruled):
            def perform(self):
                LOG.append(1)
                raise KeyError if len(LOG) < 3 else IndexError

        job = Mixed.create()
        run_through(server, clock, job)
        assert len(LOG) == 3

    def test_a_rule_beyond_all_limits_ends_all_the_same(self, server, clock, monkeypatch):
        monkeypatch.setattr("penstock.plugins.retry.MOST_TIMES", 10)

        class Patient(Flaky):
            retry_rules = {ValueError: 10**6}  # noqa: RUF012

            def retry_delay(self, failures):
                return 0

        job = Patient.create()
        for _ in range(100):
            server.step()
        job.reload()
        assert (job.state, len(LOG), len(job.failed_at_list)) == (State.FAILED, 11, 10)


class TestKept:
    def test_times_and_errors_are_kept_in_their_order_and_the_exception_is_seen_while_it_waits(self, server, clock):
        job = Flaky.create()
        began = clock.now()
        server.run()
        job.reload()
        assert (job.state, job.exception.summary) == (State.QUEUED, "ValueError: failure 1")
        assert (job.failed_at_list, job.errors) == ([began], ["ValueError: failure 1"])
        run_through(server, clock, job)
        assert job.errors == [f"ValueError: failure {n}" for n in range(1, 5)]
        assert job.exception.summary == "ValueError: failure 4"
        assert job.failed_at_list == LOG

    def test_only_the_newest_errors_are_kept_and_long_ones_are_cut(self, server, clock):
        class Wordy(Flaky):
            def perform(self):
                LOG.append(1)
                raise ValueError(f"{len(LOG)} " + "x" * 10_000)

            def retry_delay(self, failures):
                return 0

        job = Wordy.create(retry_limit=100)
        server.run()
        job.reload()
        assert len(LOG) == 101
        assert len(job.errors) == MOST_ERRORS
        assert [error.split()[1] for error in job.errors] == [str(n) for n in range(101 - MOST_ERRORS + 1, 102)]
        assert max(map(len, job.errors)) == ERROR_LENGTH
        assert len(job.row.fields) < 40_000

    def test_what_the_job_changed_before_it_failed_is_kept(self, server, clock):
        class Counting(Flaky):
            count: int = 0

            def perform(self):
                self.count += 1
                super().perform()

        job = Counting.create()
        run_through(server, clock, job)
        assert job.count == 4

    @pytest.mark.parametrize("what", ["type", "value", "size"])
    def test_one_whose_changes_cannot_be_stored_is_tried_as_often_as_any(self, server, clock, what):
        """What it changed is lost; that it failed must not be, or it would be tried for ever."""
        penstock.configure(max_document=20_000)

        class Spoiling(Flaky):
            items: list[int] = []  # noqa: RUF012

            def perform(self):
                LOG.append(1)
                if what == "size":
                    self.description = "x" * 50_000
                else:
                    self.items.append(object() if what == "type" else "many")
                raise ValueError("spoilt")

            def retry_delay(self, failures):
                return 0

        job = Spoiling.create(retry_limit=2)
        run_through(server, clock, job)
        assert (len(LOG), job.state, job.items) == (3, State.FAILED, [])
        assert len(job.failed_at_list) == 3
        assert job.exception.message == "spoilt"

    def test_what_a_person_edits_while_it_waits_survives(self, server, clock):
        job = Flaky.create(good_at=2)
        server.run()
        job.reload().update(description="watched", priority=2)
        run_through(server, clock, job)
        assert (job.state, job.description, job.priority) == (State.COMPLETED, "watched", 2)


class TestBatch:
    def stored(self, count=6, **values):
        job = FlakyLines(**values)
        job.upload(range(1, count + 1))
        return job.save()

    def test_failed_slices_are_retried_by_themselves_and_the_others_run_once(self, server, clock):
        BROKEN.update({2, 5})
        job = self.stored()
        server.run()
        job.reload()
        assert (job.state, job.exception.class_name) == (State.RUNNING, "SlicesFailed")
        assert job.exception.message == "2 slices failed to process"
        assert job.row.held_until > clock.now()
        assert LOG == [1, 2, 3, 4, 5]
        BROKEN.clear()
        run_through(server, clock, job)
        # Each goes on at the record that failed.
        assert (job.state, LOG) == (State.COMPLETED, [1, 2, 3, 4, 5, 2, 5, 6])
        assert list(job.output.records()) == [10 * n for n in range(1, 7)]
        assert server.store.accounts(job.id).processed == 6
        assert job.errors == ["SlicesFailed: 2 slices failed to process"]

    def test_as_often_as_the_limit_says_and_then_it_stays_failed(self, server, clock):
        BROKEN.add(2)
        job = self.stored()
        run_through(server, clock, job)
        assert (job.state, LOG.count(2), job.failure_count) == (State.FAILED, 4, 4)
        assert len(job.failed_at_list) == 4
        assert server.store.accounts(job.id).failed == 1

    def test_it_is_not_tried_before_its_time(self, server, clock):
        BROKEN.add(2)
        job = self.stored()
        server.run()
        count = len(LOG)
        clock.advance(14.9)
        server.run()
        assert len(LOG) == count
        assert job.reload().state is State.RUNNING

    def test_each_pause_is_within_the_formula(self, server, clock):
        BROKEN.add(2)
        job = self.stored()
        run_through(server, clock, job)
        times = job.failed_at_list
        for failures, (earlier, later) in enumerate(itertools.pairwise(times)):
            pause = (later - earlier).total_seconds()
            assert failures**4 + 15 <= pause <= failures**4 + 15 + 30 * (failures + 1)

    def test_a_person_who_retries_it_need_not_wait(self, server, clock):
        BROKEN.add(2)
        job = self.stored(retry_limit=0)
        server.run()
        assert job.reload().state is State.FAILED
        BROKEN.clear()
        job.retry()
        server.run()
        assert job.reload().state is State.COMPLETED

    def test_its_upload_is_retried_too(self, server, clock):
        class Loading(FlakyLines):
            def before_batch(self):
                LOG.append("load")
                if LOG.count("load") < 3:
                    raise OSError("no file yet")
                self.upload([1, 2])

        job = Loading.create()
        run_through(server, clock, job)
        assert (job.state, LOG) == (State.COMPLETED, ["load", "load", "load", 1, 2])
        assert job.errors == ["OSError: no file yet"] * 2

    def test_its_delivery_is_retried_without_performing_a_record_again(self, server, clock):
        class Delivering(FlakyLines):
            def after_batch(self):
                LOG.append("deliver")
                if LOG.count("deliver") < 3:
                    raise OSError("no room")

        job = Delivering()
        job.upload([1, 2])
        job.save()
        run_through(server, clock, job)
        assert (job.state, LOG) == (State.COMPLETED, [1, 2, "deliver", "deliver", "deliver"])

    def test_slices_and_hooks_share_one_count(self, server, clock):
        class Both(FlakyLines):
            def before_batch(self):
                LOG.append("load")
                if LOG.count("load") < 3:
                    raise OSError("no file yet")
                self.upload([1, 2])

        BROKEN.add(2)
        job = Both.create(retry_limit=3)
        run_through(server, clock, job)
        assert (job.state, LOG) == (State.FAILED, ["load", "load", "load", 1, 2, 2])


class TestElsewhere:
    """Failures that the job's own code did not raise, as those of a worker that was killed at a time-out."""

    def test_a_job_whose_worker_was_killed_at_its_time_out_is_retried(self, server, clock):
        job = Flaky.create(timeout=5, good_at=1)
        task = server.take()
        server.dispatcher.worker_died("w", "server-1:1", "killed", {task.key: 0}, overdue=[task.key])
        server._handed.clear()
        server._facts = []
        server.run()
        job.reload()
        assert (job.state, job.exception.class_name) == (State.QUEUED, "penstock.errors.JobTimeout")
        assert len(job.failed_at_list) == 1
        run_through(server, clock, job)
        assert job.state is State.COMPLETED

    def test_a_failure_is_decided_on_once_though_its_hook_runs_twice(self, server, clock):
        job = Flaky.create()
        server.store.update_job(job.id, {"failure_count": 1, "state": State.FAILED, "pending_hooks": "after_fail"})
        failure = Failure("penstock.errors.JobTimeout", "it took longer").to_json()
        server.store.update_job(job.id, {"exception": failure})
        task = server.take()
        server._performer.run(task)  # The worker dies before it could say so.
        server.crash(task)
        server.run()
        assert (len(job.reload().failed_at_list), job.state) == (1, State.QUEUED)


def test_performed_here_it_is_not_retried_and_nothing_is_stored(clock):
    job = Flaky.create()
    with pytest.raises(ValueError, match="failure 1"):
        job.perform_now()
    back = Flaky.query.first()
    assert (back.state, back.failed_at_list, Job.query.count()) == (State.QUEUED, [], 1)
