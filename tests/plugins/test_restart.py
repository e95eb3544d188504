"""Jobs that start anew whenever they end."""

from datetime import timedelta

import pytest

from penstock import BatchJob, Job, Restart, Retry, Singleton, State, field
from penstock.model import kinds
from penstock.model.moves import move_job
from penstock.states import Move

LOG: list = []
BROKEN: set = set()


@pytest.fixture(autouse=True)
def _forgetful(configured_store, clock):
    LOG.clear()
    BROKEN.clear()


class Again(Restart, kind="restart.Again"):
    destroy_on_complete = False
    customer: str = field("ada", copy_on_restart=True)
    note: str = ""

    def perform(self):
        LOG.append(self.id)
        self.note = "done"
        if "perform" in BROKEN:
            raise ValueError("broken")
        if "abort" in BROKEN:
            self.abort()


def following(job):
    """Return the job that was made when this one ended. A free slot may have claimed it by now."""
    found = type(job).query.where(id=job.reload().succeeded_by).first()
    assert found.state in (State.QUEUED, State.RUNNING)
    return found


def counts():
    """Return how many jobs have ended how, and how many wait or run."""
    found = Again.query.counts()
    waiting = found.pop(State.QUEUED, 0) + found.pop(State.RUNNING, 0)
    return found | {"to come": waiting}


class TestEnds:
    def test_one_that_completes_starts_anew(self, server):
        job = Again.create(customer="grace", note="old", priority=7)
        server.step()
        server.step()
        found = following(job)
        assert (job.state, counts()) == (State.COMPLETED, {State.COMPLETED: 1, "to come": 1})
        assert (found.customer, found.note, found.priority) == ("grace", "", 7)
        assert (found.completed_at, found.result, found.exception, found.succeeded_by) == (None, None, None, None)

    def test_it_goes_on_and_on_one_at_a_time(self, server):
        Again.create()
        for _ in range(20):
            server.step()
        assert len(LOG) == len(set(LOG)) == 10
        assert counts() == {State.COMPLETED: 10, "to come": 1}

    def test_one_that_is_aborted_starts_anew(self):
        job = Again.create()
        job.abort()
        assert following(job).state is State.QUEUED
        assert (job.state, counts()) == (State.ABORTED, {State.ABORTED: 1, "to come": 1})

    def test_one_that_aborts_itself_starts_anew(self, server):
        BROKEN.add("abort")
        job = Again.create()
        server.step()
        server.step()
        assert following(job)
        assert (job.state, counts()) == (State.ABORTED, {State.ABORTED: 1, "to come": 1})

    def test_one_that_fails_is_aborted_with_its_exception_and_starts_anew(self, server):
        BROKEN.add("perform")
        job = Again.create()
        for _ in range(3):
            server.step()
        job.reload()
        assert (job.state, job.exception.message, job.failure_count) == (State.ABORTED, "broken", 1)
        assert job.succeeded_by is not None
        assert Again.query.failed.count() == 0

    def test_one_that_a_person_fails_is_aborted_and_starts_anew_once(self, server):
        job = Again.create()
        job.fail("no")
        job.reload()
        assert job.state is State.ABORTED
        assert Again.query.counts() == {State.ABORTED: 1, State.QUEUED: 1}
        assert job.row.pending_hooks is None

    def test_one_that_kills_its_worker_for_good_starts_anew(self, server):
        job = Again.create()
        for _ in range(3):
            server.crash(server.take())
        server.step()
        server.step()
        assert job.reload().state is State.ABORTED
        assert Again.query.where(id__ne=job.id).count() == 1

    def test_one_moved_by_somebody_without_the_class_starts_anew_when_a_server_knows(self, server):
        job = Again.create()
        kinds.forget(Again.kind)
        move_job(server.store, job.id, Move.ABORT)
        kinds.register(Again, ())
        assert Again.query.queued.count() == 0
        server.step()
        assert following(job)
        assert counts() == {State.ABORTED: 1, "to come": 1}

    def test_one_that_is_paused_does_nothing(self, server):
        Again.create().pause()
        assert server.run() == 0
        assert Again.query.count() == 1

    def test_one_that_is_destroyed_is_gone_for_good(self, server):
        Again.create().destroy()
        assert server.run() == 0
        assert Again.query.count() == 0

    def test_one_to_be_destroyed_on_completion_leaves_the_next(self, server):
        job = Again.create(destroy_on_complete=True)
        server.step()
        server.step()
        assert server.row(job.id) is None
        assert Again.query.count() == 1

    @pytest.mark.parametrize("how", ["completes", "fails", "is aborted"])
    def test_one_that_has_expired_ends_for_good(self, server, clock, how):
        if how == "fails":
            BROKEN.add("perform")
        job = Again.create(expires_at=clock.now() + timedelta(seconds=10))
        task = server.take()
        clock.advance(10)
        if how == "is aborted":
            job.abort()
        server.perform(task)
        server.run()
        assert job.reload().state is {"completes": State.COMPLETED, "fails": State.FAILED}.get(how, State.ABORTED)
        assert Again.query.count() == 1


class TestOnce:
    def test_a_worker_killed_before_it_is_stored_leaves_one_next(self, server):
        Again.create()
        server.step()
        server.crash(server.take())
        server.step()
        assert counts() == {State.COMPLETED: 1, "to come": 1}

    def test_a_worker_killed_after_it_is_stored_leaves_one_next(self, server):
        Again.create()
        server.step()
        task = server.take()
        server._performer.run(task)
        server.crash(task)
        server.step()
        assert Again.query.where(state=State.COMPLETED).count() == 1
        assert Again.query.count() == 2

    @pytest.mark.parametrize("performed", [False, True])
    def test_a_worker_killed_while_it_aborts_what_failed_leaves_one_next(self, server, performed):
        BROKEN.add("perform")
        job = Again.create()
        server.step()
        task = server.take()
        if performed:
            server._performer.run(task)
        server.crash(task)
        BROKEN.clear()
        for _ in range(2):
            server.step()
        assert job.reload().state is State.ABORTED
        assert Again.query.where(id__ne=job.id).count() == 1


class TestWithOthers:
    def test_with_retry_the_last_failure_starts_it_anew_with_a_new_count(self, server, clock):
        class Trying(Retry, Again):
            retry_limit = 1

            def retry_delay(self, failures):
                return 60

        BROKEN.add("perform")
        job = Trying.create()
        server.run()
        assert (job.reload().state, Trying.query.count()) == (State.QUEUED, 1)
        clock.advance(60)
        for _ in range(3):
            server.step()
        job.reload()
        assert (job.state, len(job.failed_at_list)) == (State.ABORTED, 2)
        following = Trying.query.where(id__ne=job.id).first()
        assert following.failed_at_list == []

    def test_as_a_singleton_the_next_takes_its_place(self, server):
        class Only(Singleton, Again):
            pass

        Only.create()
        for _ in range(6):
            server.step()
        assert (Only.query.completed.count(), Only.query.count()) == (3, 4)

    def test_a_batch_job_starts_anew_without_its_records(self, server):
        class Lines(Restart, BatchJob):
            destroy_on_complete = False
            slice_size = 2

            def before_batch(self):
                if not self.record_count:
                    self.upload([1, 2, 3])

            def perform(self, record):
                LOG.append(record)

        Lines.create()
        for _ in range(5):
            server.step()
        assert LOG[:3] == [1, 2, 3]
        (following,) = Lines.query.where(succeeded_by=None)
        assert (following.slice_size, following.destroy_on_complete) == (2, False)


def test_performed_here_nothing_is_made(clock):
    job = Again.create()
    job.perform_now()
    Again().perform_now()
    BROKEN.add("perform")
    with pytest.raises(ValueError, match="broken"):
        Again.query.first().perform_now()
    assert Again.query.counts() == {State.QUEUED: 1}
    assert Job.query.count() == 1
