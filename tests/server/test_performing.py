"""One piece of work: user code called, and what came of it as a message."""

import json

import pytest

from penstock import BatchJob, Cron, Job, after_batch, before_batch, clock
from penstock.errors import StoreUnavailable
from penstock.ids import new_id
from penstock.model.failure import parse_failure
from penstock.records import decode_records, decode_value, encode_records
from penstock.server.messages import LearnJob, RunHook, RunJob, RunSlice
from penstock.server.performing import Performer
from penstock.states import Move, SubState
from penstock.store.rows import JobRow


class Work(Job, kind="tests.server.performing.Work"):
    collect_output = True
    answer: str = "value"
    count: int = 0

    def perform(self):
        if self.answer == "raise":
            raise ValueError("no")
        if self.answer == "exit":
            raise SystemExit(3)
        if self.answer == "unstorable":
            return object()
        self.count += 1
        self.percent_complete = 40
        return {"worker": self.worker}


class Lines(BatchJob, kind="tests.server.performing.Lines"):
    collect_output = True
    made: int = 0

    def perform(self, record):
        if record == "bad":
            raise ValueError("bad")
        self.made += 1
        return f"{self.made} {record}"


class Loads(BatchJob, kind="tests.server.performing.Loads"):
    broken: bool = False

    @before_batch
    def load(self):
        self.upload(["a", "b"])
        if self.broken:
            raise ValueError("broken")

    def perform(self, record):
        return record


@pytest.fixture
def places():
    return []


@pytest.fixture
def known():
    return {}


@pytest.fixture
def performer(known, places):
    return Performer("w:0", known, places.append)


def row_of(job):
    return job.new_row()


def slice_of(row, records, *, done=0, crash_count=0):
    return RunSlice(9, 50, row.id, 1, 11, done, crash_count, encode_records(records))


@pytest.mark.parametrize("destroyed", [True, False])
def test_a_job_that_is_kept_gives_result_and_changes_and_one_that_is_not_gives_nothing(performer, destroyed):
    row = row_of(Work(destroy_on_complete=destroyed))
    done = performer.run_job(RunJob(7, 50, row))
    assert (done.key, done.failure) == (7, None)
    if destroyed:
        assert (done.result, done.columns, done.fields) == (None, {}, {})
    else:
        assert decode_value(done.result) == {"worker": "w:0"}
        assert (done.columns, done.fields) == ({"percent_complete": 40}, {"count": 1})


@pytest.mark.parametrize(
    ("answer", "name"),
    [("raise", "ValueError"), ("exit", "SystemExit"), ("unstorable", "penstock.errors.UnstorableValue")],
)
def test_whatever_user_code_raises_is_a_failure(performer, answer, name):
    done = performer.run_job(RunJob(7, 50, row_of(Work(answer=answer, destroy_on_complete=False))))
    failure = parse_failure(done.failure)
    assert (failure.class_name, failure.worker_name) == (name, "w:0")
    assert (done.result, done.columns, done.fields) == (None, {}, {})


def test_a_job_whose_fields_no_longer_fit_its_class_is_a_failure(performer):
    row = row_of(Work())
    row.fields = json.dumps({"count": "many"})
    assert "ValidationError" in parse_failure(performer.run_job(RunJob(7, 50, row)).failure).class_name


def test_a_job_of_an_unknown_kind_is_given_back_without_a_failure(performer):
    row = JobRow(id=new_id(), kind="tests.unheard", batch=False, created_at=clock.now())
    done = performer.run_job(RunJob(7, 50, row))
    assert (done.unknown, done.failure) == (True, None)


def test_a_batch_job_is_kept_from_slice_to_slice_until_it_is_learnt_anew(performer, known):
    row = row_of(Lines())
    known[row.id] = LearnJob(row)
    outputs = []
    for step in range(3):
        if step == 2:
            known[row.id] = LearnJob(row)
        done = performer.run_slice(slice_of(row, ["a", "b"]))
        outputs += decode_records(done.outputs[0].payload)
        assert (done.key, done.done, done.failure) == (9, 2, None)
    assert outputs == ["1 a", "2 b", "3 a", "4 b", "1 a", "2 b"]


def test_a_failed_slice_tells_what_was_done_and_the_record(performer, known):
    row = row_of(Lines())
    known[row.id] = LearnJob(row)
    done = performer.run_slice(slice_of(row, ["x", "a", "bad", "c"], done=1))
    assert (done.done, parse_failure(done.failure).record_number) == (2, 13)
    assert decode_records(done.outputs[0].payload) == ["1 a"]


def test_a_slice_that_killed_a_worker_before_notes_its_records(performer, known, places):
    row = row_of(Lines())
    known[row.id] = LearnJob(row)
    performer.run_slice(slice_of(row, ["a", "b"]))
    assert places == []
    performer.run_slice(slice_of(row, ["a", "b"], crash_count=1))
    assert places == [11, 12]
    performer.run_slice(slice_of(row, ["a", "b"]))
    assert places == [11, 12]


def test_a_slice_of_a_job_that_was_forgotten_is_a_failure_at_its_first_record(performer):
    done = performer.run_slice(slice_of(row_of(Lines()), ["a", "b"], done=1))
    assert (done.done, parse_failure(done.failure).record_number, done.outputs) == (1, 12, [])


def stored_before(store, **values):
    job = Loads(**values).save()
    return store.start_batch(job.id, sub_state=SubState.BEFORE, server="s", now=clock.now())


def test_before_batch_tells_how_many_records_it_uploaded(configured_store, performer):
    row = stored_before(configured_store)
    done = performer.run_hook(RunHook(7, 50, row, "before_batch"))
    assert (done.failure, done.columns["record_count"]) == (None, 2)
    assert configured_store.job(row.id).record_count is None


def test_what_a_broken_before_batch_uploaded_does_not_count_when_it_runs_again(configured_store, performer):
    row = stored_before(configured_store, broken=True)
    assert parse_failure(performer.run_hook(RunHook(7, 50, row, "before_batch")).failure).message == "broken"
    configured_store.update_job(row.id, {"fields": {"broken": False}})
    done = performer.run_hook(RunHook(8, 50, configured_store.job(row.id), "before_batch"))
    assert (done.failure, done.columns["record_count"]) == (None, 2)
    assert configured_store.accounts(row.id).queued == 2
    uploads = configured_store.job(row.id).fields
    assert len(json.loads(uploads)["input_category"]["uploads"]) == 1


class Nightly(Cron, Job, kind="tests.server.performing.Nightly"):
    cron_schedule = "0 3 * * *"

    def perform(self):
        pass


class Counts(BatchJob, kind="tests.server.performing.Counts"):
    @after_batch
    def count(self):
        Work.query.count()


def break_store(monkeypatch, store, method):
    """Let a method of the store find that there is no way to it."""

    def lost(*args, **options):
        raise StoreUnavailable("postgresql://…: the store cannot be reached")

    monkeypatch.setattr(store, method, lost)


def assert_is_for_later(done):
    assert (done.failure, done.decided.move) == (None, Move.REQUEUE)
    assert done.decided.at > clock.now()
    assert "cannot be reached" in done.decided.reason


def test_a_batch_job_whose_store_is_lost_before_its_hooks_is_for_later(configured_store, performer, monkeypatch):
    row = stored_before(configured_store)
    break_store(monkeypatch, configured_store, "drop_unfinished_upload")
    assert_is_for_later(performer.run_hook(RunHook(7, 50, row, "before_batch")))


def test_an_after_batch_that_meets_trouble_of_the_store_is_for_later(configured_store, performer, monkeypatch):
    job = Counts().save()
    row = configured_store.start_batch(job.id, sub_state=SubState.AFTER, server="s", now=clock.now())
    break_store(monkeypatch, configured_store, "count_jobs")
    assert_is_for_later(performer.run_hook(RunHook(7, 50, row, "after_batch")))


def test_a_schedule_whose_store_is_lost_makes_its_next_instance_later(configured_store, performer, monkeypatch):
    job = Nightly(cron_schedule="0 3 * * *").save()
    with monkeypatch.context() as context:
        break_store(context, configured_store, "insert_unless_taken")
        assert_is_for_later(performer.run_hook(RunHook(7, 50, configured_store.job(job.id), "after_complete")))
    assert performer.run_hook(RunHook(8, 50, configured_store.job(job.id), "after_complete")).failure is None
    assert Nightly.query.count() == 2
