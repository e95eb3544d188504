"""How to go on with a job, wherever the run that left it had come to."""

import pytest

from penstock import BatchJob, Job, before_batch, clock
from penstock.errors import InvalidMove, JobNotFound, UnknownKind
from penstock.ids import new_id
from penstock.service.resuming import plan_resume
from penstock.states import State, SubState
from penstock.store.rows import JobRow


class Lines(BatchJob, kind="tests.service.resuming.Lines"):
    collect_output = True

    def perform(self, record):
        return record


class Loads(BatchJob, kind="tests.service.resuming.Loads"):
    @before_batch
    def load(self):
        self.upload(["a"])

    def perform(self, record):
        return record


class Plain(Job, kind="tests.service.resuming.Plain"):
    def perform(self):
        return None


def saved(**values):
    job = Lines(**values)
    job.upload(["a", "b"])
    return job.save()


def draft_of(store, tmp_path, *, uploader, file=True):
    """Store what a process leaves that is killed in its upload."""
    path = tmp_path / "in.txt"
    path.write_text("a\nb\n")
    job = Lines()
    job.input_category.file_name = str(path) if file else None
    job.store_draft(store, uploader)
    return job, path


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.COMPLETED])
def test_a_stored_job_goes_on_as_it_is(configured_store, state):
    job = saved()
    if state is not State.QUEUED:
        configured_store.start_batch(job.id, sub_state=SubState.PROCESSING, server="gone", now=clock.now())
    if state is State.COMPLETED:
        configured_store.update_job(job.id, {"state": state, "sub_state": None})
    plan = plan_resume(configured_store, job.id, newest=False)
    assert (plan.job.id, plan.source, plan.overlap) == (job.id, None, False)
    if state is not State.COMPLETED:
        plan.begin()
        found = configured_store.job(job.id)
        assert (found.state, found.destroy_on_complete) == (state, False)


def test_a_failed_job_is_retried(configured_store):
    job = saved()
    job.fail("no")
    plan_resume(configured_store, job.id, newest=False).begin()
    assert configured_store.job(job.id).state is State.QUEUED


def test_a_paused_job_is_resumed(configured_store):
    job = saved()
    job.pause()
    plan_resume(configured_store, job.id, newest=False).begin()
    assert configured_store.job(job.id).state is State.QUEUED


def test_an_aborted_job_is_refused(configured_store):
    job = saved()
    job.abort()
    with pytest.raises(InvalidMove, match="was aborted"):
        plan_resume(configured_store, job.id, newest=False)


def test_a_job_that_there_is_not_is_refused(configured_store):
    with pytest.raises(JobNotFound):
        plan_resume(configured_store, new_id(), newest=False)
    with pytest.raises(JobNotFound, match="to resume"):
        plan_resume(configured_store, None, newest=True)


def test_a_job_whose_class_was_not_imported_is_refused(configured_store):
    row = JobRow(id=new_id(), kind="tests.unheard", batch=False, created_at=clock.now())
    configured_store.insert_jobs([row])
    with pytest.raises(UnknownKind, match="--app"):
        plan_resume(configured_store, row.id, newest=False)


def test_an_upload_that_broke_off_begins_again_under_the_old_id(configured_store, tmp_path):
    job, path = draft_of(configured_store, tmp_path, uploader="dead:1:0000")
    plan = plan_resume(configured_store, job.id, newest=False)
    assert (plan.job.id, plan.source, plan.overlap) == (job.id, str(path), False)
    assert configured_store.job(job.id) is None
    assert plan.job.upload(plan.source) == 2
    plan.begin()
    assert configured_store.job(job.id).record_count == 2


def test_an_overlapped_upload_that_broke_off_begins_again_overlapped(configured_store, tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("a\n")
    job = Lines()
    job.input_category.file_name = str(path)
    job.row.uploader = "dead:1:0000"
    job.save()
    plan = plan_resume(configured_store, job.id, newest=False)
    assert (plan.job.id, plan.source, plan.overlap) == (job.id, str(path), True)
    assert configured_store.job(job.id) is None


def test_an_upload_of_a_live_process_is_left_alone(configured_store, tmp_path):
    presence = configured_store.appear("alive:1:0000")
    job, _ = draft_of(configured_store, tmp_path, uploader="alive:1:0000")
    with pytest.raises(InvalidMove, match="which lives"):
        plan_resume(configured_store, job.id, newest=False)
    assert configured_store.job(job.id) is not None
    presence.close()


def test_a_before_batch_at_a_live_server_is_waited_for(configured_store):
    presence = configured_store.appear("alive:1:0000")
    job = Loads.create()
    configured_store.start_batch(job.id, sub_state=SubState.BEFORE, server="alive:1:0000", now=clock.now())
    plan = plan_resume(configured_store, job.id, newest=False)
    assert (plan.job.id, plan.source) == (job.id, None)
    assert configured_store.job(job.id) is not None
    presence.close()


def test_an_upload_of_standard_input_cannot_begin_again(configured_store, tmp_path):
    job, _ = draft_of(configured_store, tmp_path, uploader="dead:1:0000", file=False)
    with pytest.raises(JobNotFound, match="standard input"):
        plan_resume(configured_store, job.id, newest=False)


def test_a_failed_before_batch_begins_again(configured_store):
    job = Loads.create()
    configured_store.start_batch(job.id, sub_state=SubState.BEFORE, server="gone", now=clock.now())
    configured_store.update_job(job.id, {"state": State.FAILED})
    plan = plan_resume(configured_store, job.id, newest=False)
    plan.begin()
    found = configured_store.job(job.id)
    assert (found.state, found.sub_state, plan.source) == (State.QUEUED, None, None)


def test_the_newest_job_that_is_not_aborted_is_taken_drafts_too(configured_store, tmp_path):
    older, newer, aborted = saved(), saved(), saved()
    aborted.abort()
    assert plan_resume(configured_store, None, newest=True).job.id == newer.id
    draft, _ = draft_of(configured_store, tmp_path, uploader="dead:1:0000")
    assert plan_resume(configured_store, None, newest=True).job.id == draft.id
    assert older.id < newer.id < draft.id


def test_jobs_of_classes_that_were_not_imported_are_not_the_newest(configured_store):
    job = saved()
    configured_store.insert_jobs([JobRow(id=new_id(), kind="tests.unheard", batch=False, created_at=clock.now())])
    assert plan_resume(configured_store, None, newest=True).job.id == job.id


def test_a_regular_job_goes_on_too(configured_store):
    job = Plain.create()
    job.fail("no")
    plan_resume(configured_store, job.id, newest=False).begin()
    assert configured_store.job(job.id).state is State.QUEUED


def test_what_a_dead_server_of_this_host_held_is_released_first(configured_store):
    job = Plain.create()
    from penstock.store.rows import ServerRow

    configured_store.register_server(ServerRow("dead:1:0000", "h", 1, "running", clock.now(), 0, 1, 1))
    configured_store.claim_jobs([configured_store.job(job.id)], server="dead:1:0000", now=clock.now())
    plan = plan_resume(configured_store, job.id, newest=False)
    assert plan.job.state is State.QUEUED


def test_whether_a_job_goes_after_delivery_is_what_its_class_says(configured_store):
    class Kept(Lines):
        destroy_on_complete = False

    assert plan_resume(configured_store, saved().id, newest=False).destroys
    kept = Kept()
    kept.upload(["a"])
    assert not plan_resume(configured_store, kept.save().id, newest=False).destroys
