"""Completion with Tab."""

import sqlite3
from datetime import timedelta

import pytest
from click.shell_completion import BashComplete, ZshComplete

import penstock
from penstock import Job, clock
from penstock.cli import penstock as commands
from penstock.cli.completion import NEWEST
from penstock.plugins.cron import Cron
from penstock.service.finding import STATES
from penstock.service.moving import ACTIONS
from penstock.store import open_store
from penstock.store.rows import ServerRow

pytestmark = pytest.mark.sqlite("Tab asks no server")


class Mail(Job, kind="tests.cli.completion.Mail"):
    def perform(self):
        return None


class Nightly(Cron, Job, kind="tests.cli.completion.Nightly"):
    cron_schedule = "0 1 * * *"

    def perform(self):
        return None


@pytest.fixture
def offered():
    """Return a function that tells what is offered after a line; its last word is the one under way."""

    def complete(*words):
        completion = BashComplete(commands, {}, "penstock", "_PENSTOCK_COMPLETE")
        return {item.value: item.help for item in completion.get_completions(list(words[:-1]), words[-1])}

    return complete


def test_ids_are_offered_newest_first_with_kind_and_state(offered, configured_store):
    jobs = [Mail.create(), Mail.create().fail("no")]
    found = offered("jobs", "show", "")
    assert list(found.items()) == [
        (str(jobs[1].id), f"{Mail.kind}, failed"),
        (str(jobs[0].id), f"{Mail.kind}, queued"),
    ]


def test_only_the_newest_are_offered_and_those_that_begin_so(offered, configured_store):
    jobs = Mail.create_many([{}] * (NEWEST + 5))
    found = offered("jobs", "show", "")
    assert list(found) == [str(job.id) for job in reversed(jobs[-NEWEST:])]
    assert list(offered("jobs", "show", str(jobs[-1].id)[:-3])) == [str(jobs[-1].id)]
    assert offered("jobs", "show", "zzz") == {}


def test_a_move_is_offered_only_jobs_to_which_it_applies_and_that_are_not_on_the_line(offered, configured_store):
    queued, failed = Mail.create(), Mail.create().fail("no")
    assert list(offered("jobs", "retry", "")) == [str(failed.id)]
    assert list(offered("jobs", "pause", "")) == [str(queued.id)]
    assert set(offered("jobs", "destroy", "")) == {str(queued.id), str(failed.id)}
    assert list(offered("jobs", "destroy", str(queued.id), "")) == [str(failed.id)]


def test_kinds_of_jobs_and_servers_are_offered(offered, configured_store):
    Mail.create()
    configured_store.register_server(ServerRow("s1", "h", 1, "running", clock.now(), 0, 1, 1, kinds='{"Other": {}}'))
    for words in (["list", "--kind"], ["counts", "--kind"], ["abort", "--all", "--kind"], ["create"]):
        assert list(offered("jobs", *words, "")) == ["Other", Mail.kind]


def test_states_and_moves_are_offered_without_a_store(offered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert list(offered("jobs", "list", "--state", "")) == list(STATES)
    assert set(ACTIONS) <= set(offered("jobs", ""))
    assert list(tmp_path.iterdir()) == []


def test_schedules_are_offered_to_commands_on_schedules(offered, configured_store):
    Mail.create(run_at=clock.now() + timedelta(hours=1))
    job = Nightly.create()
    for command in ("edit", "run-now", "next"):
        assert offered("schedules", command, "") == {str(job.id): f"{Nightly.kind}, 0 1 * * *"}


def test_servers_are_offered_with_their_state(offered, configured_store):
    configured_store.register_server(ServerRow("web-1", "h", 1, "paused", clock.now(), 0, 1, 1))
    assert offered("servers", "resume", "w") == {"web-1": "paused"}
    assert offered("servers", "resume", "x") == {}


@pytest.mark.parametrize("spelling", ["url", "file"])
def test_the_store_given_earlier_on_the_line_is_asked(offered, configured_store, tmp_path, spelling):
    path = tmp_path / "other.db"
    other = Mail()
    open_store(f"sqlite:///{path}").insert_jobs([other.new_row()])
    Mail.create()
    store = f"sqlite:///{path}" if spelling == "url" else str(path)
    assert list(offered("jobs", "show", "--store", store, "")) == [str(other.id)]


NO_STORES = {
    "nothing there": lambda path: None,
    "an empty file": lambda path: path.touch(),
    "a folder": lambda path: path.mkdir(),
    "text": lambda path: path.write_text("this is no database at all, but some text\n" * 100),
    "somebody else's database": lambda path: sqlite3.connect(path).execute("CREATE TABLE t (a)").connection.close(),
}


@pytest.mark.parametrize("case", NO_STORES)
def test_without_a_store_nothing_is_offered_made_or_said(offered, tmp_path, monkeypatch, capfd, case):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "penstock.db"
    NO_STORES[case](path)
    before = path.read_bytes() if path.is_file() else None
    for line in (
        ["jobs", "show", ""],
        ["jobs", "list", "--kind", ""],
        ["servers", "stop", ""],
        ["schedules", "edit", ""],
    ):
        assert offered(*line) == {}
    assert [each.name for each in tmp_path.iterdir()] == ([path.name] if path.exists() else [])
    assert (path.read_bytes() if path.is_file() else None) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("url", ["sqlite://", "mysql://host/x", "nonsense"])
def test_a_store_that_cannot_be_looked_at_is_not(offered, url):
    penstock.configure(store=url)
    assert offered("jobs", "show", "") == {}


def test_settings_that_are_wrong_are_no_time_for_messages(offered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.penstock]\nnothing = 1\n")
    penstock.config.reset()
    assert offered("jobs", "show", "") == {}


def test_no_code_of_the_users_runs(offered, configured_store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "mine.py").write_text("raise SystemExit('imported')")
    job = Mail.create()
    assert list(offered("jobs", "abort", "--app", "jobs", "")) == [str(job.id)]


def test_shells_that_show_help_get_it(configured_store, monkeypatch):
    job = Mail.create()
    completion = ZshComplete(commands, {}, "penstock", "_PENSTOCK_COMPLETE")
    monkeypatch.setenv("COMP_WORDS", "penstock jobs show ")
    monkeypatch.setenv("COMP_CWORD", "3")
    assert completion.complete() == f"plain\n{job.id}\n{Mail.kind}, queued"
