"""Every action of a person leaves a line, with the action or not at all."""

import io

import pytest

import penstock
from penstock import BatchJob, Job, field
from penstock import clock as penstock_clock
from penstock.errors import ConfigurationError, DuplicateEntry, Forbidden
from penstock.ids import new_id
from penstock.keyring import Keyring
from penstock.service.auditing import list_audit, trail_of_job
from penstock.service.dirmon import add_entry, disable_entry, edit_entry, enable_entry, remove_entry
from penstock.service.editing import create_job, edit_job
from penstock.service.finding import Asked
from penstock.service.jobs import show_job
from penstock.service.moving import act_on_all, act_on_jobs
from penstock.service.people import Person
from penstock.service.servers import ask_servers, find_servers
from penstock.states import Command
from penstock.store.rows import ServerRow

ADA = Person("ada", ["admin"], "10.0.0.1")


class AuditedJob(Job):
    """Ours."""

    note: str = field("", user_editable=True)
    secret: str = field("", user_editable=True, encrypted=True)
    login: str | None = None

    def perform(self):
        return None


class AuditedLines(BatchJob):
    def perform(self, line):
        return line


@pytest.fixture(autouse=True)
def _keyring():
    keyring = Keyring.generate()
    penstock.configure(keyring=lambda: keyring)


def lines(store, **asked):
    return [(line["action"], line["target"], line["before"], line["after"]) for line in list_audit(store, **asked)]


def test_a_move_leaves_who_did_what_from_where(configured_store, clock):
    job = AuditedJob.create()
    act_on_jobs(configured_store, "pause", [job.id], by=ADA)
    (line,) = trail_of_job(configured_store, job.id)
    assert line == {
        "id": line["id"], "at": clock.now().isoformat(), "who": "ada", "origin": "10.0.0.1", "action": "job.pause",
        "target": f"job {job.id}", "before": {"state": "queued"}, "after": {"state": "paused"}, "error": None,
    }  # fmt: skip
    assert show_job(configured_store, job.id)["audit"] == [line]


def test_what_is_refused_leaves_a_line_too_and_does_nothing(configured_store):
    job = AuditedJob.create()
    acted = act_on_jobs(configured_store, "retry", [job.id], by=ADA)
    assert acted.done == 0
    (line,) = trail_of_job(configured_store, job.id)
    assert line["error"].startswith("cannot retry a job that is queued")


def test_what_the_roles_do_not_allow_is_refused_and_noted(configured_store):
    job = AuditedJob.create()
    acted = act_on_jobs(configured_store, "destroy", [job.id], by=Person("eve", ["manager"]))
    assert "eve may not job.destroy: it takes the role admin" in acted.refused[0].reason
    assert trail_of_job(configured_store, job.id)[0]["who"] == "eve"
    with pytest.raises(Forbidden):
        create_job(configured_store, AuditedJob, {}, by=Person("eve", ["editor"]))
    assert AuditedJob.query.count() == 1


def test_a_user_acts_on_own_jobs_only_also_on_all_that_match(configured_store):
    mine, other = AuditedJob.create(login="bob"), AuditedJob.create(login="ada")
    bob = Person("bob", ["user"])
    assert act_on_jobs(configured_store, "pause", [mine.id, other.id], by=bob).done == 1
    assert act_on_all(configured_store, "abort", Asked(), by=bob).done == 1
    assert (mine.reload().state, other.reload().state) == ("aborted", "queued")


def test_the_line_of_a_move_goes_with_it_when_its_transaction_does(configured_store):
    job = AuditedJob.create()

    def pause_and_stumble():
        with configured_store.transaction():
            act_on_jobs(configured_store, "pause", [job.id], by=ADA)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pause_and_stumble()
    assert (job.reload().state, trail_of_job(configured_store, job.id)) == ("queued", [])


@pytest.mark.parametrize("cls", [AuditedJob, AuditedLines])
def test_the_trail_outlives_the_job(configured_store, cls):
    job = cls()
    if cls is AuditedLines:
        job.upload(io.BytesIO(b"a\n"))
    job.save()
    act_on_jobs(configured_store, "destroy", [job.id], by=ADA)
    (line,) = trail_of_job(configured_store, job.id)
    assert (line["action"], line["before"]) == ("job.destroy", {"kind": cls.kind, "state": "queued"})


def test_an_edit_tells_what_was_and_what_is_but_nothing_sealed(configured_store):
    job = AuditedJob.create(note="old", secret="xyzzy")
    edit_job(configured_store, job.id, {"note": "new", "secret": "plugh", "priority": "7"}, by=ADA)
    (line,) = trail_of_job(configured_store, job.id)
    assert line["before"] == {"note": "old", "priority": 50, "secret": "(sealed)"}
    assert line["after"] == {"note": "new", "priority": 7, "secret": "(sealed)"}


def test_a_refused_edit_does_not_tell_the_value(configured_store):
    job = AuditedJob.create()
    with pytest.raises(ConfigurationError):
        edit_job(configured_store, job.id, {"priority": "xyzzy"}, by=ADA)
    assert "xyzzy" not in str(list_audit(configured_store))


def test_who_makes_a_job_owns_it_and_is_noted(configured_store):
    view = create_job(configured_store, AuditedJob, {"note": "x"}, by=ADA)
    assert AuditedJob.query.first().login == "ada"
    assert lines(configured_store) == [
        ("job.create", f"job {view['id']}", None, {"kind": "AuditedJob", "records": None})
    ]


def test_entries_leave_lines(configured_store, tmp_path):
    penstock.configure(allowed_roots=[str(tmp_path)])
    values = {"name": "in", "pattern": f"{tmp_path}/*", "kind": "AuditedLines"}
    add_entry(configured_store, values, by=ADA)
    with pytest.raises(DuplicateEntry):
        add_entry(configured_store, values, by=ADA)
    edit_entry(configured_store, "in", {"after": "delete"}, by=ADA)
    enable_entry(configured_store, "in", by=ADA)
    disable_entry(configured_store, "in", by=ADA)
    remove_entry(configured_store, "in", by=ADA)
    told = [
        (line["action"], line["error"] is None) for line in reversed(list_audit(configured_store, target="entry in"))
    ]
    assert told == [
        ("entry.add", True), ("entry.add", False), ("entry.edit", True), ("entry.enable", True),
        ("entry.disable", True), ("entry.remove", True),
    ]  # fmt: skip
    edited = list_audit(configured_store, action="entry.edit")[0]
    assert (edited["before"], edited["after"]) == ({"after": "archive"}, {"after": "delete"})


def test_what_is_asked_of_a_server_leaves_a_line(configured_store):
    store = configured_store
    presence = store.appear("s1")
    store.register_server(ServerRow("s1", "here", 1, "running", penstock_clock.now(), 0, 2, 10))
    answers = ask_servers(store, Command.PAUSE, find_servers(store, ["s1"]), by=ADA, timeout=None)
    assert answers[0].text == "asked"
    with pytest.raises(Forbidden):
        ask_servers(store, Command.STOP, find_servers(store, ["s1"]), by=Person("eve", ["manager"]))
    assert [(line["action"], line["who"]) for line in list_audit(store)] == [
        ("server.stop", "eve"),
        ("server.pause", "ada"),
    ]
    assert store.command_of("s1") == "pause"
    presence.close()


def test_a_job_that_is_not_there_can_be_asked_for(configured_store):
    assert trail_of_job(configured_store, new_id()) == []
