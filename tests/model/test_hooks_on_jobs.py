"""Hooks of jobs: which of them run, in which order, and what comes of it when one raises or moves its job."""

from datetime import timedelta

import pytest

from penstock import BatchJob, Job, field
from penstock import hooks as moments
from penstock.errors import InvalidMove, JobNotFound
from penstock.hooks import HOOKS
from penstock.model import kinds
from penstock.model.moves import move_job
from penstock.states import Move, State

pytestmark = pytest.mark.usefixtures("configured_store")

LOG: list = []


@pytest.fixture(autouse=True)
def _forgetful():
    LOG.clear()


def noting(moment):
    """Return a method that notes the moment."""

    def method(self):
        LOG.append(moment)

    def around(self):
        LOG.append(f"{moment} in")
        yield
        LOG.append(f"{moment} out")

    return around if moment.startswith("around") else method


def class_of(*bases, **body):
    """Return a job class with these members."""
    return type(Job)("Hooked", bases or (Job,), {"__module__": __name__, "__qualname__": "class_of.<locals>.H", **body})


def note_perform(self, *record):
    LOG.append("perform")


EVERY = {moment: noting(moment) for moment in HOOKS}
STORING = ["before_validation", "after_validation", "before_save"]
AROUND_PERFORM = ["before_perform", "around_perform in", "perform", "around_perform out", "after_perform"]


def taken(*ignored):
    """Return what was noted since the last time."""
    found = [moment for moment in LOG if moment not in ignored]
    LOG.clear()
    return found


def raising(moment, error=None):
    """Return a method for a moment that raises."""

    def method(self):
        raise error or ValueError(f"in {moment}")

    def around(self):
        raise error or ValueError(f"in {moment}")
        yield

    return around if moment.startswith("around") else method


class TestOrder:
    def test_of_a_regular_job(self, server):
        cls = class_of(**EVERY, perform=note_perform)
        cls.create()
        assert taken() == ["after_init", *STORING, "before_create", "after_create", "after_save"]
        server.run()
        started = ["after_init", "before_start", "after_start"]
        assert taken() == [*started, *AROUND_PERFORM, "before_complete", "after_init", "after_complete"]
        assert cls.query.count() == 0

    def test_of_a_batch_job(self, server):
        cls = class_of(BatchJob, **EVERY, perform=note_perform)
        job = cls(slice_size=2)
        job.upload(["a", "b", "c"])
        job.save()
        assert taken() == [
            "after_init", *STORING, "before_create",  # As a draft.
            *STORING, "after_create", "after_save",
        ]  # fmt: skip
        server.run()
        before, after = ["before_slice", "around_slice in"], ["around_slice out", "after_slice"]
        assert taken("after_init") == [
            "before_start", "after_start", "before_batch",
            *before, *AROUND_PERFORM, *AROUND_PERFORM, *after,
            *before, *AROUND_PERFORM, *after,
            "after_batch", "before_complete", "after_complete",
        ]  # fmt: skip
        assert cls.query.count() == 0

    def test_of_a_regular_job_that_fails(self, server):
        cls = class_of(**EVERY, perform=raising("perform"))
        cls.create()
        taken()
        server.run()
        begun = ["before_start", "after_start", "before_perform", "around_perform in"]
        assert taken("after_init") == [*begun, "before_fail", "after_fail"]

    def test_of_a_batch_job_that_fails_in_a_slice(self, server):
        cls = class_of(BatchJob, **EVERY, perform=raising("perform"))
        job = cls()
        job.upload(["a"])
        job.save()
        taken()
        server.run()
        assert job.reload().state is State.FAILED
        begun = ["before_start", "after_start", "before_batch", "before_slice", "around_slice in"]
        assert taken("after_init") == [*begun, "before_perform", "around_perform in", "after_fail"]

    def test_of_a_regular_job_performed_here(self, configured_store):
        job = class_of(**EVERY, perform=note_perform)()
        job.perform_now()
        started = ["after_init", "before_start", "after_start"]
        assert taken() == [*started, *AROUND_PERFORM, "before_complete", "after_complete"]
        assert Job.query.count() == 0

    def test_of_a_regular_job_performed_here_that_fails(self):
        job = class_of(**EVERY, perform=raising("perform"))()
        with pytest.raises(ValueError, match="in perform"):
            job.perform_now()
        begun = ["before_start", "after_start", "before_perform", "around_perform in"]
        assert taken("after_init") == [*begun, "before_fail", "after_fail"]

    def test_of_a_batch_job_performed_here_is_that_on_a_server(self):
        cls = class_of(BatchJob, **EVERY, perform=note_perform)
        job = cls(slice_size=2)
        job.upload(["a", "b", "c"])
        taken()
        job.perform_now()
        before, after = ["before_slice", "around_slice in"], ["around_slice out", "after_slice"]
        assert taken("after_init") == [
            "before_start", "after_start", "before_batch",
            *before, *AROUND_PERFORM, *AROUND_PERFORM, *after,
            *before, *AROUND_PERFORM, *after,
            "after_batch", "before_complete", "after_complete",
        ]  # fmt: skip

    def test_of_base_classes_and_mixins_before_from_base_to_subclass_and_after_the_other_way(self, server):
        class Mixin(Job, abstract=True):
            @moments.before_perform
            def mixin_before(self):
                LOG.append("mixin before")

            @moments.after_perform
            def mixin_after(self):
                LOG.append("mixin after")

            @moments.around_perform
            def mixin_around(self):
                LOG.append("mixin in")
                yield
                LOG.append("mixin out")

        class Base(Job, abstract=True):
            @moments.before_perform
            def base_before(self):
                LOG.append("base before")

            @moments.around_perform
            def base_around(self):
                LOG.append("base in")
                yield
                LOG.append("base out")

            @moments.after_perform
            def base_after(self):
                LOG.append("base after")

        class Real(Mixin, Base):
            @moments.after_perform
            def own_after(self):
                LOG.append("own after")

            @moments.before_perform
            def own_before(self):
                LOG.append("own before")

            def perform(self):
                LOG.append("perform")

        Real.create()
        server.run()
        assert taken() == [
            "base before", "mixin before", "own before", "base in", "mixin in",
            "perform",
            "mixin out", "base out", "own after", "mixin after", "base after",
        ]  # fmt: skip

    def test_a_plain_class_may_bring_hooks_too(self, server):
        class Telling:
            @moments.after_perform
            def tell(self):
                LOG.append(self.name)

        class Real(Telling, Job):
            name: str = "ada"

            def perform(self):
                """Nothing."""

        Real.create(name="grace")
        server.run()
        assert taken() == ["grace"]

    def test_a_user_mixin_adds_fields_validations_and_hooks(self, server):
        class Counted(Job, abstract=True):
            count: int = field(0, ge=0, copy_on_restart=True)

            @moments.before_perform
            def count_on(self):
                self.count += 1

            @moments.after_validation
            def refuse_thirteen(self):
                if self.count == 13:
                    raise ValueError("thirteen")

        class Real(Counted):
            destroy_on_complete = False

            def perform(self):
                """Nothing."""

        job = Real.create(count=4)
        server.run()
        assert job.reload().count == 5
        with pytest.raises(ValueError, match="thirteen"):
            Real.create(count=13)
        assert "count" in Real.copied_fields()

    def test_of_a_method_that_is_declared_again_is_the_newest_once_at_its_first_place(self, server):
        class Base(Job, abstract=True):
            @moments.before_perform
            def first(self):
                LOG.append("old first")

            @moments.before_perform
            def second(self):
                LOG.append("second")

        class Real(Base):
            @moments.before_perform
            def third(self):
                LOG.append("third")

            @moments.before_perform
            def first(self):
                LOG.append("new first")

            perform = note_perform

        Real.create()
        server.run()
        assert taken() == ["new first", "second", "third", "perform"]

    def test_one_method_may_serve_several_moments(self, server):
        class Several(Job):
            broken: bool = False

            @moments.after_complete
            @moments.after_fail
            @moments.before_perform
            def tell(self):
                LOG.append(self.state)

            def perform(self):
                if self.broken:
                    raise ValueError

        Several.create()
        server.run()
        assert taken() == [State.RUNNING, State.COMPLETED]
        Several.create(broken=True)
        server.run()
        assert taken() == [State.RUNNING, State.FAILED]

    def test_the_state_at_each_moment_is_the_one_the_moment_is_named_for(self, server):
        def telling(moment):
            return lambda self: LOG.append((moment, self.state))

        told = ["before_start", "after_start", "before_complete", "after_complete", "before_pause", "after_pause"]
        cls = class_of(**{moment: telling(moment) for moment in told}, perform=lambda self: None)
        job = cls.create().pause()
        assert taken() == [("before_pause", State.QUEUED), ("after_pause", State.PAUSED)]
        job.resume()
        server.run()
        running = [(moment, State.RUNNING) for moment in ("before_start", "after_start", "before_complete")]
        assert taken() == [*running, ("after_complete", State.COMPLETED)]


class TestAround:
    def run(self, server, *around, perform=note_perform, **body):
        for number, generator in enumerate(around):
            body[f"around_{number}"] = moments.around_perform(generator)
        job = class_of(perform=perform, destroy_on_complete=False, collect_output=True, **body).create()
        server.run()
        return job.reload()

    def test_what_perform_raises_is_raised_at_the_yield(self, server):
        def watch(self):
            try:
                yield
            except ValueError as error:
                LOG.append(str(error))
                raise

        job = self.run(server, watch, watch, perform=raising("perform"))
        assert taken() == ["in perform"] * 2
        assert (job.state, job.exception.summary) == (State.FAILED, "ValueError: in perform")

    def test_what_it_swallows_did_not_happen_and_the_result_is_none(self, server):
        def swallow(self):
            try:
                yield
            except ValueError:
                LOG.append("swallowed")

        job = self.run(server, swallow, perform=raising("perform"), after_perform=noting("after_perform"))
        assert taken() == ["swallowed", "after_perform"]
        assert (job.state, job.result, job.exception) == (State.COMPLETED, None, None)

    def test_what_it_turns_into_another_exception_fails_the_job_with_that(self, server):
        def turn(self):
            try:
                yield
            except ValueError as error:
                raise KeyError("turned") from error

        job = self.run(server, turn, perform=raising("perform"))
        assert (job.state, job.exception.summary) == (State.FAILED, "KeyError: 'turned'")

    def test_its_end_runs_whatever_perform_raises(self, server):
        def tidy(self):
            try:
                yield
            finally:
                LOG.append("tidy")

        for error in (ValueError("x"), SystemExit(1), KeyboardInterrupt(), StopIteration("x"), GeneratorExit()):
            job = self.run(server, tidy, tidy, perform=raising("perform", error))
            assert (taken(), job.state) == (["tidy", "tidy"], State.FAILED), error
            assert job.exception.class_name == type(error).__name__

    def test_without_a_yield_it_fails_the_job_and_perform_is_not_called(self, server):
        def never(self):
            if self.priority > 1000:
                yield

        job = self.run(server, never)
        assert (taken(), job.state) == ([], State.FAILED)
        assert "yield" in job.exception.message

    def test_with_two_yields_it_fails_the_job(self, server):
        def twice(self):
            yield
            yield

        job = self.run(server, twice)
        assert (taken(), job.state) == (["perform"], State.FAILED)
        assert "stop" in job.exception.message

    def test_that_raises_before_its_yield_fails_the_job_and_those_outside_it_see_it(self, server):
        def outer(self):
            try:
                yield
            except ValueError:
                LOG.append("seen")
                raise

        job = self.run(server, outer, raising("around_perform"))
        assert (taken(), job.state) == (["seen"], State.FAILED)

    def test_that_raises_after_its_yield_fails_the_job_though_perform_returned(self, server):
        def late(self):
            yield
            raise ValueError("late")

        job = self.run(server, late)
        assert (taken(), job.state, job.result) == (["perform"], State.FAILED, None)
        assert job.exception.message == "late"

    def test_that_is_no_generator_fails_the_job_and_is_named(self, server):
        def plain(self):
            """No yield: most likely forgotten."""

        job = self.run(server, plain)
        assert (taken(), job.state) == ([], State.FAILED)
        assert "around_0" in job.exception.message


BEFORE_PERFORM = ["before_start", "after_start", "before_perform", "around_perform"]


class TestRaising:
    @pytest.mark.parametrize("moment", [*BEFORE_PERFORM, "after_perform", "before_complete"])
    def test_a_hook_that_raises_fails_the_job_at_each_moment(self, server, moment):
        cls = class_of(**{moment: raising(moment)}, after_fail=noting("after_fail"), perform=note_perform)
        job = cls.create()
        server.run()
        job.reload()
        assert (job.state, job.exception.summary) == (State.FAILED, f"ValueError: in {moment}")
        assert job.failure_count == 1
        assert taken() == ([] if moment in BEFORE_PERFORM else ["perform"]) + ["after_fail"]

    @pytest.mark.parametrize(
        "moment",
        ["before_start", "after_start", "before_batch", "before_slice", "around_slice", "before_perform",
         "around_perform", "after_perform", "after_slice", "after_batch", "before_complete"],
    )  # fmt: skip
    def test_a_hook_that_raises_fails_a_batch_job_at_each_moment_and_a_retry_completes_it(self, server, moment):
        class Batch(BatchJob):
            collect_output = True
            destroy_on_complete = False
            slice_size = 2

            def perform(self, record):
                return record

        trouble = [moment]
        body = dict.fromkeys(["before_start"], noting("before_start"))

        def maybe(self):
            if trouble:
                raise ValueError(f"in {moment}")

        def maybe_around(self):
            maybe(self)
            yield

        cls = class_of(Batch, **body | {moment: maybe_around if "around" in moment else maybe})
        job = cls()
        job.upload(["a", "b", "c"])
        job.save()
        server.run()
        job.reload()
        assert job.state is State.FAILED
        stored = [failure.exception for failure in server.store.failed_slices(job.id)] or [job.row.exception]
        assert all(f"in {moment}" in text for text in stored)
        trouble.clear()
        job.retry()
        server.run()
        assert job.reload().state is State.COMPLETED
        assert list(job.output.records()) == ["a", "b", "c"]
        assert server.store.accounts(job.id).processed == 3

    def test_a_before_fail_that_raises_is_the_reason_then(self, server):
        cls = class_of(perform=raising("perform"), before_fail=raising("before_fail"), after_fail=noting("after_fail"))
        job = cls.create()
        server.run()
        assert (job.reload().state, job.exception.message) == (State.FAILED, "in before_fail")
        assert taken() == ["after_fail"]

    def test_an_after_complete_that_raises_is_recorded_and_the_job_stays_completed_and_there(self, server):
        job = class_of(perform=note_perform, after_complete=raising("after_complete")).create()
        server.run()
        job.reload()
        assert (job.state, job.exception.message, job.failure_count) == (State.COMPLETED, "in after_complete", 0)
        assert job.row.pending_hooks is None
        assert job.is_stored
        assert type(job).query.count() == 1
        assert server.run() == 0

    def test_an_after_fail_that_raises_is_recorded_and_the_job_stays_failed(self, server):
        job = class_of(perform=raising("perform"), after_fail=raising("after_fail")).create()
        server.run()
        job.reload()
        assert (job.state, job.exception.message, job.failure_count) == (State.FAILED, "in after_fail", 1)
        assert server.run() == 0

    def test_an_after_abort_that_raises_comes_out_and_is_recorded(self, server):
        job = class_of(after_abort=raising("after_abort")).create()
        with pytest.raises(ValueError, match="in after_abort"):
            job.abort()
        job.reload()
        assert (job.state, job.exception.message) == (State.ABORTED, "in after_abort")
        assert server.run() == 0

    @pytest.mark.parametrize("move", ["pause", "resume", "retry"])
    def test_a_hook_after_a_move_that_raises_fails_a_job_that_has_not_ended(self, server, move):
        cls = class_of(**{f"after_{move}": raising(f"after_{move}")}, after_fail=noting("after_fail"))
        job = cls.create()
        {"resume": job.pause, "retry": job.fail}.get(move, lambda: None)()
        taken()
        with pytest.raises(ValueError, match=f"in after_{move}"):
            getattr(job, move)()
        server.run()
        job.reload()
        assert (job.state, job.exception.message) == (State.FAILED, f"in after_{move}")
        # Whatever failed it: those who wait for its end are told.
        assert taken() == ["after_fail"]

    @pytest.mark.parametrize("move", ["pause", "resume", "retry", "abort", "fail"])
    def test_a_hook_before_a_move_that_raises_refuses_the_move(self, move):
        job = class_of(**{f"before_{move}": raising(f"before_{move}")}).create()
        {"resume": job.pause, "retry": job.fail}.get(move, lambda: None)()
        state = job.state
        with pytest.raises(ValueError, match=f"in before_{move}"):
            getattr(job, move)()
        assert (job.reload().state, job.state, job.exception is None) == (state, state, move != "retry")

    def test_an_after_init_that_raises_fails_the_job_when_a_server_reads_it(self, server):
        trouble = []

        def maybe(self):
            if trouble:
                raise ValueError("in after_init")

        cls = class_of(after_init=maybe, perform=note_perform)
        job = cls.create()
        trouble.append(1)
        server.run()
        row = server.row(job.id)
        assert (row.state, taken()) == (State.FAILED, [])
        assert "in after_init" in row.exception

    @pytest.mark.parametrize("moment", [*BEFORE_PERFORM, "after_perform", "before_complete"])
    def test_performed_here_it_comes_out_and_the_job_is_failed(self, moment):
        job = class_of(**{moment: raising(moment)}, after_fail=noting("after_fail"), perform=note_perform)()
        with pytest.raises(ValueError, match=f"in {moment}"):
            job.perform_now()
        assert (job.state, job.exception.message) == (State.FAILED, f"in {moment}")
        assert taken() == ([] if moment in BEFORE_PERFORM else ["perform"]) + ["after_fail"]

    def test_performed_here_an_after_complete_that_raises_comes_out_and_the_job_stays_completed(self):
        job = class_of(after_complete=raising("after_complete"), perform=note_perform)()
        with pytest.raises(ValueError, match="in after_complete"):
            job.perform_now()
        assert job.state is State.COMPLETED


MOVES = {
    "fail": (lambda job: job.fail("by itself"), State.FAILED),
    "complete": (lambda job: job.complete(), State.COMPLETED),
    "abort": (lambda job: job.abort(), State.ABORTED),
    "pause": (lambda job: job.pause(), State.PAUSED),
    "requeue": (lambda job: job.snooze(60), State.QUEUED),
}


class TestMovingItself:
    def make(self, at, move, **body):
        act, _ = MOVES[move]
        body |= {moment: noting(moment) for moment in (f"before_{move}", f"after_{move}")}
        body |= {"perform": note_perform, "pausable": True, "destroy_on_complete": False, "collect_output": True}
        return class_of(**body | {at: lambda self: act(self) and None})

    @pytest.mark.parametrize("others", [[], ["after_perform", "before_complete"]], ids=["alone", "with others"])
    @pytest.mark.parametrize("at", ["before_start", "after_start", "before_perform"])
    @pytest.mark.parametrize("move", MOVES)
    def test_a_job_that_moves_itself_before_perform_is_not_performed_and_keeps_its_state(
        self, server, clock, move, at, others
    ):
        job = self.make(at, move, **{moment: noting(moment) for moment in others}).create()
        server.run()
        job.reload()
        assert job.state is MOVES[move][1]
        assert (job.worker, job.row.server) == (None, None)
        assert taken() == [f"before_{move}", f"after_{move}"]
        if move == "fail":
            assert (job.exception.message, job.failure_count) == ("by itself", 1)
        if move == "requeue":
            assert (job.run_at, job.failure_count, job.exception) == (clock.now() + timedelta(seconds=60), 0, None)

    @pytest.mark.parametrize("move", MOVES)
    def test_a_job_that_moves_itself_in_perform_keeps_that_state_when_perform_returns(self, server, clock, move):
        act, state = MOVES[move]

        def perform(self):
            act(self)
            LOG.append("rest")
            return "result"

        cls = self.make("perform", move, before_complete=noting("before_complete"))
        job = class_of(cls, perform=perform).create()
        server.run()
        assert (job.reload().state, job.result) == (state, "result" if move == "complete" else None)
        assert taken() == [f"before_{move}", "rest", f"after_{move}"]

    @pytest.mark.parametrize("at", ["before_start", "after_start", "before_perform"])
    @pytest.mark.parametrize("move", MOVES)
    def test_performed_here_it_is_not_performed_either(self, clock, move, at):
        job = self.make(at, move)()
        assert job.perform_now() is None
        assert job.state is MOVES[move][1]
        assert taken() == [f"before_{move}", f"after_{move}"]

    @pytest.mark.parametrize("where", ["on a server", "here"])
    @pytest.mark.parametrize("move", MOVES)
    def test_a_job_that_moves_itself_and_then_raises_is_failed_by_what_it_raised(self, server, clock, move, where):
        """A move that it makes of itself takes effect when `perform` returns, which it never did."""
        act, _ = MOVES[move]

        def perform(self):
            act(self)
            raise ValueError("then")

        job = class_of(perform=perform, pausable=True)()
        if where == "here":
            with pytest.raises(ValueError, match="then"):
                job.perform_now()
        else:
            job.save()
            server.run()
            job.reload()
        assert (job.state, job.exception.message, job.failure_count) == (State.FAILED, "then", 1)

    def test_a_snoozed_job_runs_again_at_its_time_without_a_failure(self, server, clock):
        def perform(self):
            LOG.append(clock.now())
            if len(LOG) < 3:
                self.snooze(30)

        cls = class_of(perform=perform)
        cls.create()
        began = clock.now()
        server.run()
        for _ in range(5):
            clock.advance(15)
            server.run()
        assert taken() == [began + timedelta(seconds=30 * n) for n in range(3)]
        assert cls.query.count() == 0

    def test_a_snooze_until_a_moment(self, server, clock):
        moment = clock.now() + timedelta(hours=1)
        job = class_of(perform=lambda self: self.snooze(until=moment)).create()
        server.run()
        assert (job.reload().run_at, job.state, job.started_at) == (moment, State.QUEUED, None)

    @pytest.mark.parametrize("wrong", [{}, {"seconds": 1, "until": "x"}], ids=["neither", "both"])
    def test_a_snooze_needs_one_of_seconds_and_until(self, wrong):
        with pytest.raises(TypeError, match="either seconds or until"):
            class_of()().snooze(**wrong)

    def test_a_job_that_does_not_run_cannot_snooze(self):
        with pytest.raises(InvalidMove):
            class_of().create().snooze(5)

    def test_what_a_job_changed_before_it_moved_itself_is_stored(self, server, clock):
        for move, (act, state) in MOVES.items():

            def perform(self, act=act, move=move):
                self.description = move
                act(self)

            job = class_of(perform=perform, pausable=True, destroy_on_complete=False).create()
            server.run()
            assert (job.reload().description, job.state) == (move, state)


class TestStoring:
    def test_an_update_runs_the_hooks_of_an_update(self):
        job = class_of(**EVERY).create()
        taken()
        job.update(description="new")
        assert taken() == [*STORING, "before_update", "after_update", "after_save"]
        job.save()
        assert taken() == [*STORING, "before_update", "after_update", "after_save"]

    def test_a_destroy_runs_its_hooks_and_a_delete_none(self):
        cls = class_of(**EVERY)
        first, second = cls.create(), cls.create()
        taken()
        first.destroy()
        assert taken() == ["before_destroy", "after_destroy"]
        second.delete()
        assert taken() == []
        assert cls.query.count() == 0

    def test_many_are_made_with_all_hooks_before_before_all_after(self):
        cls = class_of(**EVERY)
        cls.create_many([{}, {}])
        assert taken() == [
            "after_init", "after_init",
            *STORING, "before_create", *STORING, "before_create",
            "after_create", "after_save", "after_create", "after_save",
        ]  # fmt: skip

    @pytest.mark.parametrize("moment", ["before_validation", "after_validation", "before_save", "before_create"])
    def test_a_hook_that_raises_before_a_job_is_stored_refuses_it_and_all_made_with_it(self, moment):
        def picky(self):
            if self.priority == 1:
                raise ValueError("refused")

        cls = class_of(**{moment: picky})
        with pytest.raises(ValueError, match="refused"):
            cls.create(priority=1)
        with pytest.raises(ValueError, match="refused"):
            cls.create_many([{}, {"priority": 1}, {}])
        assert cls.query.count() == 0

    @pytest.mark.parametrize("moment", ["before_validation", "after_validation", "before_save", "before_update"])
    def test_a_hook_that_raises_before_an_update_refuses_it(self, moment):
        def picky(self):
            if self.priority == 1:
                raise ValueError("refused")

        job = class_of(**{moment: picky}).create()
        with pytest.raises(ValueError, match="refused"):
            job.update(priority=1)
        assert job.reload().priority == 50

    @pytest.mark.parametrize("moment", ["after_create", "after_save"])
    def test_a_hook_that_raises_after_a_job_is_stored_comes_out_and_the_job_is_stored(self, moment):
        cls = class_of(**{moment: raising(moment)})
        job = cls()
        with pytest.raises(ValueError, match=f"in {moment}"):
            job.save()
        assert job.is_stored
        assert cls.query.count() == 1

    def test_a_before_destroy_that_raises_keeps_the_job(self):
        cls = class_of(before_destroy=raising("before_destroy"))
        job = cls.create()
        with pytest.raises(ValueError, match="in before_destroy"):
            job.destroy()
        assert (job.is_stored, cls.query.count()) == (True, 1)

    @pytest.mark.parametrize("moment", ["before_validation", "after_validation", "before_save", "before_create"])
    def test_what_a_hook_changes_before_a_job_is_stored_is_stored(self, moment):
        def tidy(self):
            self.description = (self.description or "").strip()
            self.priority = 7

        cls = class_of(**{moment: tidy})
        cls.create(description="  text ")
        back = cls.query.first()
        assert (back.description, back.priority) == ("text", 7)

    @pytest.mark.parametrize("moment", ["before_validation", "after_validation", "before_save", "before_update"])
    def test_what_a_hook_changes_before_an_update_is_stored(self, moment):
        def tidy(self):
            self.description = (self.description or "").strip()

        cls = class_of(**{moment: tidy})
        cls.create().update(description="  text ")
        assert cls.query.first().description == "text"

    def test_before_validation_may_mend_what_was_changed_in_place(self):
        class Mending(Job):
            pages: list[int] = []  # noqa: RUF012

            @moments.before_validation
            def mend(self):
                self.pages = [page for page in self.pages if isinstance(page, int)]

        job = Mending.create()
        job.pages.append("x")
        job.pages.append(3)
        job.save()
        assert Mending.query.first().pages == [3]

    def test_after_init_runs_whenever_a_job_is_made_or_read(self):
        def fill(self):
            LOG.append(self.description)

        cls = class_of(after_init=fill)
        cls.create(description="a")
        assert taken() == ["a"]
        assert list(cls.query)
        assert taken() == ["a"]

    def test_jobs_updated_by_a_query_run_their_hooks_one_by_one(self):
        cls = class_of(**EVERY)
        cls.create_many([{}, {}])
        taken()
        assert cls.query.update(description="new") == 2
        assert taken("after_init") == [*STORING, "before_update", "after_update", "after_save"] * 2
        assert {job.description for job in cls.query} == {"new"}

    def test_jobs_destroyed_by_a_query_run_their_hooks_one_by_one(self):
        cls = class_of(**EVERY)
        cls.create_many([{}, {}])
        taken()
        assert cls.query.destroy() == 2
        assert taken("after_init") == ["before_destroy", "after_destroy"] * 2
        assert cls.query.count() == 0

    @pytest.mark.parametrize("move", ["pause", "resume", "retry", "abort"])
    def test_jobs_moved_by_a_query_run_their_hooks_one_by_one(self, move):
        cls = class_of(**EVERY)
        for job in cls.create_many([{}, {}]):
            {"resume": job.pause, "retry": job.fail}.get(move, lambda: None)()
        taken()
        assert getattr(cls.query, move)() == 2
        assert taken("after_init") == [f"before_{move}", f"after_{move}"] * 2

    def test_an_update_by_a_query_stops_at_what_is_not_valid(self):
        cls = class_of()
        cls.create_many([{}, {}])
        with pytest.raises(ValueError, match="priority"):
            cls.query.update(priority=1000)
        assert {job.priority for job in cls.query} == {50}


class TestMovesByAClient:
    def moved(self, cls, move):
        """Return a job to which the move applies, and the move."""
        job = cls.create()
        {"resume": job.pause, "retry": job.fail}.get(move, lambda: None)()
        taken()
        return job, getattr(job, move)

    @pytest.mark.parametrize("move", ["pause", "resume", "retry", "abort", "fail"])
    def test_the_hooks_of_a_move_run_once_in_order_here_and_on_no_server(self, server, move):
        cls = class_of(**EVERY)
        job, act = self.moved(cls, move)
        assert act() is job
        assert taken("after_init") == [f"before_{move}", f"after_{move}"]
        row = server.row(job.id)
        assert (row.pending_hooks, row.hooks_server) == (None, None)
        if row.state is not State.QUEUED:
            assert server.run() == 0
            assert taken() == []

    @pytest.mark.parametrize("move", ["pause", "resume", "retry", "abort", "fail"])
    def test_what_its_hooks_change_is_stored(self, move):
        class Noted(Job):
            notes: list[str] = []  # noqa: RUF012

        def before(self):
            self.notes.append("before")
            self.priority = 3

        def after(self):
            self.notes = [*self.notes, "after"]
            self.description = "after"

        cls = class_of(Noted, **{f"before_{move}": before, f"after_{move}": after})
        job, act = self.moved(cls, move)
        act()
        for seen in (job, cls.query.first()):
            assert (seen.notes, seen.priority, seen.description) == (["before", "after"], 3, "after")
        assert job.changed_values() == {}

    def test_a_move_that_does_not_apply_runs_no_hooks(self):
        job = class_of(**EVERY).create()
        taken()
        with pytest.raises(InvalidMove):
            job.retry()
        assert taken() == []

    def test_a_move_of_a_job_that_is_gone_runs_no_hooks(self):
        cls = class_of(**EVERY)
        job = cls.create()
        cls.query.destroy()
        taken()
        with pytest.raises(JobNotFound):
            job.abort()
        assert taken() == []

    def test_a_move_of_a_new_job_runs_its_hooks_in_memory(self):
        job = class_of(**EVERY)()
        taken()
        job.pause().resume().fail("x").retry().abort()
        moves = ["pause", "resume", "fail", "retry", "abort"]
        assert taken() == [f"{when}_{move}" for move in moves for when in ("before", "after")]
        assert not job.is_stored

    def test_a_hook_after_a_move_may_make_another_and_each_runs_once(self, server):
        class Chain(Job):
            done: list[str] = []  # noqa: RUF012

            @moments.after_fail
            def give_up(self):
                LOG.append("after_fail")
                self.done = [*self.done, "fail"]
                self.abort()

            @moments.after_abort
            def tell(self):
                LOG.append("after_abort")
                self.done = [*self.done, "abort"]

        job = Chain.create()
        job.fail("x")
        server.run()
        assert taken() == ["after_fail", "after_abort"]
        assert (job.reload().state, job.done) == (State.ABORTED, ["fail", "abort"])
        assert (job.row.pending_hooks, job.row.hooks_server) == (None, None)

    def test_on_a_server_such_a_hook_runs_once_too(self, server):
        class Chain(Job):
            done: list[str] = []  # noqa: RUF012

            def perform(self):
                raise ValueError

            @moments.after_fail
            def give_up(self):
                LOG.append("after_fail")
                self.done = [*self.done, "fail"]
                self.abort()

            @moments.after_abort
            def tell(self):
                LOG.append("after_abort")
                self.done = [*self.done, "abort"]

        job = Chain.create()
        server.run()
        assert taken() == ["after_fail", "after_abort"]
        assert (job.reload().state, job.done) == (State.ABORTED, ["fail", "abort"])
        assert (job.row.pending_hooks, job.row.hooks_server) == (None, None)

    def test_an_edit_made_by_somebody_else_meanwhile_survives(self):
        class Edited(Job):
            note: str = ""

            @moments.before_abort
            def meanwhile(self):
                Edited.query.first().update(note="theirs", priority=2)
                self.description = "mine"

        job = Edited.create()
        job.abort()
        assert (job.note, job.priority, job.description, job.state) == ("theirs", 2, "mine", State.ABORTED)
        back = Edited.query.first()
        assert (back.note, back.priority, back.description) == ("theirs", 2, "mine")

    def test_the_hooks_of_batch_jobs_run_too_and_an_aborted_one_has_no_slices_by_then(self, configured_store):
        class Batch(BatchJob):
            def perform(self, record):
                return record

            @moments.after_abort
            def look(self):
                LOG.append(sum(configured_store.slice_counts(self.id).values()))

        job = Batch(slice_size=1)
        job.upload(["a", "b", "c"])
        job.save().abort()
        assert taken() == [0]

    @pytest.mark.parametrize("move", [Move.PAUSE, Move.ABORT, Move.FAIL])
    def test_a_move_by_somebody_without_the_class_leaves_its_hooks_to_a_server(self, server, move):
        cls = class_of(**EVERY, destroy_on_complete=False)
        job = cls.create()
        taken()
        kinds.forget(cls.kind)
        move_job(server.store, job.id, move)
        assert taken() == []
        kinds.register(cls, ())
        assert server.run() == 1
        assert taken("after_init") == [f"after_{move}"]
        row = server.row(job.id)
        assert (row.pending_hooks, row.hooks_server) == (None, None)
        assert server.run() == 0

    def test_several_such_moves_leave_their_hooks_in_order(self, server):
        cls = class_of(**EVERY)
        job = cls.create()
        kinds.forget(cls.kind)
        for move in (Move.PAUSE, Move.RESUME, Move.FAIL, Move.RETRY, Move.ABORT):
            move_job(server.store, job.id, move)
        taken()
        kinds.register(cls, ())
        server.run()
        assert taken("after_init") == ["after_pause", "after_resume", "after_fail", "after_retry", "after_abort"]

    def test_without_a_hook_for_it_a_server_just_notes_the_move(self, server):
        cls = class_of(perform=note_perform)
        job = cls.create()
        kinds.forget(cls.kind)
        move_job(server.store, job.id, Move.ABORT)
        kinds.register(cls, ())
        assert server.run() == 0
        assert server.row(job.id).pending_hooks is None


class TestAtLeastOnce:
    def test_a_worker_that_dies_in_after_complete_has_it_run_again_and_the_job_is_there_until_then(self, server):
        cls = class_of(perform=note_perform, after_complete=noting("after_complete"))
        job = cls.create()
        server.step()
        task = server.take()
        assert server.row(job.id).state is State.COMPLETED
        server.crash(task)
        assert server.row(job.id).state is State.COMPLETED
        server.run()
        assert taken() == ["perform", "after_complete"]
        assert server.row(job.id) is None

    def test_a_hook_that_kills_its_worker_three_times_is_recorded_and_not_run_again(self, server):
        cls = class_of(perform=note_perform, after_complete=noting("after_complete"))
        job = cls.create()
        server.step()
        for _ in range(3):
            server.crash(server.take())
        assert server.run() == 0
        row = server.row(job.id)
        assert (row.state, row.pending_hooks) == (State.COMPLETED, None)
        assert "SIGKILL" in row.exception
        assert "after_complete" in row.exception
        assert taken() == ["perform"]

    def test_a_server_that_dies_leaves_its_hooks_to_the_next(self, server, configured_store):
        from tests.driver import Driver

        cls = class_of(perform=note_perform, after_complete=noting("after_complete"))
        job = cls.create()
        server.step()
        assert server.row(job.id).hooks_server == server.server
        server.die()
        following = Driver(configured_store, "server-2")
        following.run()
        assert taken() == ["perform", "after_complete"]
        assert server.row(job.id) is None

    @pytest.mark.parametrize("moment", ["after_start", "before_complete", "after_perform"])
    def test_a_worker_that_dies_before_the_end_is_stored_has_the_whole_job_run_again(self, server, moment):
        cls = class_of(**EVERY, perform=note_perform)
        job = cls.create()
        taken()
        server.crash(server.take())
        assert server.row(job.id).crash_count == 1
        server.run()
        assert taken("after_init").count(moment) == 1
        assert server.row(job.id) is None

    def test_hooks_that_become_due_while_others_of_the_job_run_wait_for_these_and_run_once(
        self, configured_store, clock
    ):
        from tests.driver import Driver

        server = Driver(configured_store, slots=2)

        def perform(self):
            if not self.description:
                self.description = "again"
                self.snooze(0)

        hooks = {moment: noting(moment) for moment in ("after_requeue", "after_complete")}
        job = class_of(perform=perform, **hooks).create()
        server.step()
        hook, piece = server.take(), server.take()
        if hook.row.id == job.id and not hasattr(hook, "moment"):
            hook, piece = piece, hook
        server.perform(piece)  # It is completed while the hook of its snooze still runs.
        server.turn()
        assert taken() == []
        server.perform(hook)
        server.run()
        assert taken() == ["after_requeue", "after_complete"]
        assert server.row(job.id) is None

    def test_after_requeue_runs_when_a_worker_died(self, server):
        cls = class_of(perform=note_perform, after_requeue=noting("after_requeue"))
        cls.create()
        server.crash(server.take())
        server.run()
        assert sorted(taken()) == ["after_requeue", "perform"]
