"""What people do to jobs: to those named, and to all that match."""

from datetime import timedelta
from typing import ClassVar

import pytest

import penstock
from penstock import BatchJob, Job, State, clock
from penstock.errors import InvalidQuery, StoreError
from penstock.hooks import after_abort, after_destroy, before_abort
from penstock.ids import new_id
from penstock.keyring import Keyring
from penstock.model.fields import field
from penstock.service.finding import Asked
from penstock.service.moving import ACTIONS, act_on_all, act_on_jobs, count_applicable
from penstock.states import Move
from penstock.store.rows import JobRow


class Mail(Job, kind="tests.service.moving.Mail"):
    to: str = "ada"
    heard: ClassVar[list[str]] = []

    def perform(self):
        return None

    @before_abort
    def before(self):
        if self.to == "nobody":
            raise ValueError("nobody is not to be aborted")
        self.heard.append(f"before {self.to}")

    @after_abort
    def after(self):
        if self.to == "late":
            raise ValueError("too late")
        self.heard.append(f"after {self.to}")

    @after_destroy
    def gone(self):
        self.heard.append(f"gone {self.to}")


class Secret(Job, kind="tests.service.moving.Secret"):
    password: str = field(encrypted=True)

    def perform(self):
        return None


class Lines(BatchJob, kind="tests.service.moving.Lines"):
    def perform(self, record):
        return record


@pytest.fixture(autouse=True)
def _quiet():
    Mail.heard.clear()


@pytest.fixture
def stranger(configured_store):
    """Return a function that stores a job of a kind that nobody imported."""

    def add(**columns):
        row = JobRow(id=new_id(), kind="Stranger", batch=False, created_at=clock.now(), **columns)
        configured_store.insert_jobs([row])
        return row

    return add


def state(store, job):
    return store.job(job.id).state


def refusals(acted):
    return {refusal.job_id: refusal.reason for refusal in acted.refused}


def test_there_is_an_action_for_each_move_that_people_make_and_two_more():
    otherwise = {Move.START, Move.COMPLETE, Move.REQUEUE, Move.RESUBMIT}  # By servers; with a file of records.
    assert set(ACTIONS) == {str(move) for move in Move if move not in otherwise} | {"destroy", "run-now"}


def test_an_action_knows_the_states_in_which_it_applies():
    assert ACTIONS["retry"].states == (State.FAILED,)
    assert ACTIONS["resume"].states == (State.PAUSED,)
    assert set(ACTIONS["abort"].states) == set(State) - {State.COMPLETED, State.ABORTED}
    assert ACTIONS["destroy"].states == tuple(State)


# Named -------------------------------------------------------------------------------------------


def test_one_that_refuses_keeps_none_of_the_others_back(configured_store):
    first, ended, last = Mail.create(), Mail.create().abort(), Mail.create()
    missing = new_id()
    acted = act_on_jobs(configured_store, "pause", [first.id, missing, ended.id, last.id], by="ada")
    assert acted.done == 2
    assert list(refusals(acted)) == [missing, ended.id]
    assert f"there is no job {missing}" in refusals(acted)[missing]
    assert refusals(acted)[ended.id] == "cannot pause a job that is aborted; what applies: nothing, it has ended"
    assert [state(configured_store, job) for job in (first, ended, last)] == ["paused", "aborted", "paused"]


def test_a_job_named_twice_is_moved_once(configured_store):
    job = Mail.create()
    acted = act_on_jobs(configured_store, "pause", [job.id, job.id], by="ada")
    assert (acted.done, acted.refused) == (1, [])


def test_done_twice_the_second_is_refused_and_says_what_applies(configured_store):
    job = Mail.create()
    assert act_on_jobs(configured_store, "abort", [job.id], by="ada").done == 1
    assert act_on_jobs(configured_store, "abort", [job.id], by="ada").done == 0
    assert state(configured_store, job) is State.ABORTED


def test_hooks_of_an_imported_class_run_around_the_move(configured_store):
    act_on_jobs(configured_store, "abort", [Mail.create().id], by="ada")
    assert Mail.heard == ["before ada", "after ada"]


def test_a_hook_that_raises_before_the_move_refuses_it_with_its_line(configured_store):
    job = Mail.create(to="nobody")
    (reason,) = refusals(act_on_jobs(configured_store, "abort", [job.id], by="ada")).values()
    assert f"the code of {Mail.kind} raised ValueError: nobody is not to be aborted at " in reason
    assert "test_moving.py:" in reason
    assert state(configured_store, job) is State.QUEUED


def test_a_hook_that_raises_after_the_move_is_told_too(configured_store):
    job = Mail.create(to="late")
    (reason,) = refusals(act_on_jobs(configured_store, "abort", [job.id], by="ada")).values()
    assert "raised ValueError: too late" in reason


def test_a_job_of_an_unknown_kind_is_moved_and_its_hooks_are_left_to_a_server(configured_store, stranger):
    job = stranger()
    assert act_on_jobs(configured_store, "abort", [job.id], by="ada").done == 1
    row = configured_store.job(job.id)
    assert (row.state, row.pending_hooks, row.hooks_server) == (State.ABORTED, "after_abort", None)


def test_fail_stores_the_message(configured_store):
    job = Mail.create()
    act_on_jobs(configured_store, "fail", [job.id], message="recalled", by="ada")
    assert job.reload().exception.summary == "penstock.JobFailed: recalled"


def test_the_message_of_a_job_with_sealed_fields_is_sealed(configured_store):
    keyring = Keyring.generate()
    penstock.configure(keyring=lambda: keyring)
    job = Secret.create(password="xyzzy")
    act_on_jobs(configured_store, "fail", [job.id], message="xyzzy is known to all", by="ada")
    assert "xyzzy" not in configured_store.job(job.id).exception
    assert job.reload().exception.message == "xyzzy is known to all"


def test_fail_of_an_unknown_kind_stores_the_message(configured_store, stranger):
    job = stranger()
    act_on_jobs(configured_store, "fail", [job.id], message="recalled", by="ada")
    assert "recalled" in configured_store.job(job.id).exception


def test_destroy_removes_the_job_with_its_slices_and_hooks_run(configured_store):
    lines = Lines()
    lines.upload(["a", "b"])
    lines.save()
    mail = Mail.create()
    assert act_on_jobs(configured_store, "destroy", [lines.id, mail.id], by="ada").done == 2
    assert configured_store.job(lines.id) is configured_store.job(mail.id) is None
    assert configured_store.slice_counts(lines.id) == {}
    assert Mail.heard == ["gone ada"]
    assert act_on_jobs(configured_store, "destroy", [mail.id], by="ada").done == 0


def test_run_now_makes_a_scheduled_job_due_and_leaves_one_that_is_due(configured_store, stranger):
    later = clock.now() + timedelta(hours=1)
    mine, strange, due = Mail.create(run_at=later), stranger(run_at=later), Mail.create()
    acted = act_on_jobs(configured_store, "run-now", [mine.id, strange.id, due.id], by="ada")
    assert (acted.done, acted.refused) == (3, [])
    assert [configured_store.job(job.id).run_at for job in (mine, strange, due)] == [None] * 3


def test_run_now_refuses_a_job_that_is_not_queued(configured_store):
    job = Mail.create(run_at=clock.now() + timedelta(hours=1)).pause()
    (reason,) = refusals(act_on_jobs(configured_store, "run-now", [job.id], by="ada")).values()
    assert reason == "cannot run now a job that is paused; only one that is queued"


def test_what_the_store_cannot_do_comes_out(configured_store, monkeypatch):
    def refuse(*_, **__):
        raise StoreError("the disk is gone")

    job = Mail.create()
    monkeypatch.setattr(configured_store, "update_job", refuse)
    with pytest.raises(StoreError, match="the disk is gone"):
        act_on_jobs(configured_store, "pause", [job.id], by="ada")


# All that match ----------------------------------------------------------------------------------


def test_all_that_match_are_moved_and_those_to_which_it_does_not_apply_are_left(configured_store):
    urgent, other, failed = Mail.create(priority=1), Mail.create(), Mail.create(priority=1).fail("no")
    asked = Asked(kinds=[Mail.kind], where=["priority__lt=50"])
    assert count_applicable(configured_store, "pause", asked) == 1
    acted = act_on_all(configured_store, "pause", asked, by="ada")
    assert (acted.done, acted.refused) == (1, [])
    assert [state(configured_store, job) for job in (urgent, other, failed)] == ["paused", "queued", "failed"]


def test_more_jobs_than_a_page_holds_are_all_moved(configured_store, monkeypatch):
    monkeypatch.setattr("penstock.store.sqlite.jobs.PAGE", 5)
    Mail.create_many([{}] * 12)
    assert act_on_all(configured_store, "abort", Asked(), by="ada").done == 12
    assert count_applicable(configured_store, "abort", Asked()) == 0
    assert act_on_all(configured_store, "destroy", Asked(states=["aborted"]), by="ada").done == 12


def test_those_that_refuse_are_named(configured_store):
    fine, stubborn = Mail.create(), Mail.create(to="nobody")
    acted = act_on_all(configured_store, "abort", Asked(), by="ada")
    assert (acted.done, list(refusals(acted))) == (1, [stubborn.id])
    assert state(configured_store, fine) is State.ABORTED


def test_run_now_of_all_takes_the_scheduled_ones(configured_store):
    Mail.create()
    Mail.create(run_at=clock.now() + timedelta(hours=1))
    assert act_on_all(configured_store, "run-now", Asked(), by="ada").done == 1


def test_a_state_in_which_it_never_applies_is_refused(configured_store):
    with pytest.raises(InvalidQuery):
        act_on_all(configured_store, "retry", Asked(states=["completed"]), by="ada")
