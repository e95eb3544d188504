"""What users of Rocket Job know, as they find it here: rows of docs/rocket_job.toml that no other test proves."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from pydantic import ValidationError
from tests.driver import Driver

import penstock
from penstock import BatchJob, Cron, Job, ProcessingWindow, Result, Retry, before_batch, field, throttle
from penstock import hooks as moments
from penstock.config import settings
from penstock.errors import InvalidMove, JobIncomplete, JobNotFound
from penstock.query import Query
from penstock.server.options import ServerOptions
from penstock.server.rescue import Rescuer
from penstock.states import Move, State, SubState
from penstock.store.rows import ServerRow

pytestmark = pytest.mark.usefixtures("configured_store")

LOG: list = []


@pytest.fixture(autouse=True)
def _forgetful():
    LOG.clear()


class Letter(Job, kind="as_rocket_job.Letter"):
    destroy_on_complete = False
    pausable = True
    to: str = "ada"
    broken: bool = False

    def perform(self):
        LOG.append(self.to)
        if self.broken:
            raise ValueError("no paper")
        return f"to {self.to}"


class Lines(BatchJob, kind="as_rocket_job.Lines"):
    destroy_on_complete = False
    collect_output = True
    slice_size = 2

    def perform(self, record):
        LOG.append(record)
        if record == "bad":
            raise ValueError("bad record")
        return record.upper()


def uploaded(*records, cls=Lines, **values):
    """Return a stored batch job with these records."""
    job = cls(**values)
    job.upload(list(records))
    return job.save()


LATER = datetime(2026, 3, 1, tzinfo=UTC)
STANDARD = {
    # The default; another value, which a subclass may have as its own; who may change it; whether the next gets it.
    "description": (None, "letters", True, True),
    "priority": (50, 20, True, True),
    "destroy_on_complete": (True, False, False, True),
    "run_at": (None, LATER, True, False),
    "expires_at": (None, LATER, False, True),
    "log_level": (None, "debug", True, True),
    "throttle_group": (None, "printer", True, True),
    "collect_output": (False, True, False, True),
}


class TestStandardFields:
    @pytest.mark.parametrize("name", STANDARD)
    def test_each_has_a_default_which_a_class_may_change_and_says_who_may_edit_it_and_what_is_copied(self, name):
        default, other, editable, copied = STANDARD[name]

        class Repeated(Cron):
            """One that makes a next instance."""

        class Own(Repeated):
            """One with a default of its own."""

            locals()[name] = other

        assert getattr(Repeated(), name) == default
        assert getattr(Own(), name) == other
        assert (name in Job.editable_fields()) is editable
        following = Repeated(**{name: other}).next_instance()
        assert getattr(following, name) == (other if copied else default)
        stored = Repeated.create(**{name: other})
        assert getattr(Repeated.query.where(id=stored.id).first(), name) == other

    def test_priority_is_from_1_to_100(self):
        assert [Letter(priority=number).priority for number in (1, 100, "7")] == [1, 100, 7]
        for wrong in (0, 101, -1, "high", 1.5, None):
            with pytest.raises(ValidationError, match="priority"):
                Letter(priority=wrong)

    def test_a_log_level_is_one_of_the_known_ones(self):
        for level in ("trace", "debug", "info", "warning", "error", "critical", None):
            assert Letter(log_level=level).log_level == level
        with pytest.raises(ValidationError, match="log_level"):
            Letter(log_level="loud")

    def test_a_new_job_is_queued_and_nothing_has_happened_to_it(self, clock):
        job = Letter()
        assert (job.state, job.created_at, job.percent_complete, job.failure_count) == (State.QUEUED, clock.now(), 0, 0)
        assert {job.started_at, job.completed_at, job.worker, job.exception, job.throttled_by, job.result} == {None}

    @pytest.mark.parametrize(
        "name", ["id", "state", "created_at", "started_at", "completed_at", "failure_count", "worker", "exception"]
    )
    def test_what_the_moves_set_nobody_else_can(self, name):
        job = Letter()
        before = getattr(job, name)
        with pytest.raises((AttributeError, ValueError)):
            setattr(job, name, before)
        with pytest.raises(ValidationError, match=name):
            Letter(**{name: before})

    @pytest.mark.parametrize("move", ["pause", "fail", "abort"])
    def test_completed_at_is_also_when_it_was_paused_failed_or_aborted(self, clock, move):
        job = Letter.create()
        clock.advance(5)
        getattr(job, move)()
        assert job.reload().completed_at == clock.now()
        assert job.created_at < job.completed_at

    def test_failure_count_counts_how_often_it_failed_and_a_retry_keeps_it(self, server):
        job = Letter.create(broken=True)
        for count in (1, 2, 3):
            server.run()
            assert (job.reload().state, job.failure_count) == (State.FAILED, count)
            job.retry()
        assert job.reload().failure_count == 3

    def test_percent_complete_is_what_the_job_says_and_a_hundred_when_it_is_complete(self, server):
        class Going(Letter):
            def perform(self):
                self.percent_complete = 40
                self.save()
                LOG.append(Going.query.first().percent_complete)

        job = Going.create()
        server.run()
        assert (LOG, job.reload().percent_complete) == ([40], 100)
        for wrong in (-1, 101):
            with pytest.raises(ValidationError, match="percent_complete"):
                Letter(percent_complete=wrong)

    def test_an_exception_has_class_message_backtrace_and_worker_which_it_keeps_when_the_job_has_none(self, server):
        job = Letter.create(broken=True)
        server.run()
        job.reload()
        failure = job.exception
        assert (failure.class_name, failure.message, failure.worker_name) == ("ValueError", "no paper", "server-1:1")
        assert any("in perform" in frame for frame in failure.backtrace)
        assert job.worker is None

    def test_record_count_is_unknown_until_an_upload_has_ended(self):
        job = Lines()
        assert job.record_count is None
        with job.upload() as writer:
            writer.write("a")
            assert job.record_count is None
        assert job.record_count == 1
        job.upload(["b", "c"])
        assert job.save().record_count == 3

    def test_a_batch_job_has_slices_of_100_drops_its_output_and_keeps_empty_results(self):
        class Plain(BatchJob):
            """Says nothing of its own."""

        job = Plain()
        assert (job.slice_size, job.collect_output, job.collected_categories()) == (100, False, [])
        (main,) = Plain(collect_output=True).collected_categories()
        assert (main.name, main.nils) == ("main", True)

    def test_output_categories_are_a_list_of_names(self, server):
        class Sorted(Lines):
            output_categories = ["main", "invalid"]  # noqa: RUF012

            def perform(self, record):
                return Result(record, "invalid") if record == "bad" else record

        job = uploaded("a", "bad", "c", cls=Sorted)
        server.run()
        assert (list(job.output.records()), list(job.output["invalid"].records())) == (["a", "c"], ["bad"])


class TestFields:
    def test_a_default_of_a_class_goes_to_its_children_and_not_to_its_siblings(self):
        class Base(Job):
            copies: int = 1

        class Child(Base):
            copies = 2

        class Grandchild(Child):
            """As its parent."""

        class Sibling(Base):
            """As the base class."""

        assert [cls().copies for cls in (Base, Child, Grandchild, Sibling)] == [1, 2, 2, 1]

    def test_text_is_converted_to_the_type_of_the_field_when_it_is_set(self):
        class Typed(Job):
            count: int = 0
            ratio: float = 0.0
            fast: bool = False
            run: UUID | None = None

        job = Typed(count="5")
        job.ratio, job.fast = "1.5", "true"
        job.run = "01a1fbf7-6f14-7862-94d2-f0a999c73cbb"
        assert (job.count, job.ratio, job.fast, job.run.version) == (5, 1.5, True, 7)
        with pytest.raises(ValidationError, match="count"):
            job.count = "five"
        assert job.count == 5

    def test_keys_of_a_dict_may_have_dots(self):
        class Settings(Job):
            values: dict[str, int] = {}  # noqa: RUF012

        job = Settings.create(values={"a.b": 1, "a": 2, "$set": 3, "": 4})
        job.values["c.d.e"] = 5
        job.save()
        assert Settings.query.first().values == {"a.b": 1, "a": 2, "$set": 3, "": 4, "c.d.e": 5}

    def test_a_job_may_have_16_megabytes_unless_the_setting_says_otherwise(self):
        assert penstock.config.settings().max_document == 16 * 2**20

    def test_fields_are_copied_to_the_next_instance_where_they_say_so(self):
        class Repeated(Cron):
            customer: str = field("", copy_on_restart=True)
            note: str = ""

        following = Repeated(customer="ada", note="once").next_instance()
        assert (following.customer, following.note) == ("ada", "")


class TestTold:
    def test_a_state_is_a_query_and_the_first_and_the_last_are_by_creation(self, server):
        class Slow(Letter):
            """Never performed here: its state is what the test makes it."""

        jobs = {name: Slow.create(to=name, priority=100 - n) for n, name in enumerate(("f", "p", "a", "q", "r"))}
        jobs["f"].fail("no")
        jobs["p"].pause()
        jobs["a"].abort()
        jobs["q"].update(run_at=LATER + timedelta(days=9999))
        assert server.take() is not None
        found = {name: [job.to for job in getattr(Slow.query, name)] for name in [*State, "scheduled", "queued_now"]}
        assert found == {
            "queued": ["q"], "running": ["r"], "paused": ["p"], "completed": [], "failed": ["f"], "aborted": ["a"],
            "scheduled": ["q"], "queued_now": [],
        }  # fmt: skip
        assert (Slow.query.first().to, Slow.query.last().to) == ("f", "r")

    def test_running_jobs_are_paused_and_paused_ones_resumed_all_at_once(self, server):
        jobs = Letter.create_many([{}] * 3)
        assert Letter.query.queued.pause() == 3
        assert Letter.query.paused.resume() == 3
        assert server.take() is not None
        assert Letter.query.running.pause() == 1
        assert {job.reload().state for job in jobs} == {State.PAUSED, State.QUEUED}

    def test_the_intended_time_is_run_at_or_else_the_creation(self, clock, server):
        class Timely(Letter):
            def perform(self):
                LOG.append(self.scheduled_at)

        Timely.create()
        planned = clock.now() + timedelta(seconds=60)
        Timely.create(run_at=planned)
        clock.advance(3600)
        server.run()
        assert [planned - timedelta(seconds=60), planned] == LOG


class TestPerformNow:
    def test_it_checks_starts_performs_and_returns_without_storing_or_asking(self):
        class Watched(Letter):
            count: int = field(1, ge=1)

            @throttle("never")
            def never(self):
                return True

            @moments.before_save
            def saving(self):
                LOG.append("before_save")

            @moments.after_start
            def started(self):
                LOG.append((self.state, self.started_at is not None))

        assert Watched(to="grace").perform_now() == "to grace"
        assert LOG == [(State.RUNNING, True), "grace"]
        assert Job.query.count() == 0

    def test_an_invalid_job_is_refused_and_not_performed(self):
        class Listing(Letter):
            pages: list[int] = []  # noqa: RUF012

        job = Listing()
        job.pages.append("x")
        with pytest.raises(ValidationError, match="pages"):
            job.perform_now()
        assert (LOG, job.state) == ([], State.QUEUED)

    def test_it_runs_in_the_callers_thread_and_what_is_raised_comes_out(self):
        import threading

        class Here(Letter):
            def perform(self):
                LOG.append(threading.current_thread())
                raise LookupError("out")

        with pytest.raises(LookupError, match="out"):
            Here().perform_now()
        assert [threading.current_thread()] == LOG


class TestTableOfMoves:
    """Each row of the original's table, by a job in a store."""

    def test_start(self, server, clock):
        class Seen(Letter):
            def perform(self):
                LOG.append((self.state, self.started_at, self.worker))

        job = Seen.create()
        clock.advance(5)
        server.run()
        assert [(State.RUNNING, clock.now(), "server-1:1")] == LOG
        assert job.reload().started_at == clock.now()

    @pytest.mark.parametrize("destroyed", [True, False])
    def test_complete(self, server, clock, destroyed):
        job = Letter.create(destroy_on_complete=destroyed, percent_complete=10)
        server.run()
        assert (server.row(job.id) is None) is destroyed
        job.reload()
        assert (job.state, job.percent_complete, job.worker) == (State.COMPLETED, 100, None)
        assert destroyed or job.completed_at == clock.now()

    @pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.PAUSED])
    def test_fail(self, server, clock, state):
        job = Letter.create()
        if state is State.RUNNING:
            assert server.take() is not None
        if state is State.PAUSED:
            job.pause()
        assert job.reload().state is state
        clock.advance(5)
        job.fail("no ink")
        job.reload()
        assert (job.state, job.completed_at, job.failure_count) == (State.FAILED, clock.now(), 1)
        # Whose worker still has it keeps it until that is through.
        holder = "server-1" if state is State.RUNNING else None
        assert (job.worker, job.row.server, job.exception.message) == (None, holder, "no ink")

    def test_retry(self, server):
        job = Letter.create(broken=True)
        server.run()
        started = job.reload().started_at
        job.retry()
        job.reload()
        assert (job.state, job.completed_at, job.exception, job.worker) == (State.QUEUED, None, None, None)
        assert (job.started_at, job.failure_count) == (started, 1)

    @pytest.mark.parametrize("allowed", [True, False])
    def test_pause_while_it_runs(self, server, clock, allowed):
        class Asked(Letter):
            pausable = allowed

        job = Asked.create()
        assert server.take() is not None
        job.reload()
        if not allowed:
            with pytest.raises(InvalidMove, match="cannot pause a job that is running"):
                job.pause()
            assert job.reload().state is State.RUNNING
            return
        job.pause()
        assert (job.reload().state, job.completed_at, job.row.server) == (State.PAUSED, clock.now(), "server-1")

    def test_pause_while_it_waits(self, clock):
        class Steady(Letter):
            pausable = False

        job = Steady.create().pause()
        assert (job.state, job.completed_at) == (State.PAUSED, clock.now())

    def test_resume_of_one_that_had_started_queues_it_and_its_late_result_is_refused(self, server):
        """The original lets it run on; here its attempt ended with the pause, and it is performed anew."""
        job = Letter.create()
        task = server.take()
        job.reload().pause().resume()
        assert (job.state, job.started_at, job.completed_at) == (State.QUEUED, None, None)
        server.perform(task)
        server.turn()
        assert job.reload().state is not State.COMPLETED
        server.run()
        assert (job.reload().state, LOG) == (State.COMPLETED, ["ada", "ada"])

    def test_resume_of_one_that_had_not_started(self):
        job = Letter.create().pause().resume()
        assert (job.state, job.completed_at, job.started_at) == (State.QUEUED, None, None)

    @pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.FAILED, State.PAUSED])
    def test_abort(self, server, clock, state):
        job = Letter.create()
        {State.FAILED: job.fail, State.PAUSED: job.pause, State.RUNNING: server.take}.get(state, lambda: None)()
        assert job.reload().state is state
        clock.advance(5)
        job.abort()
        job.reload()
        holder = "server-1" if state is State.RUNNING else None
        assert (job.state, job.completed_at, job.worker, job.row.server) == (State.ABORTED, clock.now(), None, holder)

    def test_requeue_of_what_a_dead_server_held_and_of_nothing_else(self, server, configured_store):
        job, other = Letter.create_many([{}, {}])
        task = server.take()
        row = configured_store.job(other.id)
        configured_store.claim_jobs([row], server="server-12", now=penstock.clock.now())
        assert configured_store.release_server("server-1") == 1
        job.reload()
        assert (task.row.id, job.state, job.started_at, job.worker, job.row.server) == (
            job.id, State.QUEUED, None, None, None,
        )  # fmt: skip
        # A name that another begins with is not that other.
        assert (other.reload().state, other.row.server) == (State.RUNNING, "server-12")

    @pytest.mark.parametrize("ended", ["completed", "aborted"])
    def test_what_has_ended_for_good_is_not_retried(self, server, ended):
        job = Letter.create()
        server.run() if ended == "completed" else job.abort()
        assert job.reload().state == ended
        with pytest.raises(InvalidMove, match="nothing, it has ended"):
            job.retry()
        assert not job.can("retry")

    def test_a_move_of_a_new_job_is_in_memory_and_of_a_stored_one_in_the_store(self, configured_store):
        job = Letter().pause()
        assert (job.state, configured_store.count_jobs(Query())) == (State.PAUSED, 0)
        stored = Letter.create().pause()
        assert configured_store.job(stored.id).state is State.PAUSED

    def test_fail_with_a_text_has_a_class_of_its_own_and_no_backtrace(self):
        failure = Letter.create().fail("no ink").exception
        assert (failure.class_name, failure.message, failure.backtrace) == ("penstock.JobFailed", "no ink", [])
        assert Letter.create().fail().exception.message == ""


class TestHooksOfMoves:
    def test_each_move_has_hooks_before_in_order_and_after_in_reverse(self):
        class Base(Letter, abstract=True):
            @moments.before_pause
            def base_before(self):
                LOG.append("base before")

            @moments.after_pause
            def base_after(self):
                LOG.append("base after")

        class Real(Base):
            @moments.before_pause
            def own_before(self):
                LOG.append("own before")

            @moments.after_pause
            def own_after(self):
                LOG.append("own after")

        Real.create().pause()
        assert LOG == ["base before", "own before", "own after", "base after"]

    def test_every_move_and_every_way_of_storing_has_its_moments(self):
        wanted = {f"{when}_{move}" for move in Move for when in ("before", "after")}
        wanted |= {f"{when}_{what}" for what in ("save", "create", "update", "destroy", "validation", "perform")
                   for when in ("before", "after")}  # fmt: skip
        wanted |= {"around_perform", "after_init", "before_batch", "after_batch"}
        wanted |= {"before_slice", "around_slice", "after_slice"}
        assert wanted == set(moments.HOOKS)

    def test_an_invalid_job_can_still_fail(self, server, configured_store):
        job = Letter.create()
        configured_store.update_job(job.id, {"fields": {"to": None}})
        server.run()
        row = server.row(job.id)
        assert (row.state, row.failure_count) == (State.FAILED, 1)
        assert "to" in row.exception


class TestBatch:
    def test_its_parts_are_before_then_processing_then_after_and_none_when_it_is_complete(self, server):
        class Parts(Lines):
            @moments.before_batch
            def first(self):
                LOG.append(("before_batch", self.sub_state))

            @moments.after_batch
            def last(self):
                LOG.append(("after_batch", self.sub_state))

        job = uploaded("a", "b", "c", cls=Parts)
        assert job.sub_state is None
        server.step()
        assert job.reload().sub_state is SubState.PROCESSING
        server.run()
        assert (job.reload().state, job.sub_state) == (State.COMPLETED, None)
        assert [entry for entry in LOG if isinstance(entry, tuple)] == [
            ("before_batch", SubState.BEFORE),
            ("after_batch", SubState.AFTER),
        ]

    @pytest.mark.parametrize("part", ["before_batch", "after_batch"])
    def test_it_cannot_be_paused_before_its_first_slice_or_after_its_last(self, server, part):
        class Hooked(Lines):
            """Has a part in which it cannot be paused."""

        setattr(Hooked, part, lambda self: None)
        Hooked.hooks = moments.collect_hooks(Hooked)
        job = uploaded("a", cls=Hooked)
        if part == "after_batch":
            server.step()
        assert server.take().moment == part
        with pytest.raises(InvalidMove):
            job.pause()
        assert job.reload().state is State.RUNNING

    def test_it_may_be_paused_while_it_waits_and_between_its_slices(self, server):
        job = uploaded("a", "b", "c", "d")
        assert job.pause().resume().state is State.QUEUED
        server.step()
        assert (job.pause().state, job.sub_state) == (State.PAUSED, SubState.PROCESSING)
        assert (job.resume().state, job.sub_state) == (State.RUNNING, SubState.PROCESSING)

    def test_a_retry_before_its_slices_begins_anew(self, server):
        trouble = [1]

        class Loading(Lines):
            @before_batch
            def load(self):
                LOG.append("load")
                self.upload(["a", "b"])
                if trouble:
                    raise ValueError("no file")

        job = Loading.create()
        server.run()
        assert (job.reload().state, job.sub_state) == (State.FAILED, SubState.BEFORE)
        trouble.clear()
        job.retry()
        assert (job.state, job.sub_state, job.started_at, job.row.server) == (State.QUEUED, None, None, None)
        server.run()
        assert (job.reload().state, LOG) == (State.COMPLETED, ["load", "load", "a", "b"])
        assert list(job.output.records()) == ["A", "B"]

    def test_a_retry_in_its_slices_queues_the_failed_ones_where_they_stopped(self, server):
        job = uploaded("a", "bad", "c", "d", "e", "bad")
        server.run()
        assert (job.reload().state, job.exception.message) == (State.FAILED, "2 slices failed to process")
        LOG.clear()
        job.retry()
        assert (job.state, job.sub_state) == (State.RUNNING, SubState.PROCESSING)
        server.run()
        # Records before those that failed are not performed again.
        assert (job.reload().state, LOG) == (State.FAILED, ["bad", "bad"])
        assert job.failure_count == 2

    def test_a_retry_after_its_last_slice_performs_no_record_again(self, server):
        trouble = [1]

        class Delivering(Lines):
            @moments.after_batch
            def deliver(self):
                LOG.append("deliver")
                if trouble:
                    raise ValueError("disk full")

        job = uploaded("a", "b", cls=Delivering)
        server.run()
        assert (job.reload().state, job.sub_state) == (State.FAILED, SubState.AFTER)
        trouble.clear()
        job.retry()
        assert (job.state, job.sub_state) == (State.RUNNING, SubState.PROCESSING)
        server.run()
        assert (job.reload().state, LOG) == (State.COMPLETED, ["a", "b", "deliver", "deliver"])

    @pytest.mark.parametrize("limit", [None, 1])
    @pytest.mark.parametrize("move", ["pause", "fail"])
    def test_one_that_is_moved_while_it_queues_on_its_way_goes_on_where_it_was(self, server, move, limit):
        class Limited(Lines):
            throttle_running_jobs = limit

            @before_batch
            def load(self):
                LOG.append("load")
                self.upload(["a", "b", "c", "d"])

        job = Limited.create()
        assert server.step() is not None
        for _ in range(2):
            # One that counts against a limit waits in the queue then, and may be moved again there.
            job.reload()
            getattr(job, move)()
            {"pause": job.resume, "fail": job.retry}[move]()
            assert job.sub_state is SubState.PROCESSING
            assert job.state is (State.QUEUED if limit else State.RUNNING)
        server.run()
        assert (job.reload().state, LOG) == (State.COMPLETED, ["load", "a", "b", "c", "d"])

    @pytest.mark.parametrize("end", ["abort", "destroy"])
    def test_abort_and_destroy_drop_input_and_output(self, server, end):
        job = uploaded("a", "b", "c", "d")
        server.step()
        assert [len(part) for part in job.output] == [2]
        getattr(job.reload(), end)()
        assert server.store.slice_counts(job.id) == {}
        assert list(server.store.outputs(job.id, "main")) == []

    def test_fail_drops_nothing(self, server):
        job = uploaded("a", "b", "c", "d")
        server.step()
        job.reload().fail("stop")
        assert sum(server.store.slice_counts(job.id).values()) == 1
        assert list(job.output.records()) == ["A", "B"]

    def test_completion_drops_no_output_unless_the_job_is_destroyed(self, server, tmp_path):
        kept, gone = uploaded("a", "b"), uploaded("a", "b", destroy_on_complete=True)
        server.run()
        assert kept.reload().download(tmp_path / "out.txt") == 2
        assert server.store.slice_counts(kept.id) == {}
        assert list(server.store.outputs(gone.id, "main")) == []
        with pytest.raises((JobIncomplete, JobNotFound)):
            gone.download(tmp_path / "gone.txt")

    def test_what_a_dead_server_held_of_it_is_queued_and_it_runs_on(self, server):
        job = uploaded("a", "b", "c", "d")
        server.step()
        assert server.take() is not None
        assert server.store.release_server("server-1") == 1
        job.reload()
        assert (job.state, job.sub_state, job.worker) == (State.RUNNING, SubState.PROCESSING, None)
        assert {str(state): count for state, count in server.store.slice_counts(job.id).items()} == {"queued": 1}

    def test_a_failed_slice_says_where_and_why_and_keeps_its_place_over_a_retry(self, server):
        job = uploaded("a", "b", "c", "bad")
        server.run()
        (failed,) = server.store.failed_slices(job.id)
        assert (failed.number, failed.first_record, failed.failed_record) == (2, 3, 4)
        assert "bad record" in failed.exception
        assert "server-1:1" in failed.exception
        assert list(job.reload().output.records()) == ["A", "B", "C"]


class TestServer:
    def row(self, name="other", heartbeat=0):
        return ServerRow(name, "elsewhere", 1, "running", penstock.clock.now(), heartbeat, 1, 1)

    def test_it_has_ten_slots_unless_it_is_told_otherwise(self):
        assert ServerOptions(app=["jobs"]).workers == 10
        assert ServerOptions(app=["jobs"], workers=3, processes=8).process_count == 3

    def test_one_elsewhere_is_dead_when_its_counter_stands_still_by_the_observers_own_clock(
        self, configured_store, clock, monkeypatch
    ):
        monkeypatch.setattr(configured_store, "is_present", lambda name: None)  # As of a process on another host.
        job = Letter.create()
        configured_store.register_server(self.row())
        configured_store.claim_jobs([configured_store.job(job.id)], server="other", now=clock.now())
        rescuer = Rescuer(configured_store, "me")
        for _ in range(3):
            rescuer.look()
            clock.advance(settings().dead_after - 0.001)
            rescuer.look()
            assert job.reload().state is State.RUNNING
            configured_store.beat("other", "running")
        rescuer.look()
        clock.advance(settings().dead_after)
        rescuer.look()
        assert (job.reload().state, configured_store.servers()) == (State.QUEUED, [])

    @pytest.mark.parametrize("move", ["pause", "fail"])
    def test_slices_of_a_dead_server_are_queued_though_somebody_has_paused_or_failed_their_job(self, server, move):
        job = uploaded("a", "b", "c")
        assert server.take() is not None
        getattr(job.reload(), move)()
        state = job.state
        assert server.store.release_server("server-1") == 1
        assert job.reload().state is state
        assert {str(each): count for each, count in server.store.slice_counts(job.id).items()} == {"queued": 2}

    def test_after_batch_and_completion_come_once_over_all_servers(self, server, configured_store):
        class Delivering(Lines):
            @moments.after_batch
            def deliver(self):
                LOG.append("deliver")

        job = uploaded("a", "b", "c", "d", cls=Delivering)
        servers = [server, Driver(configured_store, "server-2")]
        tasks = [each.take() for each in servers]
        assert [task.number for task in tasks] == [1, 2]
        for each, task in zip(servers, tasks, strict=True):
            each.perform(task)
        for _ in range(3):
            for each in servers:
                each.step()
        assert (job.reload().state, LOG.count("deliver")) == (State.COMPLETED, 1)


class TestOrderOfWork:
    def test_a_running_batch_job_goes_before_newer_ones_and_gives_way_to_more_urgent_ones(self, server):
        uploaded(*"abcdefgh")
        server.step()
        Letter.create(to="newer")
        server.step()
        Letter.create(to="urgent", priority=10)
        server.run()
        # The slice that its slot had by then comes first.
        assert [*"abcdef", "urgent", *"gh", "newer"] == LOG

    @pytest.mark.parametrize("part", ["before_batch", "after_batch"])
    def test_a_batch_job_before_its_first_slice_or_after_its_last_is_no_work_for_others(
        self, server, configured_store, part
    ):
        cls = type(Lines)("Parts", (Lines,), {"__module__": __name__, part: lambda self: None})
        uploaded("a", cls=cls)
        if part == "after_batch":
            server.step()
        assert server.take().moment == part
        assert Driver(configured_store, "server-2").take() is None

    def test_what_raises_before_it_starts_fails_and_the_worker_goes_on(self, server):
        class Refusing(Letter):
            @moments.before_start
            def refuse(self):
                raise ValueError("not today")

        job = Refusing.create()
        Letter.create(to="next")
        server.run()
        assert (job.reload().state, job.exception.message, LOG) == (State.FAILED, "not today", ["next"])


class TestThrottles:
    def started(self, configured_store, *jobs, slots=5):
        """Return how many of these jobs a server starts that has room for more."""
        driver = Driver(configured_store, "server-9", slots=slots)
        count = 0
        while driver.take() is not None:
            count += 1
        assert count == sum(job.reload().state is State.RUNNING for job in jobs)
        return count

    @pytest.mark.parametrize(("limit", "count"), [(1, 1), (2, 2), (None, 4), (0, 4), (-1, 4)])
    def test_so_many_of_a_class_run_at_once_and_none_is_no_limit(self, configured_store, limit, count):
        class Limited(Letter):
            throttle_running_jobs = limit

        assert self.started(configured_store, *Limited.create_many([{}] * 4)) == count

    def test_jobs_that_are_paused_failed_or_waiting_do_not_count(self, configured_store):
        class Limited(Letter):
            throttle_running_jobs = 1

        Limited.create().pause()
        Limited.create().fail("no")
        Limited.create(run_at=LATER + timedelta(days=9999))
        Letter.create()
        assert self.started(configured_store, *Limited.create_many([{}] * 2), *Letter.query.of_this_kind_only()) == 2

    def test_a_limit_may_be_lowered_and_what_runs_goes_on(self, configured_store, server):
        class Limited(Letter):
            throttle_running_jobs = 3

        jobs = Limited.create_many([{}] * 4)
        assert self.started(configured_store, *jobs) == 3
        Limited.throttle_running_jobs = 1
        assert server.take() is None
        assert sum(job.reload().state is State.RUNNING for job in jobs) == 3

    def test_they_are_inherited_and_asked_in_the_order_of_declaration(self, server, clock):
        class Base(Letter):
            @throttle("the first")
            def first(self):
                LOG.append("first")
                return False

        class Child(Base):
            @throttle("the second", scope="job")
            def second(self):
                LOG.append("second")
                return True

        job = Child.create()
        server.run()
        assert (LOG, job.reload().throttled_by) == (["first", "second"], "the second")
        Base.create()
        server.run()
        assert LOG == ["first", "second", "first", "ada"]

    def test_one_that_is_declared_again_takes_the_place_of_the_first_and_none_switches_it_off(self, server, clock):
        class Base(Letter):
            @throttle("closed")
            def closed(self):
                return True

        class Open(Base):
            closed = None

        class Other(Base):
            @throttle("still closed")
            def closed(self):
                LOG.append("asked")
                return False

        Open.create(to="open")
        Other.create(to="other")
        server.run()
        assert LOG == ["open", "asked", "other"]
        assert [len(cls.throttles) for cls in (Base, Open, Other)] == [1, 0, 1]

    def test_without_a_reason_the_name_of_the_method_is_one(self):
        class Named(Letter):
            @throttle()
            def _disk_space_exceeded(self):
                return True

            @throttle(lambda job: f"no room for {job.to}")
            def room(self):
                return True

        first, second = Named.throttles
        assert (first.reason, second.reason(Named())) == ("disk space", "no room for ada")

    @pytest.mark.parametrize("wrong", [{"scope": "class"}, {"seconds": 0}, {"seconds": -1}])
    def test_a_wrong_declaration_is_refused(self, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            throttle("no", **wrong)

    def test_a_throttle_of_slices_is_asked_before_each_slice_and_gives_it_back(self, server, clock):
        class Throttled(Lines):
            @throttle("too much", slices=True, scope="job", seconds=30)
            def much(self):
                LOG.append("asked")
                return LOG.count("asked") == 2

        job = uploaded("a", "b", "c", "d", cls=Throttled)
        server.run()
        assert LOG == ["asked", "a", "b", "asked"]
        assert (job.reload().state, job.throttled_by) == (State.RUNNING, "too much")
        assert {str(state): count for state, count in server.store.slice_counts(job.id).items()} == {"queued": 1}
        clock.advance(30)
        server.run()
        assert job.reload().state is State.COMPLETED


class TestSuccession:
    def test_the_next_instance_has_copied_fields_only_and_none_of_the_run(self, server, clock):
        class Hourly(Letter, Cron):
            cron_schedule = "@hourly"
            customer: str = field("", copy_on_restart=True)
            collect_output = True

        job = Hourly.create(customer="ada", to="grace", priority=7)
        clock.advance(3600)
        server.run()
        (following,) = Hourly.query.queued
        assert (job.reload().state, job.result) == (State.COMPLETED, "to grace")
        assert (following.customer, following.priority, following.to) == ("ada", 7, "ada")
        assert following.cron_schedule == "@hourly"
        assert (following.started_at, following.completed_at, following.exception, following.result) == (None,) * 4
        assert (following.failure_count, following.percent_complete, following.state) == (0, 0, State.QUEUED)

    def test_fields_of_plug_ins_may_be_edited_and_the_next_instance_gets_them(self):
        class All(Cron, Retry, ProcessingWindow):
            processing_schedule = "@daily"
            processing_duration = 60.0

        fields = {
            "cron_schedule": ("@weekly", None), "cron_singleton": (False, True), "cron_after_start": (True, False),
            "retry_limit": (3, 25), "processing_schedule": ("@hourly", "@daily"), "processing_duration": (5.0, 60.0),
        }  # fmt: skip
        assert set(fields) <= set(All.editable_fields())
        assert {name: getattr(All(), name) for name in fields} == {name: value for name, (_, value) in fields.items()}
        following = All(**{name: value for name, (value, _) in fields.items()}).next_instance()
        assert {name: getattr(following, name) for name in fields} == {
            name: value for name, (value, _) in fields.items()
        }
        assert All(failed_at_list=[penstock.clock.now()]).next_instance().failed_at_list == []

    def test_the_next_instance_of_a_batch_job_has_its_outputs_and_not_its_records(self):
        class Nightly(Cron, Lines):
            cron_schedule = "@daily"

        job = uploaded("a", "b", cls=Nightly, output_categories=["main", "invalid"], slice_size=7)
        following = job.next_instance()
        assert [category.name for category in following.output_categories] == ["main", "invalid"]
        assert (following.slice_size, following.record_count, following.input_category.uploads) == (7, None, [])
