"""Moves made by several at once, or on jobs that others change: the store decides, and nothing is mixed."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from penstock import BatchJob, Job
from penstock.errors import InvalidMove, JobChanged, JobNotFound
from penstock.model import kinds
from penstock.model.moves import TRIES, move_job
from penstock.states import Move, State

pytestmark = pytest.mark.usefixtures("configured_store")


class Plain(Job, kind="moves.Plain"):
    destroy_on_complete = False
    note: str = ""
    counts: list[str] = []  # noqa: RUF012

    def perform(self):
        return None


class Hooked(Plain, kind="moves.Hooked"):
    def after_pause(self):
        self.counts = [*self.counts, "paused"]

    def after_abort(self):
        self.counts = [*self.counts, "aborted"]


class Lines(BatchJob, kind="moves.Lines"):
    slice_size = 1
    destroy_on_complete = False

    def perform(self, record):
        if record == "bad":
            raise ValueError
        return record


@pytest.fixture(autouse=True)
def _often():
    """Switch between threads as often as can be, so that they meet."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def at_once(*acts):
    """Let threads do these at the same moment; returns what each returned or raised."""
    gate = threading.Barrier(len(acts))

    def act(what):
        gate.wait(30)
        try:
            return what()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(act, acts))


class TestRaces:
    @pytest.mark.parametrize("cls", [Plain, Hooked], ids=["plain", "with hooks"])
    def test_of_many_who_make_one_move_one_makes_it_and_the_others_are_told(self, cls):
        for _ in range(20):
            job = cls.create()
            copies = [cls.query.where(id=job.id).first() for _ in range(6)]
            ended = at_once(*[copy.pause for copy in copies])
            refused = [end for end in ended if isinstance(end, Exception)]
            assert len(refused) == 5
            assert {type(error) for error in refused} == {InvalidMove}
            job.reload()
            assert (job.state, job.counts) == (State.PAUSED, ["paused"] if cls is Hooked else [])
            assert job.row.pending_hooks is None

    def test_of_two_different_moves_both_are_made_in_turn_or_one_is_refused(self):
        for _ in range(40):
            job = Plain.create()
            pause, abort = at_once(
                Plain.query.where(id=job.id).first().pause, Plain.query.where(id=job.id).first().abort
            )
            assert not isinstance(abort, Exception)  # It applies to a paused job too.
            assert job.reload().state is State.ABORTED
            assert isinstance(pause, Plain | InvalidMove)
            job.destroy()

    def test_hooks_of_moves_that_meet_run_once_each(self):
        for _ in range(20):
            job = Hooked.create()
            pause, _ = at_once(Hooked.query.where(id=job.id).first().pause, Hooked.query.where(id=job.id).first().abort)
            job.reload()
            ran = sorted(job.counts)
            wanted = ["aborted", "paused"] if not isinstance(pause, Exception) else ["aborted"]
            assert (job.state, ran) == (State.ABORTED, wanted)
            assert (job.row.pending_hooks, job.row.hooks_server) == (None, None)
            job.delete()

    def test_a_move_that_another_follows_before_its_hooks_have_run_leaves_each_hook_run_once(
        self, configured_store, monkeypatch
    ):
        job, other = Hooked.create(), Hooked.query.first()
        real = configured_store.update_job
        made = []

        def followed(job_id, changes, *, expect=None):
            won = real(job_id, changes, expect=expect)
            if expect is not None and not made:
                made.append(1)
                other.abort()
            return won

        monkeypatch.setattr(configured_store, "update_job", followed)
        job.pause()
        job.reload()
        assert (job.state, job.counts) == (State.ABORTED, ["paused", "aborted"])
        assert (job.row.pending_hooks, job.row.hooks_server) == (None, None)

    def test_an_edit_and_a_move_at_once_are_both_stored(self):
        for number in range(20):
            job = Plain.create()
            ended = at_once(
                lambda job=job, number=number: Plain.query.where(id=job.id).first().update(note=f"edit {number}"),
                Plain.query.where(id=job.id).first().pause,
            )
            assert not [end for end in ended if isinstance(end, Exception)]
            job.reload()
            assert (job.state, job.note) == (State.PAUSED, f"edit {number}")

    def test_edits_of_different_fields_at_once_are_all_stored(self):
        for _ in range(10):
            job = Plain.create()
            changes = [{"note": "a"}, {"priority": 3}, {"description": "b"}, {"counts": ["c"]}, {"expires_at": None}]
            copies = [Plain.query.where(id=job.id).first() for _ in changes]
            ended = at_once(
                *[
                    lambda copy=copy, change=change: copy.update(**change)
                    for copy, change in zip(copies, changes, strict=True)
                ]
            )
            assert not [end for end in ended if isinstance(end, Exception)]
            job.reload()
            assert (job.note, job.priority, job.description, job.counts) == ("a", 3, "b", ["c"])

    def test_a_job_that_others_keep_changing_is_given_up_with_a_word(self, configured_store, monkeypatch):
        job = Plain.create()
        real = configured_store.update_job
        tries = []

        def disturbed(job_id, changes, *, expect=None):
            if expect is not None:
                tries.append(1)
                real(job_id, {"attempt": len(tries)})
            return real(job_id, changes, expect=expect)

        monkeypatch.setattr(configured_store, "update_job", disturbed)
        with pytest.raises(JobChanged, match=f"changed by others {TRIES} times while trying to pause it"):
            job.pause()
        assert configured_store.job(job.id).state is State.QUEUED

    def test_a_job_that_others_changed_once_is_moved(self, configured_store, monkeypatch):
        job = Plain.create()
        real = configured_store.update_job
        tries = []

        def disturbed(job_id, changes, *, expect=None):
            if expect is not None and not tries:
                tries.append(1)
                real(job_id, {"attempt": 7})
            return real(job_id, changes, expect=expect)

        monkeypatch.setattr(configured_store, "update_job", disturbed)
        job.pause()
        assert (configured_store.job(job.id).state, configured_store.job(job.id).attempt) == (State.PAUSED, 7)

    def test_a_move_that_no_longer_applies_when_it_is_written_is_refused(self, configured_store, monkeypatch):
        job = Plain.create()
        real = configured_store.update_job
        tries = []

        def overtaken(job_id, changes, *, expect=None):
            if expect is not None and not tries:
                tries.append(1)
                real(job_id, {"state": State.ABORTED})
            return real(job_id, changes, expect=expect)

        monkeypatch.setattr(configured_store, "update_job", overtaken)
        with pytest.raises(InvalidMove, match="cannot pause a job that is aborted"):
            job.pause()


class TestWithoutTheClass:
    """A console or another application may move jobs whose classes it has not imported."""

    @pytest.fixture
    def job(self):
        job = Plain.create()
        cls = kinds.find_class(Plain.kind)
        kinds.forget(Plain.kind)
        yield job
        kinds.register(cls, ())

    def test_moves_are_made(self, configured_store, job):
        for move, state in [
            (Move.PAUSE, State.PAUSED),
            (Move.RESUME, State.QUEUED),
            (Move.FAIL, State.FAILED),
            (Move.RETRY, State.QUEUED),
            (Move.ABORT, State.ABORTED),
        ]:
            assert move_job(configured_store, job.id, move).state is state

    def test_a_move_that_does_not_apply_is_refused(self, configured_store, job):
        with pytest.raises(InvalidMove):
            move_job(configured_store, job.id, Move.RETRY)
        assert configured_store.job(job.id).pending_hooks is None

    def test_a_job_that_is_not_there_is_not_found(self, configured_store, job):
        configured_store.destroy_job(job.id)
        with pytest.raises(JobNotFound):
            move_job(configured_store, job.id, Move.ABORT)


class TestBatchJobs:
    def uploaded(self, *records):
        job = Lines()
        job.upload(list(records))
        return job.save()

    def test_a_failed_one_is_retried_where_it_was_and_only_its_failed_slices_run(self, server):
        job = self.uploaded("a", "bad", "c")
        server.run()
        assert (job.reload().state, job.exception.summary) == (State.FAILED, "SlicesFailed: 1 slice failed to process")
        before = len(server.performed)
        job.retry()
        assert (job.state, job.sub_state) == (State.RUNNING, "processing")
        server.run()
        assert len(server.performed) == before + 1
        assert job.reload().state is State.FAILED

    def test_a_paused_one_goes_on_where_it_was(self, server):
        job = self.uploaded("a", "b", "c")
        server.step()
        job.pause()
        server.run()
        assert (job.reload().state, job.sub_state) == (State.PAUSED, "processing")
        job.resume()
        server.run()
        assert job.reload().state is State.COMPLETED
        assert server.store.accounts(job.id).processed == 3

    def test_an_aborted_one_loses_its_slices_and_what_runs_is_refused(self, server):
        job = self.uploaded("a", "b", "c")
        task = server.take()
        job.abort()
        assert server.store.slice_counts(job.id) == {}
        server.perform(task)
        server.run()
        assert job.reload().state is State.ABORTED
        assert server.store.slice_counts(job.id) == {}

    def test_one_that_is_failed_by_a_person_keeps_its_slices_and_is_retried(self, server):
        job = self.uploaded("a", "b", "c")
        server.step()
        job.fail("stop")
        server.run()
        assert (job.reload().state, job.exception.message) == (State.FAILED, "stop")
        job.retry()
        server.run()
        assert job.reload().state is State.COMPLETED
        assert server.store.accounts(job.id).processed == 3

    def test_one_that_is_completed_by_a_person_ends_though_slices_are_left(self, server):
        job = self.uploaded("a", "b", "c")
        server.step()
        job.complete()
        assert server.run() <= 1
        assert (job.reload().state, job.percent_complete) == (State.COMPLETED, 100)

    def test_a_regular_job_completed_by_a_person_is_destroyed_as_its_class_says(self, server):
        class Going(Job):
            def perform(self):
                return None

        job = Going.create()
        task = server.take()
        job.complete()
        server.perform(task)
        server.run()
        assert server.row(job.id) is None
