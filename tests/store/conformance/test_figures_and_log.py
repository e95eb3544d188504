"""Figures of each minute, and the last lines that jobs logged, on every engine."""

from datetime import timedelta

import pytest

from penstock import clock as penstock_clock
from penstock.ids import new_id
from penstock.store import trail
from penstock.store.rows import FigureRow, LogLine
from penstock.store.trail import FIGURES_KEPT, LINES_OF_JOB

pytestmark = pytest.mark.usefixtures("clock")


def line(job_id, text="x", **columns):
    return LogLine(0, job_id, penstock_clock.now(), "info", text, 7)._replace(**columns)


def test_what_several_servers_counted_for_a_minute_is_added_up(store):
    minute = penstock_clock.now()
    store.add_figures(FigureRow(minute, completed=2, records=10))
    store.add_figures(FigureRow(minute, completed=1, failed=1, retried=3, failed_slices=4))
    store.add_figures(FigureRow(minute + timedelta(minutes=1), completed=5))
    assert store.figures(minute) == [
        FigureRow(minute, 3, 1, 3, 10, 4),
        FigureRow(minute + timedelta(minutes=1), completed=5),
    ]
    assert len(store.figures(minute + timedelta(seconds=1))) == 1


def test_old_minutes_go(store):
    minute = penstock_clock.now()
    store.add_figures(FigureRow(minute - FIGURES_KEPT - timedelta(minutes=1), completed=1))
    store.add_figures(FigureRow(minute - FIGURES_KEPT, completed=1))
    store.add_figures(FigureRow(minute, completed=1))
    assert len(store.figures(minute - timedelta(days=30))) == 2


def test_lines_of_a_job_come_back_oldest_first_and_from_where_the_reader_was(store):
    job, other = new_id(), new_id()
    store.add_log_lines([line(job, "a"), line(other), line(job, "ä\n", record=None)])
    found = store.log_lines(job)
    assert [row._replace(id=0) for row in found] == [line(job, "a"), line(job, "ä\n", record=None)]
    assert store.log_lines(job, after=found[0].id) == found[1:]
    assert store.log_lines(job, limit=1) == found[1:]


def test_only_the_last_lines_of_a_job_are_kept(store):
    job, other = new_id(), new_id()
    store.add_log_lines([line(other), *[line(job, str(number)) for number in range(LINES_OF_JOB)]])
    store.add_log_lines([line(job, "new"), line(job, "newest")])
    found = store.log_lines(job, limit=1000)
    assert [row.text for row in found] == [*map(str, range(2, LINES_OF_JOB)), "new", "newest"]
    assert len(store.log_lines(other)) == 1


def test_only_about_so_many_lines_are_kept_of_all_jobs(store, monkeypatch):
    engine = store.add_log_lines.__func__.__module__  # Of the store of the jobs, where slices have one of their own.
    monkeypatch.setattr(f"{engine}.LINES_KEPT", 5)
    jobs = [new_id() for _ in range(20)]
    for job in jobs:
        store.add_log_lines([line(job)])
    assert [job for job in jobs if store.log_lines(job)] == jobs[-5:]
    assert trail.LINES_KEPT > 5


def test_lines_go_with_their_job(store, add_job):
    job = add_job()
    store.add_log_lines([line(job.id)])
    store.destroy_job(job.id)
    assert store.log_lines(job.id) == []
