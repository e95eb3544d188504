"""Hooks that follow a move, and whoever runs them killed: each runs at least once, wherever its process died."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from uuid import UUID

import pytest
from tests.process.lab import ENOUGH, Lab, wait_for
from tests.process.yard import Yard, open_yard

from penstock.states import State

pytestmark = pytest.mark.process

JOBS = """
    class Hooked(Job):
        destroy_on_complete = False
        notes: list[str] = []

        def perform(self):
            note("perform", self.id)
            if self.description == "break":
                raise ValueError("broken")

        def hook(self, moment):
            note("begin", moment, os.getpid())
            if told("hang"):
                wait_until_told("go on")
            if told("kill") and once(f"killed in {moment}"):
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)
            self.notes = [*self.notes, moment]
            note("end", moment, self.state)

        def after_complete(self):
            self.hook("after_complete")

        def after_abort(self):
            self.hook("after_abort")

        def after_fail(self):
            self.hook("after_fail")

        def after_pause(self):
            self.hook("after_pause")

        def after_requeue(self):
            note("requeued", self.id)

    class Going(Hooked):
        destroy_on_complete = True

    class Deadly(Hooked):
        def perform(self):
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    class Lines(BatchJob):
        destroy_on_complete = True
        slice_size = 1

        def perform(self, record):
            note("perform", record)

        def after_complete(self):
            note("begin", "after_complete")
            if once("killed in after_complete"):
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)
            note("end", "after_complete", self.state)
"""


@pytest.fixture
def yard(lab: Lab) -> Iterator[Yard]:
    with open_yard(lab, JOBS) as made:
        yield made
        made.tell("go on")


def moving(yard: Yard, job_id: UUID, call: str) -> "subprocess.Popen[bytes]":
    """Start a client that makes a move."""
    program = f"import jobs\njobs.Hooked.query.where(id='{job_id}').first().{call}"
    process = subprocess.Popen([sys.executable, "-c", program], cwd=yard.lab.folder, env=yard.lab.environment)
    yard.lab.started.append(process)
    return process


def is_done(yard: Yard, job_id: UUID) -> bool:
    row = yard.row(job_id)
    return (row.pending_hooks, row.hooks_server) == (None, None)


# Clients -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "state"), [("abort()", "aborted"), ("pause()", "paused"), ("fail('x')", "failed")])
def test_a_client_killed_between_the_move_and_its_hook_leaves_the_hook_to_a_server(
    yard: Yard, call: str, state: str
) -> None:
    (job_id,) = yard.create("Hooked.create()")
    yard.tell("hang")
    client = moving(yard, job_id, call)
    yard.await_notes("begin")
    assert yard.state(job_id) == state  # Committed before the hook began.
    client.kill()
    client.wait(ENOUGH)
    os.unlink(yard.lab.path("hang"))
    assert yard.notes("end") == []
    yard.serve()
    wait_for(lambda: is_done(yard, job_id), "the hook")
    assert len(yard.notes("begin")) == 2
    (ended,) = yard.notes("end")
    assert ended[-1] == state
    assert yard.state(job_id) == state
    told = yard.python(f"print(Hooked.query.where(id='{job_id}').first().notes)")
    assert told == str([ended[1]])


def test_a_server_that_runs_already_takes_the_hook_over_from_a_client_that_is_killed(yard: Yard) -> None:
    (job_id,) = yard.create("Hooked.create(run_at='2100-01-01T00:00:00Z')")
    yard.serve()
    yard.tell("hang")
    client = moving(yard, job_id, "abort()")
    yard.await_notes("begin")
    client.kill()
    client.wait(ENOUGH)
    os.unlink(yard.lab.path("hang"))
    wait_for(lambda: is_done(yard, job_id), "the hook")
    assert len(yard.notes("end")) == 1


def test_the_hook_of_a_client_that_lives_is_not_run_by_a_server_too(yard: Yard) -> None:
    (job_id,) = yard.create("Hooked.create(run_at='2100-01-01T00:00:00Z')")
    yard.serve()
    yard.tell("hang")
    client = moving(yard, job_id, "abort()")
    yard.await_notes("begin")
    os.unlink(yard.lab.path("hang"))  # For the hooks of those to come; the client waits for another sign.
    # The server is at work meanwhile, and looks at the store for each of these.
    others = yard.create(*["Going.create()"] * 3)
    wait_for(lambda: len(yard.notes("perform")) == 3, "other work")
    assert [begun[1] for begun in yard.notes("begin") if begun[1] == "after_abort"] == ["after_abort"]
    yard.tell("go on")
    assert client.wait(ENOUGH) == 0
    yard.await_states(None, *others)
    assert is_done(yard, job_id)
    assert [ended[1] for ended in yard.notes("end")].count("after_abort") == 1


def test_a_move_by_somebody_who_does_not_know_the_class_has_its_hook_run_by_a_server(yard: Yard) -> None:
    job_ids = yard.create("Hooked.create()", "Hooked.create()")
    for job_id, move in zip(job_ids, ["abort", "pause"], strict=True):
        yard.lab.python(
            f"""
            from uuid import UUID
            from penstock.model.moves import move_job
            from penstock.states import Move
            from penstock.store import current_store
            move_job(current_store(), UUID("{job_id}"), Move("{move}"))
            """
        )
    assert yard.notes() == []
    assert not any(is_done(yard, job_id) for job_id in job_ids)
    yard.serve()
    wait_for(lambda: all(is_done(yard, job_id) for job_id in job_ids), "the hooks")
    assert sorted(ended[1] for ended in yard.notes("end")) == ["after_abort", "after_pause"]
    assert [yard.state(job_id) for job_id in job_ids] == [State.ABORTED, State.PAUSED]


# Workers and servers -----------------------------------------------------------------------------


def test_a_worker_killed_in_after_complete_has_it_run_again_and_the_job_is_there_until_then(yard: Yard) -> None:
    (job_id,) = yard.create("Going.create()")
    yard.tell("kill")
    yard.serve()
    yard.await_notes("begin", 2)
    yard.await_states(None, job_id)
    assert [line[1] for line in yard.notes("perform")] == [str(job_id)]
    (ended,) = yard.notes("end")
    assert ended[1:] == ["after_complete", "completed"]
    first, second = yard.notes("begin")
    assert first[2] != second[2]


def test_meanwhile_it_is_completed_and_to_be_seen(yard: Yard) -> None:
    (job_id,) = yard.create("Going.create()")
    yard.tell("hang")
    yard.serve()
    yard.await_notes("begin")
    row = yard.row(job_id)
    assert (row.state, row.draft, row.pending_hooks) == (State.COMPLETED, False, "after_complete")
    yard.tell("go on")
    yard.await_states(None, job_id)


def test_a_batch_job_whose_worker_is_killed_in_after_complete_goes_with_its_slices_when_it_has_run(yard: Yard) -> None:
    program = "job = Lines()\njob.upload(['a', 'b', 'c'])\nprint(job.save().id)"
    job_id = UUID(yard.python(program))
    yard.serve()
    yard.await_states(None, job_id)
    assert [len(yard.notes(word)) for word in ("begin", "end")] == [2, 1]
    assert sorted(line[1] for line in yard.notes("perform")) == ["a", "b", "c"]
    wait_for(lambda: yard.store.job(job_id) is None, "its removal")
    assert yard.store.slice_counts(job_id) == {}


@pytest.mark.parametrize("what", ["completes", "fails"])
def test_a_server_killed_while_a_hook_runs_leaves_it_to_the_next(yard: Yard, what: str) -> None:
    (job_id,) = yard.create(f"Hooked.create(description={'break' if what == 'fails' else ''!r})")
    yard.tell("hang")
    server = yard.serve()
    yard.await_notes("begin")
    yard.kill(server)
    os.unlink(yard.lab.path("hang"))
    yard.serve()
    wait_for(lambda: is_done(yard, job_id), "the hook")
    assert len(yard.notes("perform")) == 1
    moment, state = ("after_complete", "completed") if what == "completes" else ("after_fail", "failed")
    assert [ended[1:] for ended in yard.notes("end")] == [[moment, state]]


def test_a_server_beside_it_takes_the_hook_over(yard: Yard) -> None:
    (job_id,) = yard.create("Going.create()")
    yard.tell("hang")
    server = yard.serve()
    yard.await_notes("begin")
    yard.serve()
    yard.kill(server)
    os.unlink(yard.lab.path("hang"))
    yard.await_states(None, job_id)
    assert len(yard.notes("end")) == 1


def test_a_job_that_kills_its_workers_has_its_hooks_for_each_time_and_for_the_end(yard: Yard) -> None:
    (job_id,) = yard.create("Deadly.create()")
    yard.serve()
    yard.await_states(State.FAILED, job_id)
    wait_for(lambda: is_done(yard, job_id), "the hooks")
    assert [ended[1:] for ended in yard.notes("end")] == [["after_fail", "failed"]]
    # One that ran beside the job was killed with it, and so runs again.
    assert len(yard.notes("requeued")) >= 2


def test_a_hook_that_kills_its_worker_each_time_is_given_up_and_other_work_goes_on(yard: Yard) -> None:
    yard.module(
        """
        class Fatal(Job):
            destroy_on_complete = False
            def perform(self):
                note("perform")
            def after_complete(self):
                note("begin")
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)

        class Other(Job):
            def perform(self):
                note("other")
        """
    )
    (job_id,) = yard.create("Fatal.create()")
    yard.serve()
    wait_for(lambda: yard.state(job_id) is State.COMPLETED and is_done(yard, job_id), "the end of its tries")
    row = yard.row(job_id)
    assert row.exception is not None
    assert signal.SIGKILL.name in row.exception
    assert (len(yard.notes("begin")), len(yard.notes("perform"))) == (3, 1)
    (other,) = yard.create("Other.create()")
    yard.await_states(None, other)


def test_hooks_run_in_their_order_in_real_processes_too(yard: Yard) -> None:
    yard.module(
        """
        class Every(Job):
            destroy_on_complete = True
            def perform(self):
                note("perform")

        def noting(moment):
            def method(self):
                note(moment)
            def around(self):
                note(moment, "in")
                yield
                note(moment, "out")
            return around if moment.startswith("around") else method

        Told = type(Job)("Told", (Every,), {"__module__": __name__, **{name: noting(name) for name in hooks.HOOKS}})
        """
    )
    (job_id,) = yard.create("Told.create()")
    yard.serve()
    yard.await_states(None, job_id)
    noted = [" ".join(line) for line in yard.notes() if line != ["after_init"]]
    assert noted == [
        "before_validation", "after_validation", "before_save", "before_create", "after_create", "after_save",
        "before_start", "after_start", "before_perform", "around_perform in", "perform", "around_perform out",
        "after_perform", "before_complete", "after_complete",
    ]  # fmt: skip
