"""Old and new code side by side, kinds that nobody or not everybody knows, classes renamed, fields come and gone."""

import json
import os
import signal
from collections.abc import Iterator
from uuid import UUID

import pytest
from tests.process.lab import Lab, wait_for
from tests.process.yard import Yard, open_yard

from penstock.model.failure import parse_failure
from penstock.states import State

pytestmark = pytest.mark.process

OLD = """
    VERSION = "old"

    class Shared(Job, kind="Shared"):
        destroy_on_complete = False
        name: str = ""
        removed: int = 1
        seconds: float = 0.0

        def perform(self):
            note("shared", VERSION, self.name, os.getpid())
            time.sleep(self.seconds)
            self.description = VERSION

    class OldOnly(Job, kind="OldOnly"):
        destroy_on_complete = False
        def perform(self):
            note("old only", VERSION)

    class Lines(BatchJob, kind="Lines"):
        destroy_on_complete = False
        collect_output = True
        slice_size = 5
        def perform(self, record):
            note("record", VERSION, record)
            time.sleep(0.002)
            return record * 10
"""
NEW = """
    VERSION = "new"

    class Shared(Job, kind="Shared"):
        destroy_on_complete = False
        name: str = ""
        added: str = field(default_factory=lambda job: f"for {job.name}")
        seconds: float = 0.0

        def perform(self):
            note("shared", VERSION, self.name, os.getpid())
            time.sleep(self.seconds)
            self.description = VERSION
            self.added = f"{self.added}, performed"

    class NewOnly(Job, kind="NewOnly"):
        destroy_on_complete = False
        def perform(self):
            note("new only", VERSION)

    class Renamed(Job, kind="Renamed", aliases=["OldOnly"]):
        destroy_on_complete = False
        def perform(self):
            note("renamed", VERSION)

    class Lines(BatchJob, kind="Lines"):
        destroy_on_complete = False
        collect_output = True
        slice_size = 5
        def perform(self, record):
            note("record", VERSION, record)
            time.sleep(0.002)
            return record * 10

    class NewLines(Lines, kind="NewLines"):
        pass
"""


@pytest.fixture
def yard(lab: Lab) -> Iterator[Yard]:
    """Old code in the module `old`, new code in `new`."""
    with open_yard(lab, OLD) as made:
        made.module(OLD, "old")
        made.module(NEW, "new")
        yield made


def fields(yard: Yard, job_id: UUID) -> dict:
    found: dict = json.loads(yard.row(job_id).fields)
    return found


def upload(yard: Yard, module: str, cls: str, count: int) -> UUID:
    program = f"job = {cls}()\njob.upload(range(1, {count} + 1))\nprint(job.save().id)"
    return UUID(yard.python(program, module=module))


# Kinds that are not known ------------------------------------------------------------------------


def test_a_job_of_a_class_that_no_server_knows_waits_and_runs_after_the_deploy(yard: Yard) -> None:
    new_only, new_lines = (
        yard.create("NewOnly.create(priority=1)", module="new")[0],
        upload(yard, "new", "NewLines", 20),
    )
    old = yard.serve(app="old")
    (known,) = yard.create("Shared.create()", module="old")
    yard.await_states(State.COMPLETED, known)
    for job_id in (new_only, new_lines):
        row = yard.row(job_id)
        assert (row.state, row.attempt, row.crash_count, row.exception) == (State.QUEUED, 0, 0, None)
    yard.serve(app="new")
    yard.await_states(State.COMPLETED, new_only, new_lines)
    assert yard.notes("new") == [["new", "only", "new"]]
    assert {line[1] for line in yard.notes("record")} == {"new"}
    yard.stop(old)


def test_such_a_job_can_be_listed_moved_and_destroyed_meanwhile(yard: Yard) -> None:
    first, second = yard.create("NewOnly.create()", "NewOnly.create()", module="new")
    assert {job["kind"] for job in yard.lab.jobs()} == {"NewOnly"}
    assert yard.lab.show(str(first))["state"] == "queued"
    program = f"""
        from uuid import UUID
        from penstock.model.moves import move_job
        from penstock.model.querying import destroy_job
        from penstock.states import Move
        from penstock.store import current_store
        move_job(current_store(), UUID("{first}"), Move.PAUSE)
        destroy_job(current_store(), current_store().job(UUID("{second}")))
    """
    yard.lab.python(program)
    assert (yard.state(first), yard.state(second)) == (State.PAUSED, None)


def test_jobs_of_a_renamed_class_run_by_its_alias(yard: Yard) -> None:
    job_ids = yard.create("OldOnly.create()", "OldOnly.create()", module="old")
    yard.serve(app="new")
    yard.await_states(State.COMPLETED, *job_ids)
    assert yard.notes("renamed") == [["renamed", "new"]] * 2
    # Whoever still asks by the old name finds them, and so does who asks for the new class.
    assert {yard.row(job_id).kind for job_id in job_ids} == {"OldOnly"}
    assert yard.python("print(Renamed.query.completed.count())", module="new") == "2"


# Fields ------------------------------------------------------------------------------------------


def test_a_job_stored_by_old_code_runs_on_new_code_without_the_removed_field_and_with_the_added_one(yard: Yard) -> None:
    (job_id,) = yard.create("Shared.create(name='ada', removed=7)", module="old")
    yard.serve(app="new")
    yard.await_states(State.COMPLETED, job_id)
    stored = fields(yard, job_id)
    # Nothing is thrown away that old code may still want.
    assert (stored["removed"], stored["added"], stored["description"]) == (7, "for ada, performed", "new")


def test_a_job_stored_by_new_code_runs_on_old_code_and_keeps_what_that_does_not_know(yard: Yard) -> None:
    (job_id,) = yard.create("Shared.create(name='ada', added='kept')", module="new")
    yard.serve(app="old")
    yard.await_states(State.COMPLETED, job_id)
    stored = fields(yard, job_id)
    assert (stored["added"], stored["description"]) == ("kept", "old")


def test_a_field_that_must_be_given_and_is_not_there_fails_the_job_by_its_name_until_that_is_mended(yard: Yard) -> None:
    (job_id,) = yard.create("Shared.create(name='ada')", module="old")
    yard.module(NEW.replace('added: str = field(default_factory=lambda job: f"for {job.name}")', "added: str"), "new")
    server = yard.serve(app="new")
    yard.await_states(State.FAILED, job_id)
    failure = parse_failure(yard.row(job_id).exception)
    assert failure is not None
    assert "added" in failure.message
    assert "ValidationError" in failure.class_name
    yard.stop(server)
    yard.module(NEW, "new")
    yard.serve(app="new")
    yard.python(f"Shared.query.where(id='{job_id}').first().retry()", module="new")
    yard.await_states(State.COMPLETED, job_id)


# Old and new at once -----------------------------------------------------------------------------


def test_with_old_and_new_servers_side_by_side_all_is_done_and_each_kind_only_where_it_is_known(yard: Yard) -> None:
    yard.serve(app="old")
    yard.serve(app="new")
    program = """
        for number in range(60):
            print(Shared.create(name=f"{VERSION}{number}", seconds=0.01).id)
            print({only}.create().id)
    """
    made = {
        module: [UUID(line) for line in yard.python(program.replace("{only}", only), module=module).split()]
        for module, only in (("old", "OldOnly"), ("new", "NewOnly"))
    }
    batch = upload(yard, "old", "Lines", 600)
    yard.await_states(State.COMPLETED, *made["old"], *made["new"], batch)
    for job_id in (*made["old"], *made["new"], batch):
        row = yard.row(job_id)
        assert (row.failure_count, row.crash_count, row.exception) == (0, 0, None)
    assert {line[1] for line in yard.notes("shared")} == {"old", "new"}
    assert yard.notes("new") == [["new", "only", "new"]] * 60
    # The new code serves the old kind too, by its alias.
    assert len(yard.notes("old") + yard.notes("renamed")) == 60
    names = [line[2] for line in yard.notes("shared")]
    assert len(names) == len(set(names)) == 120
    told = yard.python(f"print(list(Lines.query.where(id='{batch}').first().output.records()))", module="new")
    assert json.loads(told) == [10 * n for n in range(1, 601)]
    assert yard.lab.check(str(batch))["processed"] == 600


@pytest.fixture
def mixed(yard: Yard) -> Yard:
    """A server whose first worker has imported the old code, and its second, started in its place, the new one."""
    yard.module(OLD, "deployed")
    server = yard.serve(app="deployed", workers=2, processes=2)
    wait_for(lambda: server.err.count(" is ready;") == 2, "both workers")
    first, second = server.workers()
    yard.module(NEW, "deployed")
    os.kill(second, signal.SIGKILL)
    wait_for(lambda: server.err.count(" is ready;") == 3, "the new worker")
    assert first in server.workers()
    return yard


def test_an_old_worker_that_meets_a_kind_which_only_its_new_neighbour_knows_gives_it_back(mixed: Yard) -> None:
    job_ids = mixed.create(*["NewOnly.create()"] * 40, module="new")
    mixed.await_states(State.COMPLETED, *job_ids)
    for job_id in job_ids:
        row = mixed.row(job_id)
        assert (row.failure_count, row.crash_count, row.exception) == (0, 0, None)
    assert mixed.notes("new") == [["new", "only", "new"]] * 40


def test_an_old_worker_gives_slices_of_such_a_kind_back_and_none_is_lost(mixed: Yard) -> None:
    job_id = upload(mixed, "new", "NewLines", 300)
    mixed.await_states(State.COMPLETED, job_id)
    told = mixed.python(f"print(list(NewLines.query.where(id='{job_id}').first().output.records()))", module="new")
    assert json.loads(told) == [10 * n for n in range(1, 301)]
    records = [int(line[2]) for line in mixed.notes("record")]
    assert sorted(records) == list(range(1, 301))
    assert {line[1] for line in mixed.notes("record")} == {"new"}
    assert mixed.lab.check(str(job_id))["processed"] == 300


def test_no_kind_is_stuck_while_workers_of_both_sorts_work(mixed: Yard) -> None:
    shared = mixed.create(*["Shared.create(seconds=0.01)"] * 40, module="new")
    new_only = mixed.create(*["NewOnly.create(priority=60)"] * 10, module="new")
    mixed.await_states(State.COMPLETED, *shared, *new_only)
    assert {line[1] for line in mixed.notes("shared")} == {"old", "new"}


def test_hooks_after_a_move_of_a_kind_only_new_code_knows_are_run_by_it(yard: Yard) -> None:
    yard.module(
        NEW
        + """
    class Told(Job, kind="Told"):
        def after_abort(self):
            note("aborted", VERSION)
    """,
        "new",
    )
    (job_id,) = yard.create("Told.create(run_at='2100-01-01T00:00:00Z')", module="new")
    yard.serve(app="old")
    program = f"""
        from uuid import UUID
        from penstock.model.moves import move_job
        from penstock.states import Move
        from penstock.store import current_store
        move_job(current_store(), UUID("{job_id}"), Move.ABORT)
    """
    yard.lab.python(program)
    (known,) = yard.create("Shared.create()", module="old")
    yard.await_states(State.COMPLETED, known)
    assert yard.row(job_id).pending_hooks == "after_abort"
    yard.serve(app="new")
    wait_for(lambda: yard.row(job_id).pending_hooks is None, "its hook")
    assert yard.notes("aborted") == [["aborted", "new"]]


def test_a_schedule_whose_class_was_renamed_goes_on_once(yard: Yard) -> None:
    before = """
    class Nightly(Cron, Job):
        cron_schedule = "* * * * * *"
        def perform(self):
            note("tick", self.scheduled_at.isoformat())
    """
    after = before.replace("class Nightly(Cron, Job)", 'class Hourly(Cron, Job, aliases=["Nightly"])')
    yard.module(before, "old")
    yard.module(after, "new")
    yard.python("Nightly.ensure()", module="old")
    server = yard.serve(app="old")
    yard.await_notes("tick", 2)
    yard.stop(server)
    yard.python("Hourly.ensure()", module="new")  # As every deploy does.
    server = yard.serve(app="new")
    yard.python("Hourly.ensure()", module="new")
    yard.await_notes("tick", 5)
    yard.stop(server)
    meant = [line[1] for line in yard.notes("tick")]
    assert len(meant) == len(set(meant)), "two schedules run"
