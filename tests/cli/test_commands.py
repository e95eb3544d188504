"""The command line, called in this process as `penstock` is."""

import io
import json
import shlex
import sys

import click
import pytest
from tests.tables import change

from penstock import BatchJob, Job
from penstock import cli as penstock_cli
from penstock.cli import COMMANDS, penstock
from penstock.cli.progress import Lines as ProgressLines
from penstock.store import open_store


class Post(Job, kind="tests.cli.Post"):
    def perform(self):
        return None


class Text(BatchJob, kind="tests.cli.Text"):
    slice_size = 2
    collect_output = True

    def perform(self, record):
        return record


def every_command(group=penstock, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize(
    ("path", "command"), list(every_command()), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_the_help_of_every_command_has_an_example_that_parses(call, path, command):
    code, out, err = call(*path, "--help")
    assert (code, err) == (0, "")
    line = next(line.strip() for line in command.help.splitlines() if line.strip().startswith("Example: "))
    words = shlex.split(line.removeprefix("Example: "))
    assert words[: len(path) + 1] == ["penstock", *path]
    command.make_context(path[-1], words[len(path) + 1 :])
    assert "Example:" in out


def test_every_command_is_listed_and_help_is_also_h(call):
    code, out, _ = call("-h")
    assert code == 0
    assert all(name in out for name in COMMANDS)


def test_the_version_is_shown(call):
    code, out, _ = call("--version")
    assert code == 0
    assert out.startswith("penstock, version ")


# jobs --------------------------------------------------------------------------------------------


def test_jobs_list_shows_jobs_newest_first(call, url):
    jobs = [Post.create(), Post.create(priority=7)]
    code, out, err = call("jobs", "list", "--store", url)
    lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", 3)
    assert lines[0].split() == ["id", "kind", "state", "prio", "done", "age", "waits", "because"]
    assert [line.split()[0] for line in lines[1:]] == [str(job.id) for job in reversed(jobs)]
    assert lines[1].split()[1:5] == ["tests.cli.Post", "queued", "7", "0%"]
    assert out.count("no server is running") == 2


def test_jobs_list_as_json_is_what_the_service_says(call, url):
    job = Post.create()
    code, out, _ = call("jobs", "list", "--json", "--store", url)
    (view,) = json.loads(out)
    assert (code, view["id"], view["state"]) == (0, str(job.id), "queued")


def test_jobs_list_narrows_by_state_kind_and_limit(call, url):
    post, text = Post.create(), Text()
    text.upload(["a"])
    text.save()
    Post.create().fail("no")
    assert len(json.loads(call("jobs", "list", "--json", "--state", "failed", "--store", url)[1])) == 1
    (found,) = json.loads(call("jobs", "list", "--json", "--kind", "tests.cli.Text", "--store", url)[1])
    assert found["id"] == str(text.id)
    assert len(json.loads(call("jobs", "list", "--json", "--limit", 2, "--store", url)[1])) == 2
    assert post.id != text.id


def test_no_jobs_are_said_to_be_none(call, url):
    assert call("jobs", "list", "--store", url) == (0, "no jobs\n", "")
    assert json.loads(call("jobs", "list", "--json", "--store", url)[1]) == []


def test_jobs_show_tells_everything_in_text_and_json(call, url):
    job = Text()
    job.upload(["a", "b", "c"])
    job.save()
    code, out, _ = call("jobs", "show", job.id, "--store", url)
    assert code == 0
    assert any(line.split() == ["record_count", "3"] for line in out.splitlines())
    view = json.loads(call("jobs", "show", job.id, "--json", "--store", url)[1])
    assert view["slices"] == {"queued": 2, "running": 0, "failed": 0}


def test_jobs_check_exits_0_when_balanced_and_1_when_a_record_is_missing(call, url):
    job = Text()
    job.upload(["a", "b", "c"])
    job.save()
    assert call("jobs", "check", job.id, "--store", url)[0] == 0
    assert change(open_store(url), "DELETE FROM slices WHERE number = 1") == 1
    code, out, _ = call("jobs", "check", job.id, "--store", url)
    assert code == 1
    assert any(line.split() == ["balanced", "False"] for line in out.splitlines())
    code, out, _ = call("jobs", "check", job.id, "--json", "--store", url)
    assert (code, json.loads(out)["balanced"]) == (1, False)


@pytest.mark.parametrize("command", ["show", "check"])
@pytest.mark.parametrize("text", ["01a1fbf7-6f14-7862-94d2-f0a999c73cbb", "nonsense"])
def test_an_unknown_id_is_one_line_and_exit_code_4(call, url, command, text):
    code, out, err = call("jobs", command, text, "--store", url)
    assert (code, out) == (4, "")
    assert err.startswith("penstock: ")
    assert text in err
    assert err.count("\n") == 1


def test_a_state_that_there_is_not_is_a_usage_error(call, url):
    code, _, err = call("jobs", "list", "--state", "sleeping", "--store", url)
    assert code == 2
    assert "sleeping" in err


# --store -----------------------------------------------------------------------------------------


def test_store_may_be_a_bare_file_name(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store(f"sqlite:///{tmp_path / 'my.db'}")
    row = Post()
    store.insert_jobs([row.new_row()])
    assert str(row.id) in call("jobs", "list", "--store", "my.db")[1]


@pytest.mark.parametrize("name", ["mysql://host/x", "sqlite:///nowhere/at/all/x.db"])
def test_a_store_that_cannot_be_opened_is_one_line(call, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    code, out, err = call("jobs", "list", "--store", name)
    assert code in (1, 2)
    assert out == ""
    assert err.startswith("penstock: ")
    assert err.count("\n") == 1


def test_a_file_that_is_no_store_is_one_line(call, tmp_path):
    path = tmp_path / "text.db"
    path.write_text("this is no database at all, but some text\n" * 100)
    code, _, err = call("jobs", "list", "--store", path)
    assert code == 1
    assert err.startswith("penstock: ")
    assert err.count("\n") == 1


# run: what is refused before anything is stored --------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "cli_jobs.py").write_text(
        "from penstock import BatchJob, Job\n"
        "class CliLines(BatchJob):\n"
        "    factor: int = 1\n"
        "    def perform(self, line):\n"
        "        return line\n"
        "class CliPlain(Job):\n"
        "    def perform(self):\n"
        "        return 1\n"
    )
    (tmp_path / "in.txt").write_text("a\n")
    yield tmp_path
    sys.modules.pop("cli_jobs", None)


REFUSED = {
    "no target": ([], 2, "name what to run"),
    "no name": (["cli_jobs"], 2, "cli_jobs:Name"),
    "no module": (["cli_nowhere:X"], 2, "there is no module 'cli_nowhere'"),
    "no class": (["cli_jobs:Nothing"], 2, "has no Nothing"),
    "no input": (["cli_jobs:CliLines"], 2, "--input"),
    "missing input": (["cli_jobs:CliLines", "--input", "none.txt"], 2, "none.txt"),
    "folder as input": (["cli_jobs:CliLines", "--input", "."], 2, "director"),
    "missing folder": (["cli_jobs:CliLines", "--input", "in.txt", "--output", "no/out.txt"], 1, "does not exist"),
    "folder as output": (["cli_jobs:CliLines", "--input", "in.txt", "--output", "."], 1, "is a directory"),
    "set without =": (["cli_jobs:CliLines", "--input", "in.txt", "--set", "factor"], 2, "field=value"),
    "set of no field": (["cli_jobs:CliLines", "--input", "in.txt", "--set", "nothing=1"], 2, "--set nothing"),
    "set of no number": (["cli_jobs:CliLines", "--input", "in.txt", "--set", "factor=x"], 2, "--set factor"),
    "set out of range": (["cli_jobs:CliLines", "--input", "in.txt", "--set", "slice_size=0"], 2, "--set slice_size"),
    "set of bad json": (["cli_jobs:CliLines", "--input", "in.txt", "--set", "factor=[1"], 2, "--set factor"),
    "input of a plain job": (["cli_jobs:CliPlain", "--input", "in.txt"], 2, "no batch job"),
    "overlap without input": (["cli_jobs:CliPlain", "--output", "x"], 2, "no batch job"),
    "resume without app": (["--resume"], 2, "--app"),
    "resume of nothing": (["--resume", "--app", "cli_jobs"], 4, "to resume"),
    "resume of no id": (["--resume", "nonsense", "--app", "cli_jobs"], 4, "nonsense"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_in_one_line_and_nothing_is_stored(call, here, case):
    words, expected, part = REFUSED[case]
    code, out, err = call("run", *words, "--store", "run.db")
    told = [line for line in err.splitlines() if not line.startswith("store: ")]
    assert (code, out, len(told)) == (expected, "", 1), err
    assert told[0].startswith("penstock: ")
    assert part in told[0]
    assert call("jobs", "list", "--store", "run.db")[1] == "no jobs\n"


def test_a_server_without_app_is_refused(call, here):
    code, _, err = call("server", "--store", "run.db")
    assert code == 2
    assert "--app" in err


def test_an_error_of_ours_has_its_exit_code(call, monkeypatch):
    from penstock.errors import InvalidMove

    def refuse(**_):
        raise InvalidMove("not now")

    monkeypatch.setattr(penstock_cli.penstock, "main", refuse)
    assert call("jobs") == (3, "", "penstock: not now\n")


# Progress ----------------------------------------------------------------------------------------


@pytest.fixture
def ticking(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("penstock.cli.progress.time.monotonic", lambda: now[0])
    return now


def test_plain_progress_is_a_line_every_two_seconds_and_the_sum_of_each_part(ticking):
    stream = io.StringIO()
    lines = ProgressLines(stream)
    lines.phase("process", 4000)
    for ticking[0], done in ((0.5, 500), (2.0, 2000), (3.0, 3000), (4.0, 4000)):
        lines.progress(done, 0)
    lines.phase("download", None)
    ticking[0] = 5.0
    lines.progress(4000, 0)
    lines.close()
    assert stream.getvalue().splitlines() == [
        "processing: 2,000 of 4,000 records, 1,000/s, 2 s left",
        "processing: 4,000 of 4,000 records, 1,000/s",
        "processing: 4,000 of 4,000 records, 1,000/s",
        "writing: 4,000 records, 4,000/s",
    ]


def test_the_rate_of_a_resumed_run_counts_what_it_did_itself_and_failed_slices_are_told(ticking):
    stream = io.StringIO()
    lines = ProgressLines(stream)
    lines.phase("process", 1000, 900)
    ticking[0] = 2.0
    lines.progress(920, 2)
    assert stream.getvalue() == "processing: 920 of 1,000 records, 10/s, 8 s left, 2 failed slices\n"
