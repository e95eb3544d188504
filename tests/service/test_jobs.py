"""Jobs as people see them."""

import json
from datetime import date, timedelta
from decimal import Decimal
from functools import partial

import pytest
from tests.tables import change

import penstock
from penstock import BatchJob, Job, State, clock
from penstock.errors import JobNotFound
from penstock.ids import new_id
from penstock.keyring import Keyring
from penstock.model.fields import field
from penstock.records import encode_value
from penstock.service.finding import Asked
from penstock.service.jobs import check_job, count_jobs, get_job, list_jobs, show_job
from penstock.states import SubState
from penstock.store.rows import SliceSettlement


class Mail(Job, kind="tests.service.jobs.Mail"):
    to: str = "ada"

    def perform(self):
        return None


class Secret(Job, kind="tests.service.jobs.Secret"):
    password: str = field(encrypted=True)
    description: str | None = field(None, encrypted=True)

    def perform(self):
        return None


class Lines(BatchJob, kind="tests.service.jobs.Lines"):
    slice_size = 2
    collect_output = True

    def perform(self, record):
        if record == "bad":
            raise ValueError("is bad")
        return record


@pytest.fixture
def sql(configured_store):
    return partial(change, configured_store)


def ids(store, **asked):
    return [view["id"] for view in list_jobs(store, Asked(**asked))]


def uploaded(*records):
    job = Lines()
    job.upload(records)
    return job


# List --------------------------------------------------------------------------------------------


def test_jobs_are_listed_newest_first_without_drafts(configured_store):
    made = [Mail.create() for _ in range(5)]
    uploaded("draft")
    assert [view["id"] for view in list_jobs(configured_store)] == [str(job.id) for job in reversed(made)]


def test_a_list_is_narrowed_by_states_kinds_and_number(configured_store):
    mails = [Mail.create() for _ in range(3)]
    mails[1].fail("no")
    lines = uploaded("a").save()
    assert ids(configured_store, states=["failed"]) == [str(mails[1].id)]
    assert ids(configured_store, kinds=[Lines.kind]) == [str(lines.id)]
    assert len(ids(configured_store, states=["failed", "queued"], kinds=[Mail.kind])) == 3
    assert ids(configured_store, limit=1) == [str(lines.id)]


def test_a_list_tells_why_jobs_wait_and_how_far_they_are(configured_store):
    mail, lines = Mail.create(percent_complete=30), uploaded(*"abcdefg").save()
    done = uploaded("a")
    done.perform_now()
    aborted = uploaded("a").save().abort()
    configured_store.start_batch(lines.id, sub_state=SubState.PROCESSING, server="s", now=clock.now())
    (claimed,) = configured_store.claim_slices(lines.id, server="s", limit=1, max_bytes=1)
    settled = SliceSettlement(lines.id, claimed.slice_id, "main", claimed.number, claimed.attempt, 0, 2, ())
    configured_store.settle_slices([settled], server="s")
    told = {view["id"]: view for view in list_jobs(configured_store)}
    far = {key: (view["percent_complete"], view.get("processed")) for key, view in told.items()}
    assert far[str(mail.id)] == (30, None)
    assert far[str(lines.id)] == (28, 2)
    assert far[str(done.id)] == (100, 1)
    assert far[str(aborted.id)] == (None, None)
    assert told[str(mail.id)]["why_waiting"] == "no server is running"
    assert told[str(done.id)]["why_waiting"] is None


# Count -------------------------------------------------------------------------------------------


def test_jobs_are_counted_by_state_and_those_queued_by_whether_they_are_due(configured_store):
    Mail.create()
    Mail.create(run_at=clock.now() + timedelta(hours=1))
    Mail.create(run_at=clock.now() - timedelta(hours=1))
    Mail.create().fail("no")
    uploaded("a").save()
    states = {"running": 0, "paused": 0, "completed": 0, "aborted": 0}
    assert count_jobs(configured_store) == states | {"queued": 4, "queued_now": 3, "scheduled": 1, "failed": 1}
    counts = count_jobs(configured_store, Asked(kinds=[Mail.kind], where=["run_at__ne="]))
    assert (counts["queued"], counts["queued_now"], counts["scheduled"], counts["failed"]) == (2, 1, 1, 0)


def test_views_are_plain_data(configured_store):
    Mail.create(run_at=clock.now())
    job = uploaded("a", "bad").save()
    json.dumps([list_jobs(configured_store), show_job(configured_store, job.id), check_job(configured_store, job.id)])


# Show --------------------------------------------------------------------------------------------


def test_show_tells_fields_moves_and_failure(configured_store):
    job = Mail.create(to="bob")
    assert show_job(configured_store, job.id)["moves"] == ["start", "fail", "pause", "abort"]
    job.fail("no such address")
    view = show_job(configured_store, job.id)
    assert (view["state"], view["fields"]["to"]) == ("failed", "bob")
    assert view["exception"]["message"] == "no such address"
    assert view["moves"] == ["retry", "abort"]


def test_show_tells_no_sealed_value_and_needs_no_key(configured_store, tmp_path):
    keyring = Keyring.generate()
    penstock.configure(keyring=lambda: keyring)
    job = Secret.create(password="xyzzy", description="plugh")
    configured_store.update_job(job.id, {"exception": job.describe(ValueError("xyzzy")).to_json()})
    penstock.configure(keyring=str(tmp_path / "none.toml"))
    text = json.dumps([show_job(configured_store, job.id), list_jobs(configured_store)])
    view = show_job(configured_store, job.id)
    assert (view["fields"]["password"], view["description"]) == ("(sealed)", "(sealed)")
    assert (view["exception"]["class_name"], view["exception"]["message"]) == ("ValueError", "(sealed)")
    assert "$sealed" not in text


def test_show_tells_what_holds_a_job_and_what_perform_returned(configured_store):
    job = Mail.create()
    now = clock.now()
    configured_store.hold_job(job.id, until=now + timedelta(hours=1), reason="night", now=now)
    view = show_job(configured_store, job.id)
    assert view["why_waiting"].startswith("night since ")
    assert (view["throttled_by"], view["held_until"]) == ("night", (now + timedelta(hours=1)).isoformat())
    value = {"day": date(2026, 1, 2), "price": Decimal("1.50")}
    configured_store.update_job(job.id, {"state": State.COMPLETED, "result": encode_value(value)})
    assert show_job(configured_store, job.id)["result"] == {"day": "2026-01-02", "price": "1.50"}


def test_show_names_failed_records_with_file_and_line(configured_store, tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("a\nb\nc\nbad\n")
    job = uploaded("x", "y")
    job.upload(path)
    with pytest.raises(ValueError, match="is bad"):
        job.perform_now()
    configured_store.update_job(job.id, {"draft": False})
    view = show_job(configured_store, job.id)
    (failed,) = view["failed_records"]
    assert (failed["record"], failed["file"], failed["line"]) == (6, str(path), 4)
    assert failed["error"] == "ValueError: is bad"
    assert "test_jobs.py" in failed["backtrace"][-1]
    assert view["slices"] == {"queued": 0, "running": 0, "failed": 1}
    assert view["processed"] == 5


def test_a_job_that_there_is_not_or_that_is_a_draft_is_not_found(configured_store):
    draft = uploaded("a")
    for job_id in (new_id(), draft.id):
        with pytest.raises(JobNotFound, match=str(job_id)):
            show_job(configured_store, job_id)
    assert get_job(configured_store, draft.id, drafts=True).draft


# Check -------------------------------------------------------------------------------------------


def test_check_adds_up_queued_running_failed_and_processed_records(configured_store):
    job = uploaded("a", "b", "c", "bad", "e", "f", "g")
    with pytest.raises(ValueError, match="is bad"):
        job.perform_now()
    configured_store.claim_slices(job.id, server="s", limit=1, max_bytes=1)
    view = check_job(configured_store, job.id)
    numbers = [view[name] for name in ("uploaded", "queued", "running", "failed", "processed", "placed")]
    assert numbers == [7, 1, 2, 1, 3, 7]
    assert view["balanced"]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM slices WHERE number = 2",
        "DELETE FROM slice_payloads WHERE slice_id = (SELECT id FROM slices WHERE number = 2)",
        "UPDATE slices SET record_count = record_count + 1 WHERE number = 2",
        "UPDATE slices SET done = 1 WHERE number = 2",
        "INSERT INTO progress (job_id, server, records) SELECT id, 's', 1 FROM jobs",
    ],
    ids=["slice", "payload", "doubled", "done", "progress"],
)
def test_check_tells_what_is_missing_or_doubled(configured_store, sql, statement):
    job = uploaded("a", "b", "c", "d").save()
    assert check_job(configured_store, job.id)["balanced"]
    assert sql(statement) == 1
    assert not check_job(configured_store, job.id)["balanced"]


def test_check_of_an_aborted_job_is_no_alarm(configured_store):
    job = uploaded("a", "b", "c").save()
    job.abort()
    assert check_job(configured_store, job.id)["balanced"]


def test_check_is_no_alarm_while_more_is_being_uploaded(configured_store):
    job = uploaded("a", "b", "c").save()
    with job.upload() as writer:
        for record in map(str, range(10)):
            writer.write(record)
        writer.flush()
        writer._upload._flush()
        view = check_job(configured_store, job.id)
        assert (view["uploading"], view["balanced"]) == (True, True)
    view = check_job(configured_store, job.id)
    assert (view["uploading"], view["balanced"], view["uploaded"]) == (False, True, 13)


def test_check_is_no_alarm_while_before_batch_uploads(configured_store, sql):
    job = uploaded("a", "b", "c").save()
    configured_store.start_batch(job.id, sub_state=SubState.BEFORE, server="s", now=clock.now())
    working = Lines.query.first() if hasattr(Lines.query, "first") else job.reload()
    working.begin_attempt()
    working.upload(["d"])
    assert check_job(configured_store, job.id)["balanced"]


def test_a_regular_job_is_not_said_to_be_uploading(configured_store):
    view = check_job(configured_store, Mail.create().id)
    assert (view["uploading"], view["balanced"]) == (False, True)
