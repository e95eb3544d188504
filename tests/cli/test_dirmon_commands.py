"""`penstock dirmon`."""

import json

import pytest

import penstock
from penstock import BatchJob
from penstock.jobs import DirmonJob

pytestmark = pytest.mark.usefixtures("clock")


class Load(BatchJob, kind="tests.cli.dirmon.Load"):
    count: int = 1

    def perform(self, line):
        return None


@pytest.fixture
def box(tmp_path):
    folder = tmp_path / "box"
    folder.mkdir()
    penstock.configure(allowed_roots=[str(folder)])
    return folder


@pytest.fixture
def dirmon(call, url):
    """Return a function that runs a command with --json, and gives its code and what it printed."""

    def run(*words):
        code, out, err = call("dirmon", *words, "--json", "--store", url)
        return (code, json.loads(out)) if out else (code, err)

    return run


def add(dirmon, box, name="orders", *words):
    return dirmon("add", name, "--pattern", f"{box}/{name}*.csv", "--kind", Load.kind, *words)


def test_an_entry_is_added_pending_and_listed(call, url, dirmon, box):
    code, view = add(dirmon, box, "orders", "--set", "count=7")
    assert (code, view["state"], view["properties"], view["archive"]) == (0, "pending", {"count": 7}, "archive")
    assert dirmon("list") == (0, [view])
    assert dirmon("list", "--state", "enabled") == (0, [])
    code, out, _ = call("dirmon", "list", "--store", url)
    assert out.splitlines()[1].split() == ["orders", "pending", Load.kind, "archive", f"{box}/orders*.csv"]


def test_no_entries_are_said_to_be_none(call, url):
    assert call("dirmon", "list", "--store", url) == (0, "no entries\n", "")


def test_enabled_it_has_its_folder_watched(dirmon, box):
    add(dirmon, box)
    assert DirmonJob.query.count() == 0
    assert dirmon("enable", "orders")[1]["state"] == "enabled"
    assert DirmonJob.query.count() == 1
    code, err = dirmon("enable", "orders")
    assert (code, "entry orders is enabled" in err) == (3, True)
    assert dirmon("disable", "orders")[1]["state"] == "disabled"
    assert add(dirmon, box, "more", "--enable")[1]["state"] == "enabled"
    assert DirmonJob.query.count() == 1


def test_an_entry_is_edited_whole_or_not_at_all(dirmon, box):
    add(dirmon, box, "orders", "--set", "count=7")
    code, view = dirmon("edit", "orders", "--name", "news", "--after", "delete")
    assert (code, view["name"], view["after"], view["properties"]) == (0, "news", "delete", {"count": 7})
    assert dirmon("edit", "news", "--after", "archive", "--pattern", "/etc/*")[0] == 2
    assert dirmon("edit", "news", "--set", "count=many")[0] == 2
    assert dirmon("edit", "news", "--set", "colour=red")[0] == 2
    assert dirmon("list")[1] == [view]
    assert dirmon("edit", "news")[0] == 2
    assert dirmon("edit", "gone", "--after", "delete")[0] == 4


def test_a_copy_has_a_pattern_of_its_own(dirmon, box):
    add(dirmon, box, "orders", "--set", "count=7")
    code, err = dirmon("copy", "orders", "returns")
    assert (code, "another entry has this pattern" in err) == (3, True)
    code, view = dirmon("copy", "orders", "returns", "--pattern", f"{box}/r*.csv")
    assert (code, view["properties"], view["state"]) == (0, {"count": 7}, "pending")
    assert [entry["name"] for entry in dirmon("list")[1]] == ["orders", "returns"]


def test_an_entry_is_removed_once(dirmon, box):
    add(dirmon, box)
    assert dirmon("remove", "orders")[1]["name"] == "orders"
    assert dirmon("remove", "orders")[0] == 4


def test_a_look_says_what_would_be_done_and_does_nothing(call, url, dirmon, box):
    add(dirmon, box, "orders", "--enable")
    (box / "orders1.csv").write_text("1\n")
    (box / "orders2.csv").symlink_to("/etc/passwd")
    _, (look,) = dirmon("look")
    told = {file["file"]: (file["verdict"], file["size"]) for file in look["files"]}
    assert told[f"{box}/orders1.csv"] == ("wait", 2)
    assert told[f"{box}/orders2.csv"][0] == "skip"
    dirmon("disable", "orders")
    assert dirmon("look") == (0, [])
    out = call("dirmon", "look", "orders", "--store", url)[1]
    assert "orders (disabled): 2 files" in out
    assert "a link that leads out of allowed_roots" in out
    assert penstock.Job.query.count() == 1


def test_a_look_says_why_an_entry_would_fail(dirmon, box):
    add(dirmon, box, "orders", "--enable")
    penstock.configure(allowed_roots=[])
    assert "allowed_roots" in dirmon("look")[1][0]["error"]
