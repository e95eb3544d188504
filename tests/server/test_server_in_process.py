"""A server in this process, with real workers."""

import sys
import threading
from textwrap import dedent

import pytest

from penstock import events
from penstock.errors import AppImportError, ConfigurationError
from penstock.server.app import import_module
from penstock.server.options import ServerOptions
from penstock.server.server import Server
from penstock.states import State

pytestmark = pytest.mark.process

JOBS = """
    import os, signal, time
    from penstock import BatchJob, Job, after_batch, before_batch

    class InServer(BatchJob):
        slice_size = 10
        collect_output = True
        destroy_on_complete = False
        count: int = 100

        @before_batch
        def load(self):
            self.upload(map(str, range(self.count)))

        @after_batch
        def deliver(self):
            self.download("delivered.txt")

        def perform(self, record):
            return record + "!"

    class Says(Job):
        destroy_on_complete = False
        collect_output = True
        text: str = ""

        def perform(self):
            print(self.text)
            return os.getpid()

    class Dies(Job):
        def perform(self):
            os.kill(os.getpid(), signal.SIGKILL)

    class Waits(Job):
        destroy_on_complete = False
        seconds: float = 60.0

        def perform(self):
            print("waiting")
            time.sleep(self.seconds)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "in_server_jobs.py").write_text(dedent(JOBS))
    yield import_module("in_server_jobs")
    sys.modules.pop("in_server_jobs", None)


@pytest.fixture
def serve(configured_store):
    """Return a function that starts a server; it is stopped at the end."""
    started = []

    def start(*app, workers=2, processes=2):
        server = Server(configured_store, ServerOptions(app=app, workers=workers, processes=processes))
        server.start_workers()
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        if not server.ended.is_set() or server.failed:
            server.stop(0)
    assert configured_store.servers() == []


@pytest.fixture
def heard():
    """Return a function that waits for an event, and all events so far."""
    found, changed = [], threading.Condition()

    def note(event):
        with changed:
            found.append(event)
            changed.notify_all()

    def wait(matches):
        with changed:
            assert changed.wait_for(lambda: any(map(matches, found)), 30), found
            return next(filter(matches, found))

    with events.subscribed(events.Event, note):
        yield wait


def test_before_batch_uploads_and_after_batch_downloads(module, serve, tmp_path, configured_store):
    serve("in_server_jobs")
    job = module.InServer.create(count=57)
    job.wait(timeout=30)
    assert (job.state, job.record_count) == (State.COMPLETED, 57)
    assert (tmp_path / "delivered.txt").read_text() == "".join(f"{number}!\n" for number in range(57))
    assert configured_store.accounts(job.id).processed == 57


def test_regular_jobs_run_and_what_they_print_becomes_events(module, serve, heard):
    serve("in_server_jobs")
    jobs = module.Says.create_many([{"text": f"says {number}"} for number in range(20)])
    for job in jobs:
        assert job.wait(timeout=30).state is State.COMPLETED
        assert isinstance(job.result, int)
    for number in range(20):
        heard(lambda event, line=f"says {number}": isinstance(event, events.WorkerOutput) and event.line == line)


def test_workers_say_which_kinds_they_know(module, serve, heard):
    serve("in_server_jobs")
    ready = heard(lambda event: isinstance(event, events.WorkerReady))
    assert {"InServer", "Says", "Dies", "Waits"} <= set(ready.kinds)


def test_a_job_that_kills_its_worker_fails_with_the_signal_and_others_go_on(module, serve):
    serve("in_server_jobs")
    dies = module.Dies.create()
    dies.wait(timeout=60)
    assert (dies.state, dies.exception.class_name) == (State.FAILED, "WorkerCrashed")
    assert "SIGKILL" in dies.exception.message
    assert module.Says.create().wait(timeout=30).state is State.COMPLETED


def test_an_app_that_does_not_import_ends_the_server_with_the_reason(tmp_path, monkeypatch, serve):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in_server_broken.py").write_text("\nraise ValueError('broken app')\n")
    server = serve("in_server_broken")
    assert server.ended.wait(30)
    assert isinstance(server.failed, AppImportError)
    assert "in_server_broken.py:2: ValueError: broken app" in str(server.failed)


def test_stop_within_the_grace_lets_what_runs_finish(module, serve, heard, configured_store):
    server = serve("in_server_jobs", workers=1, processes=1)
    job = module.Waits.create(seconds=0.3)
    heard(lambda event: isinstance(event, events.WorkerOutput) and event.line == "waiting")
    server.stop(30)
    assert configured_store.job(job.id).state is State.COMPLETED
    assert server.ended.is_set()


def test_stop_hands_back_what_has_not_finished_without_blame(module, serve, heard, configured_store):
    server = serve("in_server_jobs", workers=1, processes=1)
    job = module.Waits.create()
    heard(lambda event: isinstance(event, events.WorkerOutput) and event.line == "waiting")
    server.stop(0.1)
    row = configured_store.job(job.id)
    assert (row.state, row.crash_count, row.server) == (State.QUEUED, 0, None)


def test_a_server_is_registered_while_it_runs(module, serve, configured_store):
    server = serve("in_server_jobs", workers=3, processes=2)
    (row,) = configured_store.servers()
    assert (row.name, row.slots, row.processes) == (server.name, 3, 2)
    server.stop(0)
    assert configured_store.servers() == []


def test_more_slots_than_a_process_can_have_are_refused_by_number():
    with pytest.raises(ConfigurationError, match="600 workers are too many for --processes 1"):
        ServerOptions(app=["m"], workers=600, processes=1)
    assert ServerOptions(app=["m"], workers=600, processes=3).process_count == 3


def test_a_server_that_was_never_started_ends_its_workers(configured_store):
    server = Server(configured_store, ServerOptions(app=["os"], workers=1))
    server.start_workers()
    server.stop()
    assert configured_store.servers() == []
