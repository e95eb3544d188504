"""Figures for Prometheus, read over HTTP from a real port."""

import socket
import urllib.request

import pytest

from penstock import clock as penstock_clock
from penstock import events
from penstock.errors import ConfigurationError, MissingExtra
from penstock.ids import new_id
from penstock.server.figures import figures_served
from penstock.store.rows import JobRow


def new_row():
    return JobRow(id=new_id(), kind="Copy", batch=False, created_at=penstock_clock.now())


def read(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_what_happens_is_counted_by_kind(store):
    with figures_served(store, 0, lambda: 7) as port:
        events.publish(events.JobCompleted(new_id(), "Copy", 0.2))
        events.publish(events.JobCompleted(new_id(), "Copy", 3.0))
        events.publish(events.JobFailed(new_id(), "Copy", "ValueError: x"))
        events.publish(events.SliceFailed(new_id(), "Lines", 5, "ValueError: x"))
        events.publish(events.WorkerDied("w", "evidence"))
        found = read(port)
    assert found['penstock_jobs_total{kind="Copy",outcome="completed"}'] == 2
    assert found['penstock_jobs_total{kind="Copy",outcome="failed"}'] == 1
    assert found['penstock_job_seconds_bucket{kind="Copy",le="0.5"}'] == 1
    assert found['penstock_job_seconds_sum{kind="Copy"}'] == pytest.approx(3.2)
    assert found['penstock_slices_failed_total{kind="Lines"}'] == 1
    assert found["penstock_workers_died_total"] == 1
    assert found["penstock_holding"] == 7


def test_jobs_in_the_store_are_counted_when_asked_but_not_at_every_scrape(store, clock):
    store.insert_jobs([new_row(), new_row()])
    with figures_served(store, 0, int) as port:
        assert read(port)['penstock_jobs_stored{state="queued"}'] == 2
        store.insert_jobs([new_row()])
        assert read(port)['penstock_jobs_stored{state="queued"}'] == 2
        clock.advance(16)
        assert read(port)['penstock_jobs_stored{state="queued"}'] == 3


def test_a_port_that_is_taken_is_refused_by_number(store):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"--metrics {port}"), figures_served(store, port, int):
            pass


def test_without_the_library_the_line_to_install_it_is_told(store, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    with pytest.raises(MissingExtra, match=r"pip install 'penstock\[metrics\]'"), figures_served(store, 0, int):
        pass
