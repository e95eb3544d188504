"""What a server and its workers log, and what user code prints, as it comes out of real processes."""

import json
import re
import signal
from collections import Counter
from typing import Any

import pytest
from tests.process.lab import Lab, Started, wait_for

pytestmark = pytest.mark.process

JOBS = """
    import logging, os, signal, sys, threading, time
    from penstock import BatchJob, Job

    log = logging.getLogger("myapp")
    log.info("the app is imported")

    class Talk(Job):
        destroy_on_complete = False
        name: str = "talk"
        count: int = 1
        padding: int = 0
        def perform(self):
            for number in range(self.count):
                log.debug("quiet %s %d", self.name, number)
                log.info("loud %s %d" + self.padding * "-", self.name, number)

    class Mixed(Job):
        destroy_on_complete = False
        def perform(self):
            for number in range(200):
                log.info("logged\\n%d \\ud800", number, extra={"odd": object, "bytes": b"\\xff"})
                print("printed", number)
            print('{"printed": "as json"}')
            os.write(2, b"raw \\xff\\n")
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join()
            try:
                raise ValueError("told")
            except ValueError:
                log.exception("failed")
            log.info("x" * 3_000_000)
            log.info("the end")

    class Endless(Job):
        def perform(self):
            log.info("begun")
            open("begun", "w").close()
            time.sleep(60)

    class Lines(BatchJob):
        destroy_on_complete = False
        slice_size = 10
        def perform(self, line):
            if self.record_number == 17:
                log.info("at %s", line)
            if line == "poison":
                log.info("last words")
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)
"""
SETUP = """
    import logging, os, time
    import notes

    class Note(logging.Handler):
        def emit(self, record):
            job = record.job_context.get("kind", "none")
            notes.write(f"{os.getpid()} {job} {record.getMessage()}")

    def handlers():
        notes.write(f"{os.getpid()} called")
        return [Note(logging.INFO)]

    def broken():
        raise OSError("no such host")

    class Late(logging.Handler):
        # Takes nothing of a job before its process is told to end, which gives the root logger back first.
        def emit(self, record):
            while record.job_context.get("kind") == "Talk" and len(logging.root.handlers) > 0:
                time.sleep(0.001)
            notes.write(record.getMessage())
"""
NOTES = """
    import os
    FILE = os.open("notes.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    def write(text):
        os.write(FILE, f"{text}\\n".encode())
"""


@pytest.fixture
def jobs(lab: Lab) -> Lab:
    lab.module("jobs", JOBS)
    lab.module("log_setup", SETUP)
    lab.module("notes", NOTES)
    return lab


def create(lab: Lab, *calls: str) -> list[str]:
    made = "\n".join(f"print({call}.id)" for call in calls)
    return lab.python(f"from jobs import *\n{made}").decode().splitlines()


def serve(lab: Lab, *words: str) -> Started:
    return lab.start("--app", "jobs", "--workers", "2", "--processes", "1", *words, command="server")


def await_ended(lab: Lab, *job_ids: str) -> None:
    ended = ("completed", "failed")
    wait_for(lambda: all(lab.show(job_id)["state"] in ended for job_id in job_ids), "the end of the jobs")


def stop(server: Started) -> str:
    """Stop a server in order and return what it has written to standard error."""
    server.signal(signal.SIGTERM)
    ended = server.end()
    assert ended.code == 0, ended.err
    return ended.err


def parsed(text: str) -> list[dict[str, Any]]:
    """Return every line as the object of JSON that it is."""
    found = [json.loads(line) for line in text.splitlines()]
    assert all(isinstance(entry, dict) for entry in found)
    return found


def test_all_output_of_a_server_that_logs_json_is_lines_of_json(jobs: Lab) -> None:
    (job_id,) = create(jobs, "Mixed.create()")
    server = serve(jobs, "--log-format", "json")
    await_ended(jobs, job_id)
    found = parsed(stop(server))
    messages = Counter(str(entry.get("message")) for entry in found)
    for number in range(200):
        assert messages[f"logged\n{number} \\ud800"] == 1
        assert messages[f"printed {number}"] == 1
    assert [entry for entry in found if "printed" in entry] == [{"printed": "as json"}]
    assert messages["raw \ufffd"] == 1
    failed = next(entry for entry in found if entry.get("message") == "failed")
    assert failed["exception"].endswith("ValueError: told")
    assert (failed["job"], failed["kind"]) == (job_id, "Mixed")
    assert any("ZeroDivisionError" in entry.get("exception", "") for entry in found)
    assert any("cut" in entry and entry["message"].startswith("xxx") for entry in found)
    worker = next(entry["worker"] for entry in found if entry.get("message") == "printed 7")
    assert failed["worker"].startswith(f"{worker}:")
    assert all("time" in entry for entry in found if entry.get("message"))


def test_a_server_that_cannot_start_says_so_as_json_too(jobs: Lab) -> None:
    ended = jobs.run("--app", "nowhere", "--log-format", "json", command="server")
    assert ended.code == 2
    last = parsed(ended.err)[-1]
    assert (last["level"], "nowhere" in last["message"]) == ("CRITICAL", True)


def test_text_has_the_job_and_further_lines_indented_and_what_was_printed_unchanged(jobs: Lab) -> None:
    (job_id,) = create(jobs, "Mixed.create()")
    server = serve(jobs)
    await_ended(jobs, job_id)
    lines = stop(server).splitlines()
    at = next(index for index, line in enumerate(lines) if " INFO myapp: logged job=" in line)
    assert f"job={job_id} kind=Mixed worker=" in lines[at]
    assert lines[at + 1] == "    0 \\ud800"
    assert [line for line in lines if line.startswith("printed")] == [f"printed {number}" for number in range(200)]
    assert any(
        line.endswith("Z INFO myapp: the app is imported worker=") or "the app is imported" in line for line in lines
    )


def test_a_record_is_told_with_its_slice_and_number(jobs: Lab) -> None:
    program = "from jobs import *; job = Lines(); job.upload(f'line {n}' for n in range(1, 31)); print(job.save().id)"
    job_id = jobs.python(program).decode().strip()
    server = serve(jobs, "--log-format", "json")
    await_ended(jobs, job_id)
    entry = next(entry for entry in parsed(stop(server)) if entry.get("message") == "at line 17")
    assert (entry["job"], entry["kind"], entry["slice"], entry["record"]) == (job_id, "Lines", 2, 17)


def test_one_jobs_level_is_its_own_beside_another_in_the_same_process(jobs: Lab) -> None:
    ids = create(
        jobs,
        "Talk.create(name='low', count=300, log_level='debug')",
        "Talk.create(name='high', count=300, log_level='error')",
        "Talk.create(name='none', count=300)",
    )
    server = serve(jobs, "--log-format", "json")
    await_ended(jobs, *ids)
    found = parsed(stop(server))
    said = Counter(tuple(entry["message"].split()[:2]) for entry in found if entry.get("logger") == "myapp")
    assert said == {("quiet", "low"): 300, ("loud", "low"): 300, ("loud", "none"): 300, ("the", "app"): 1}
    pieces = [entry for entry in found if entry.get("logger") == "penstock.worker"]
    assert [(entry["message"], entry.get("metric"), entry["job"]) for entry in pieces] == [
        ("Start #perform", None, ids[0]),
        ("Completed #perform", "Talk/perform", ids[0]),
    ]


def test_moves_and_durations_are_told_by_the_server(jobs: Lab) -> None:
    (job_id,) = create(jobs, "Talk.create()")
    server = serve(jobs, "--log-format", "json", "--log-level", "debug")
    await_ended(jobs, job_id)
    entry = next(entry for entry in parsed(stop(server)) if entry.get("event") == "complete")
    assert (entry["from"], entry["to"], entry["job"], entry["level"]) == ("running", "completed", job_id, "DEBUG")


def test_nothing_logged_is_lost_when_a_server_is_stopped_and_the_file_has_what_the_console_has(jobs: Lab) -> None:
    ids = create(jobs, *(f"Talk.create(name='{number}', count=3000)" for number in range(4)))
    server = serve(jobs, "--log-file", "server.log", "--processes", "2")
    wait_for(lambda: "loud" in server.err, "the first line")
    err = stop(server)
    done = [number for number, job_id in enumerate(ids) if jobs.show(job_id)["state"] == "completed"]
    expected = Counter({f"loud {name} {number}" for name in done for number in range(3000)})
    for text in (err, jobs.path("server.log").read_text("utf-8")):
        said = Counter(line.partition("myapp: ")[2].partition(" job=")[0] for line in text.splitlines())
        assert {message: said[message] for message in expected} == expected
    assert sorted(err.splitlines()) == sorted(jobs.path("server.log").read_text("utf-8").splitlines())


def test_what_waits_behind_a_slow_handler_when_a_server_is_stopped_comes_out_everywhere(jobs: Lab) -> None:
    (job_id,) = create(jobs, "Talk.create(count=200, padding=1000)")  # More than a pipe holds.
    jobs.path("pyproject.toml").write_text('[tool.penstock]\nlog_handlers = ["log_setup:Late"]\n')
    server = serve(jobs)
    await_ended(jobs, job_id)
    err = stop(server)
    for text in (err, jobs.path("notes.txt").read_text("utf-8")):
        assert [int(number) for number in re.findall(r"loud talk (\d+)", text)] == list(range(200))


def test_what_a_job_logged_before_its_grace_ended_comes_out(jobs: Lab) -> None:
    create(jobs, "Endless.create()")
    server = serve(jobs, "--grace", "0")
    wait_for(lambda: jobs.path("begun").exists(), "the job")
    assert "INFO myapp: begun" in stop(server)


def test_a_log_file_that_is_rotated_away_is_begun_anew_by_every_process(jobs: Lab) -> None:
    server = serve(jobs, "--log-file", "server.log")
    log = jobs.path("server.log")
    wait_for(lambda: log.exists() and "is ready" in log.read_text("utf-8"), "the worker")
    log.rename(jobs.path("server.log.1"))
    await_ended(jobs, *create(jobs, "Talk.create()"))
    stop(server)
    assert "loud talk" in log.read_text("utf-8")
    assert "stopped" in log.read_text("utf-8")
    assert "loud talk" not in jobs.path("server.log.1").read_text("utf-8")


def test_handlers_by_setting_are_made_once_in_each_process_and_get_what_each_logs(jobs: Lab) -> None:
    jobs.path("pyproject.toml").write_text('[tool.penstock]\nlog_handlers = ["log_setup:handlers"]\n')
    (job_id,) = create(jobs, "Talk.create()")
    server = serve(jobs)
    await_ended(jobs, job_id)
    (worker,) = server.workers()
    stop(server)
    notes = jobs.path("notes.txt").read_text().splitlines()
    assert sorted(note for note in notes if note.endswith(" called")) == sorted(
        f"{pid} called" for pid in (worker, server.process.pid)
    )
    assert f"{worker} Talk loud talk 0" in notes
    assert any(note.startswith(f"{server.process.pid} none server ") for note in notes)


@pytest.mark.parametrize(
    ("words", "setting", "says"),
    [
        (
            [],
            'log_handlers = ["log_setup:broken"]',
            "setting log_handlers: log_setup:broken raised OSError: no such host",
        ),
        ([], 'log_handlers = ["nowhere:x"]', "setting log_handlers: nowhere:x: there is no module 'nowhere'"),
        (["--log-file", "no/such/file"], "", "setting log_file: "),
        (["--syslog", "/no/such"], "", "setting syslog: /no/such: "),
        ([], 'log_level = "loud"', "log_level = 'loud': must be one of trace, debug,"),
    ],
)
def test_a_log_that_cannot_be_written_stops_the_start_and_is_named(
    jobs: Lab, words: list[str], setting: str, says: str
) -> None:
    jobs.path("pyproject.toml").write_text(f"[tool.penstock]\n{setting}\n")
    ended = jobs.run("--app", "jobs", *words, command="server")
    assert ended.code == 2, ended.err
    assert len(ended.told) == 1
    assert says in ended.told[0]


def test_what_a_record_logs_that_has_killed_a_worker_before_is_out_before_it_kills_another(jobs: Lab) -> None:
    jobs.path("in.txt").write_text("good\npoison\n")
    ended = jobs.run("jobs:Lines", "--input", "in.txt", env={"PENSTOCK_LOG_LEVEL": "info"})
    assert ended.code == 1, ended.err
    lines = ended.err.splitlines()
    deaths = [index for index, line in enumerate(lines) if "killed by SIGKILL; what it worked on" in line]
    assert len(deaths) == 3
    assert "myapp: last words job=" in lines[deaths[1] - 1]
    assert "myapp: last words job=" in lines[deaths[2] - 1]


def test_a_run_shows_warnings_of_its_workers_and_nothing_less(jobs: Lab) -> None:
    jobs.module("warn", "import logging\ndef one(line):\n    logging.info('quiet')\n    logging.warning('careful')\n")
    jobs.path("in.txt").write_text("one\n")
    ended = jobs.run("warn:one", "--input", "in.txt", "--output", "out.txt")
    assert ended.code == 0, ended.err
    (line,) = [line for line in ended.err.splitlines() if "root: " in line]
    assert "WARNING root: careful job=" in line
    assert "kind=warn:one slice=1 record=1" in line
