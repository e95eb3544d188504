"""`penstock jobs`: what is listed, shown, made, edited, moved and written."""

import json
import sys
from datetime import timedelta
from textwrap import dedent

import pytest

from penstock import BatchJob, Job, State, clock
from penstock.hooks import before_abort
from penstock.ids import new_id
from penstock.model.failure import Failure
from penstock.model.fields import field
from penstock.states import SubState
from penstock.store.rows import JobRow, SliceSettlement

APP = """
    from penstock import BatchJob, Job, field

    class CliReport(Job):
        username: str
        size: int = field(1, ge=0, user_editable=True)
        destroy_on_complete = False
        def perform(self):
            pass

    class CliLines(BatchJob):
        collect_output = True
        destroy_on_complete = False
        def perform(self, line):
            return line[::-1]
"""


class Mail(Job, kind="tests.cli.jobs.Mail"):
    to: str = "ada"
    note: str | None = field(None, user_editable=True)

    def perform(self):
        return None

    @before_abort
    def refuse(self):
        if self.to == "nobody":
            raise ValueError("nobody is not to be aborted")


class Turned(BatchJob, kind="tests.cli.jobs.Turned"):
    collect_output = True
    destroy_on_complete = False

    def perform(self, record):
        return record[::-1]


@pytest.fixture
def app(tmp_path, monkeypatch, url):
    """A folder with a module of job classes, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "cli_app.py").write_text(dedent(APP))
    yield "cli_app"
    sys.modules.pop("cli_app", None)


@pytest.fixture
def listed(call, url):
    """Return a function that lists jobs by options and returns their views."""

    def run(*words):
        code, out, err = call("jobs", "list", *words, "--json", "--store", url)
        assert code == 0, err
        return json.loads(out)

    return run


# list and counts ---------------------------------------------------------------------------------


def test_list_narrows_by_conditions_and_orders_by_fields(listed):
    Mail.create_many([{"to": to, "priority": priority} for to, priority in (("ada", 7), ("bob", 9), ("cid", 8))])
    kind = ("--kind", Mail.kind)
    assert [view["priority"] for view in listed(*kind, "--where", "priority__gt=7")] == [8, 9]
    assert [view["priority"] for view in listed(*kind, "--where", "to__in=ada,bob", "--where", "priority__lt=9")] == [7]
    assert [view["priority"] for view in listed(*kind, "--order", "-priority")] == [9, 8, 7]
    assert [view["priority"] for view in listed("--order", "to", "--limit", 2)] == [7, 9]
    assert [view["priority"] for view in listed("--where", "to__contains=o")] == [9]


def test_list_knows_the_two_parts_of_queued(listed):
    due, later = Mail.create(), Mail.create(run_at=clock.now() + timedelta(hours=1))
    assert [view["id"] for view in listed("--state", "queued_now")] == [str(due.id)]
    assert [view["id"] for view in listed("--state", "scheduled")] == [str(later.id)]
    assert listed("--state", "scheduled")[0]["why_waiting"].startswith("scheduled at ")


def test_a_condition_that_a_class_refuses_is_one_line(call, url):
    code, out, err = call("jobs", "list", "--kind", Mail.kind, "--where", "nothing=1", "--store", url)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no field 'nothing'" in err


def test_nothing_found_by_names_that_no_class_checked_says_so(call, url):
    code, out, err = call("jobs", "list", "--where", "nothing=1", "--store", url)
    assert (code, out) == (0, "no jobs\n")
    assert "--app" in err


def test_a_default_app_that_does_not_import_does_not_keep_anybody_from_looking(call, url, app, tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "broken.py").write_text("1 / 0\n")
    job = Mail.create()
    code, _, err = call("jobs", "show", job.id, "--store", url)
    assert (code, err.count("\n")) == (0, 1)
    assert "ZeroDivisionError" in err
    assert call("jobs", "show", job.id, "--app", "jobs", "--store", url)[0] == 2
    code, _, err = call("jobs", "abort", job.id, "--store", url)
    assert (code, job.reload().state) == (2, State.QUEUED)
    sys.modules.pop("jobs.broken", None)
    sys.modules.pop("jobs", None)


def test_counts_has_a_line_for_each_state_with_the_parts_of_queued_below(call, url):
    Mail.create()
    Mail.create(run_at=clock.now() + timedelta(hours=1))
    Mail.create().fail("no")
    code, out, _ = call("jobs", "counts", "--store", url)
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["state", "jobs"], ["queued", "2"], ["queued_now", "1"], ["scheduled", "1"], ["running", "0"],
        ["paused", "0"], ["completed", "0"], ["failed", "1"], ["aborted", "0"],
    ]  # fmt: skip
    counts = json.loads(call("jobs", "counts", "--kind", "Other", "--json", "--store", url)[1])
    assert set(counts.values()) == {0}


# show --------------------------------------------------------------------------------------------


def test_show_tells_a_failure_with_its_backtrace(call, url, configured_store):
    job = Mail.create()
    try:
        raise ValueError("no such address\nat all")
    except ValueError as error:
        failed = {"state": State.FAILED, "exception": job.describe(error).to_json()}
    configured_store.update_job(job.id, failed)
    code, out, _ = call("jobs", "show", job.id, "--store", url)
    lines = out.splitlines()
    assert code == 0
    told = [line.split() for line in lines]
    for words in ("class_name ValueError", "message no such address", "at all", "moves retry, abort", "to ada"):
        assert words.split() in told, words
    backtrace = next(n for n, line in enumerate(lines) if line.strip() == "backtrace:")
    assert "test_job_commands.py" in lines[backtrace + 1]


def test_show_does_not_name_all_of_many_failed_records(call, url, configured_store):
    job = Turned(slice_size=1)
    job.upload(map(str, range(23)))
    job.save()
    configured_store.start_batch(job.id, sub_state=SubState.PROCESSING, server="s", now=clock.now())
    claimed = configured_store.claim_slices(job.id, server="s", limit=23, max_bytes=1 << 20)
    failure = Failure("ValueError", "no").to_json()
    configured_store.settle_slices(
        [SliceSettlement(job.id, one.slice_id, "main", one.number, one.attempt, 0, 0, (), failure) for one in claimed],
        server="s",
    )
    out = call("jobs", "show", job.id, "--store", url)[1]
    assert (out.count("ValueError: no"), out.splitlines()[-1].strip()) == (
        20,
        "… and 3 more failed records; --json names them all",
    )
    assert len(json.loads(call("jobs", "show", job.id, "--json", "--store", url)[1])["failed_records"]) == 23


# create and edit ---------------------------------------------------------------------------------


def test_create_prints_the_id_of_the_job_it_made(call, url, app, listed):
    code, out, err = call("jobs", "create", "cli_app:CliReport", "--set", "username=ada", "--set", "priority=7")
    assert (code, err) == (0, "")
    (view,) = listed()
    assert (out.strip(), view["kind"], view["priority"]) == (view["id"], "CliReport", 7)
    code, out, err = call("jobs", "create", "CliReport", "--set", "username=bob", "--app", app, "--json")
    assert (code, json.loads(out)["state"]) == (0, "queued")


def test_create_uploads_the_records_of_a_batch_job(call, url, app, tmp_path):
    (tmp_path / "in.txt").write_text("a\nb\n")
    code, out, err = call("jobs", "create", "cli_app:CliLines", "--input", "in.txt", "--json")
    assert (code, json.loads(out)["record_count"]) == (0, 2), err


CREATE_REFUSED = {
    "unknown kind": (["CliReport"], 2, "--app"),
    "no module": (["cli_nowhere:X"], 2, "no module 'cli_nowhere'"),
    "no class": (["cli_app:Nothing"], 2, "has no Nothing"),
    "a base": (["penstock:Job"], 2, "only a base"),
    "a value missing": (["cli_app:CliReport"], 2, "username: Field required"),
    "no value": (["cli_app:CliReport", "--set", "username"], 2, "field=value"),
    "no such field": (["cli_app:CliReport", "--set", "nothing=1"], 2, "nothing: "),
    "a value that does not fit": (["cli_app:CliReport", "--set", "username=a", "--set", "size=-1"], 2, "size: "),
    "no input": (["cli_app:CliLines"], 2, "--input"),
    "input of a plain job": (["cli_app:CliReport", "--set", "username=a", "--input", "in.txt"], 2, "no batch job"),
    "missing input": (["cli_app:CliLines", "--input", "none.txt"], 2, "none.txt"),
}


@pytest.mark.parametrize("case", CREATE_REFUSED)
def test_what_cannot_be_created_is_refused_in_one_line_and_nothing_is_stored(call, url, app, listed, case):
    words, expected, part = CREATE_REFUSED[case]
    code, out, err = call("jobs", "create", *words)
    assert (code, out, err.count("\n")) == (expected, "", 1), err
    assert part in err
    assert listed() == []


def test_edit_changes_editable_fields_and_says_which(call, url):
    job = Mail.create()
    code, out, err = call("jobs", "edit", job.id, "--set", "priority=7", "--set", "note=a = b", "--store", url)
    assert (code, out, err) == (0, f"{job.id} edited: priority, note\n", "")
    job.reload()
    assert (job.priority, job.note) == (7, "a = b")


EDIT_REFUSED = {
    "nothing": ([], 2, "--set"),
    "not editable": (["--set", "priority=7", "--set", "to=bob"], 2, "to: may not be edited"),
    "does not fit": (["--set", "note=x", "--set", "priority=0"], 2, "priority: "),
}


@pytest.mark.parametrize("case", EDIT_REFUSED)
def test_an_edit_that_is_refused_changes_nothing(call, url, configured_store, case):
    words, expected, part = EDIT_REFUSED[case]
    job = Mail.create()
    before = configured_store.job(job.id)
    code, out, err = call("jobs", "edit", job.id, *words, "--store", url)
    assert (code, out) == (expected, "")
    assert part in err
    assert configured_store.job(job.id) == before


def test_an_edit_needs_the_class_and_says_how_to_import_it(call, url, configured_store):
    row = JobRow(id=new_id(), kind="Stranger", batch=False, created_at=clock.now())
    configured_store.insert_jobs([row])
    code, out, err = call("jobs", "edit", row.id, "--set", "priority=7", "--store", url)
    assert (code, out) == (2, "")
    assert "kind 'Stranger'" in err
    assert "--app" in err


# Moves -------------------------------------------------------------------------------------------


def test_each_move_is_made_on_the_jobs_that_are_named(call, url, configured_store):
    jobs = [Mail.create(), Mail.create()]
    expected = [
        ("pause", "paused"), ("resume", "queued"), ("fail", "failed"), ("retry", "queued"), ("abort", "aborted"),
    ]  # fmt: skip
    for action, state in expected:
        code, out, err = call("jobs", action, *(job.id for job in jobs), "--store", url)
        assert (code, err) == (0, ""), action
        assert out.startswith("2 jobs ")
        assert {configured_store.job(job.id).state for job in jobs} == {state}
    assert call("jobs", "destroy", jobs[0].id, "--store", url) == (0, "1 job destroyed\n", "")
    assert configured_store.job(jobs[0].id) is None


def test_fail_takes_a_message(call, url):
    job = Mail.create()
    call("jobs", "fail", job.id, "--message", "recalled by ada", "--store", url)
    assert job.reload().exception.message == "recalled by ada"


def test_run_now_makes_a_scheduled_job_due(call, url):
    job = Mail.create(run_at=clock.now() + timedelta(hours=1))
    assert call("jobs", "run-now", job.id, "--store", url) == (0, "1 job due now\n", "")
    assert job.reload().run_at is None


def test_those_that_refuse_are_named_with_the_reason_and_the_exit_code_is_3(call, url):
    fine, ended, missing = Mail.create(), Mail.create().abort(), new_id()
    code, out, err = call("jobs", "abort", fine.id, ended.id, missing, "--store", url)
    lines = err.splitlines()
    assert (code, out, len(lines)) == (3, "1 job aborted\n", 2)
    assert lines[0] == f"{ended.id} refused: cannot abort a job that is aborted; what applies: nothing, it has ended"
    assert lines[1].startswith(f"{missing} refused: there is no job")
    assert fine.reload().state is State.ABORTED


def test_refusals_as_json(call, url):
    fine, stubborn = Mail.create(), Mail.create(to="nobody")
    code, out, err = call("jobs", "abort", fine.id, stubborn.id, "--json", "--store", url)
    view = json.loads(out)
    assert (code, err, view["action"], view["done"]) == (3, "", "abort", 1)
    assert view["refused"][0]["id"] == str(stubborn.id)
    assert "nobody is not to be aborted" in view["refused"][0]["reason"]


def test_many_refusals_are_not_all_named(call, url):
    ids = [new_id() for _ in range(25)]
    code, _, err = call("jobs", "abort", *ids, "--store", url)
    lines = err.splitlines()
    assert (code, len(lines), lines[-1]) == (3, 21, "… and 5 more refused; --json names them all")


def test_an_id_that_is_none_is_refused_before_anything_is_done(call, url):
    job = Mail.create()
    code, out, err = call("jobs", "abort", job.id, "nonsense", "--store", url)
    assert (code, out) == (4, "")
    assert "nonsense" in err
    assert job.reload().state is State.QUEUED


@pytest.mark.parametrize(
    "words",
    [[], ["--state", "failed"], ["--where", "priority=1"], ["ID", "--all"], ["ID", "--kind", "X"]],
    ids=" ".join,
)
def test_what_is_not_plain_is_refused_and_nothing_is_done(call, url, words):
    job = Mail.create()
    code, out, _ = call("jobs", "destroy", *(job.id if word == "ID" else word for word in words), "--store", url)
    assert (code, out) == (2, "")
    assert job.reload().state is State.QUEUED


def test_all_that_match_are_moved(call, url):
    urgent, other = Mail.create(priority=1), Mail.create()
    code, out, err = call("jobs", "pause", "--all", "--kind", Mail.kind, "--where", "priority__lt=50", "--store", url)
    assert (code, out, err) == (0, "1 job paused\n", "")
    assert (urgent.reload().state, other.reload().state) == (State.PAUSED, State.QUEUED)


def test_one_of_all_that_refuses_is_named_and_is_no_failure_of_the_command(call, url):
    stubborn = Mail.create(to="nobody")
    Mail.create()
    code, out, err = call("jobs", "abort", "--all", "--store", url)
    assert (code, out) == (0, "1 job aborted\n")
    assert err.startswith(f"{stubborn.id} refused: ")


def test_on_a_terminal_all_is_asked_first_and_no_means_no(call, url, terminal):
    job = Mail.create()
    Mail.create().abort()
    terminal("n\n")
    code, out, err = call("jobs", "abort", "--all", "--store", url)
    assert (code, out) == (1, "")
    assert "abort 1 job?" in err
    assert "nothing was done" in err
    assert job.reload().state is State.QUEUED
    terminal("y\n")
    assert call("jobs", "abort", "--all", "--json", "--store", url)[0] == 0
    assert job.reload().state is State.ABORTED


def test_with_yes_nothing_is_asked(call, url, terminal):
    job = Mail.create()
    terminal("")
    code, out, err = call("jobs", "abort", "--all", "--yes", "--store", url)
    assert (code, out, err) == (0, "1 job aborted\n", "")
    assert job.reload().state is State.ABORTED


# download ----------------------------------------------------------------------------------------


@pytest.fixture
def turned(url):
    job = Turned()
    job.upload(["abc", "def"])
    job.perform_now()
    return job


def test_download_writes_a_file_and_says_where(call, url, turned, tmp_path):
    path = tmp_path / "out.txt"
    code, out, err = call("jobs", "download", turned.id, "--output", path, "--store", url)
    assert (code, out, err) == (0, "", f"2 records in {path}\n")
    assert path.read_text() == "cba\nfed\n"
    view = json.loads(call("jobs", "download", turned.id, "--json", "--store", url)[1])
    assert (view["records"], view["file"]) == (2, str(path))


@pytest.mark.parametrize(
    ("words", "expected", "part"),
    [([], 2, "--output"), (["--output", "o.txt", "--category", "none"], 2, "it has: main")],
)
def test_a_download_that_cannot_be_is_one_line(call, url, turned, tmp_path, monkeypatch, words, expected, part):
    monkeypatch.chdir(tmp_path)
    code, out, err = call("jobs", "download", turned.id, *words, "--store", url)
    assert (code, out, err.count("\n")) == (expected, "", 1)
    assert part in err
    assert not (tmp_path / "o.txt").exists()


def test_a_download_of_an_unfinished_job_is_refused_with_what_writes_a_part(call, url, tmp_path):
    job = Turned()
    job.upload(["abc"])
    job.save()
    path = tmp_path / "out.txt"
    code, _, err = call("jobs", "download", job.id, "--output", path, "--store", url)
    assert (code, path.exists()) == (1, False)
    assert "--partial" in err
    assert call("jobs", "download", job.id, "--output", path, "--partial", "--store", url)[0] == 0
    assert path.read_text() == ""


def test_a_download_to_standard_output_is_nothing_but_the_records(call, url, turned):
    code, out, err = call("jobs", "download", turned.id, "--output", "-", "--store", url)
    assert (code, out, err) == (0, "cba\nfed\n", "2 records in standard output\n")
    code, out, err = call("jobs", "download", turned.id, "--output", "-", "--json", "--store", url)
    assert (code, out, json.loads(err)["records"]) == (0, "cba\nfed\n", 2)
