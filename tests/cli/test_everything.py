"""Everything that the console and the API can do, the command line can: all call the same functions of the service."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import penstock
from penstock import BatchJob, Job
from penstock.store import open_store
from penstock.testing import drain

SRC = Path(penstock.__file__).parent
NOTHING_DONE = {
    "demand", "may", "roles_with", "person_of_token", "note_refusal", "base_name", "limit_of_upload", "count_text",
    "get_job", "view_of_job", "view_of_schedule", "trail_of_job", "opened_upload",
}  # fmt: skip
"""Functions by which the faces check or word something: they are no ability of their own. A job's trail is shown by
`jobs show`."""


def functions_used_by(face):
    """Return the functions of the service that a face imports."""
    found = set()
    for path in (SRC / face).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("penstock.service."):
                module = importlib.import_module(node.module)
                named = {alias.name: getattr(module, alias.name) for alias in node.names}
                found |= {name for name, it in named.items() if inspect.isfunction(it)}
    return found


def test_the_command_line_calls_every_function_that_the_console_and_the_api_call():
    of_console, of_command_line = functions_used_by("web"), functions_used_by("cli")
    assert len(of_console) > 40
    assert of_console - of_command_line - NOTHING_DONE == set()


def test_the_api_calls_every_function_that_changes_something():
    """Those that take `by` act in somebody's name; files of this machine are for the command line."""
    for_people_here = {
        "failed_of_job",
        "edit_failed_record",
        "act_on_all",
        "list_tokens",
        "add_token",
        "remove_token",
    }
    acting = set()
    for path in (SRC / "service").glob("*.py"):
        module = importlib.import_module(f"penstock.service.{path.stem}")
        for name, it in inspect.getmembers(module, inspect.isfunction):
            if (
                it.__module__ == module.__name__
                and "by" in inspect.signature(it).parameters
                and not name.startswith("_")
            ):
                acting.add(name)
    of_api = functions_used_by("web/api")
    assert len(acting) > 20
    assert (
        acting - of_api - for_people_here - {"acting", "note_refusal", "person_of", "reading_output", "actions_on"}
        == set()
    )


class EverythingJob(Job):
    """Do it."""

    destroy_on_complete = False

    def perform(self):
        return None


class EverythingLines(BatchJob):
    slice_size = 2
    collect_output = True
    destroy_on_complete = False

    def perform(self, line):
        if line == "bad\x01":
            raise ValueError("bad line")
        return line


@pytest.fixture
def failed(url):
    job = EverythingLines(description="The orders")
    job.upload(["a", "b", "bad\x01", "c"])
    job.save()
    drain(expect_failures=True)
    return job


def test_a_bad_record_is_found_corrected_and_retried_from_the_command_line(call, failed):
    code, out, _ = call("jobs", "browse", "failed", "--search", "ORDERS")
    assert (code, str(failed.id) in out) == (0, True)
    assert call("jobs", "slices", failed.id)[1].splitlines() == ["=!", "1 ValueError in slices 2"]
    assert "> " in call("jobs", "slice", failed.id, "2")[1]
    assert "bad\\x01" in call("jobs", "slice", failed.id, "2")[1]
    assert call("jobs", "edit-record", failed.id, "3", "--value", "good\\x09", "--escaped")[0] == 0
    assert "1 slices are queued again" in call("jobs", "retry-failed", failed.id, "--class", "ValueError")[1]
    drain()
    assert call("jobs", "preview", failed.id)[1].splitlines() == ["a", "b", "good\\t", "c"]
    assert "record.edit" in call("audit", "list")[1]
    assert "job.retry" in call("jobs", "show", failed.id)[1]


def test_a_bad_record_is_deleted_from_the_command_line(call, failed):
    assert call("jobs", "delete-record", failed.id, "4")[0] != 0
    assert "record 3 is deleted" in call("jobs", "delete-record", failed.id, "3")[1]
    assert call("jobs", "retry", failed.id)[0] == 0
    drain()
    assert call("jobs", "preview", failed.id)[1].splitlines() == ["a", "b", "c"]
    assert "record.delete" in call("audit", "list")[1]


def test_how_things_stand_is_told(call, url):
    assert call("status", "--check")[0] == 0
    EverythingJob.create()
    code, out, err = call("status", "--check")
    assert (code, "Work is standing still" in out) == (1, True)
    assert "no server works" in err
    assert "penstock_progress 0" in call("status", "--metrics")[1]
    assert len(call("status", "--minutes", "3")[1].splitlines()) == 4
    assert "max_upload" in call("settings")[1]
    assert "Do it." in call("jobs", "fields", "EverythingJob")[1]
    assert "EverythingJob" in call("jobs", "kinds")[1]
    assert "nothing runs" in call("jobs", "working")[1]


def test_all_jobs_with_a_text_are_acted_on(call, url):
    for name in ("Orders of May", "Orders of June", "Refunds"):
        EverythingJob.create(description=name)
    assert call("jobs", "pause", "--all", "--search", "orders", "--yes")[1] == "2 jobs paused\n"
    assert open_store(url).counts_up_to(10)["paused"] == 2


def test_a_file_is_looked_at_before_it_is_uploaded(call, tmp_path):
    (tmp_path / "a.csv").write_text("Name,Size\nx,1\n")
    out = call("jobs", "preview-input", tmp_path / "a.csv")[1]
    assert "csv" in out
    assert "x,1" in out


def test_tokens_are_made_listed_and_removed(call, url):
    code, out, err = call("web", "token", "add", "nightly", "--role", "manager")
    assert (code, out.startswith("pst_")) == (0, True)
    assert "not shown again" in err
    assert "manager" in call("web", "token", "list")[1]
    assert out.strip() not in call("web", "token", "list")[1]
    assert call("web", "token", "add", "nightly")[0] == 3
    assert call("web", "token", "remove", "nightly")[0] == 0
    assert call("web", "token", "remove", "nightly")[0] == 4
