"""What is kept of what jobs log is bounded, and never of a job of which anything is sealed."""

import logging
import threading
from contextlib import contextmanager

import pytest

from penstock.ids import new_id
from penstock.server.log_keeping import MOST_LINES, MOST_TEXT, KeptLines, LinesOfServer
from penstock.server.log_pieces import Piece, begin_piece
from penstock.server.logs import LogOptions, ProcessLog
from penstock.store.trail import LINES_OF_JOB

app = logging.getLogger("tests.keeping")
JOB = new_id()


@pytest.fixture
def kept():
    lines = []
    there = threading.Event()

    def send(sent):
        lines.extend(sent)
        there.set()

    handler = KeptLines(send)
    log = ProcessLog(LogOptions(level="info"), worker="w").start()
    log.add_handlers([lambda: handler])

    def logged(act, *, seals=False, begun=True):
        with Piece(job_id=JOB, kind="K", worker="w"):
            if begun:
                begin_piece("perform", None, lambda: 7, seals=seals)
            act()
        assert log.flush(30)
        return [(line.level, line.text, line.record) for line in lines]

    logged.there = there
    logged.lines = lines
    yield logged
    log.close()


def test_a_line_is_kept_with_its_level_and_record(kept):
    assert kept(lambda: app.warning("it is %d", 5)) == [("warning", "it is 5", 7)]


def test_nothing_is_kept_of_a_job_that_seals_anything(kept):
    assert kept(lambda: app.warning("xyzzy"), seals=True) == []


def test_nothing_is_kept_before_it_is_known_whether_the_job_seals_anything(kept):
    assert kept(lambda: app.warning("xyzzy"), begun=False) == []


def test_what_is_logged_outside_of_jobs_is_not_kept(kept):
    app.warning("outside")
    assert kept(lambda: None) == []


def test_lines_are_sent_without_anybody_waiting_for_it(kept):
    with Piece(job_id=JOB, kind="K", worker="w"):
        begin_piece("perform", None, seals=False)
        app.info("there")
    assert kept.there.wait(30)
    assert [line.text for line in kept.lines] == ["there"]


def test_of_many_lines_the_last_are_sent(kept):
    told = kept(lambda: [app.info("%d", number) for number in range(MOST_LINES + 50)])
    assert [text for _, text, _ in told][-1] == str(MOST_LINES + 49)
    assert len(told) <= MOST_LINES + 50
    assert len({line.text for line in kept.lines}) == len(kept.lines)


@contextmanager
def unseen():
    """Keep what is logged from the report of the test, which could not be sent on with a lone surrogate in it."""
    root = logging.getLogger()
    handlers = [handler for handler in root.handlers if type(handler).__module__ == "_pytest.logging"]
    for handler in handlers:
        root.removeHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.addHandler(handler)


def test_a_long_line_is_cut_and_an_odd_one_can_be_stored(kept):
    with unseen():
        long, odd = kept(lambda: (app.info("y" * 10_000), app.info("\ud800")))
    assert long[1] == "y" * MOST_TEXT + "…"
    assert odd[1] == "\\ud800"


def test_an_exception_is_told_with_its_line(kept):
    def fail():
        try:
            raise ValueError("told")
        except ValueError:
            app.exception("failed")

    ((_, text, _),) = kept(fail)
    assert text.startswith("failed\nTraceback")
    assert text.endswith("ValueError: told")


def test_a_server_stores_what_came_once_and_the_last_of_each_job(kept):
    stored = []
    lines = LinesOfServer(stored.append)
    kept(lambda: app.info("a"))
    assert not lines
    lines.take(kept.lines * (LINES_OF_JOB + 1))
    lines.store()
    lines.store()
    assert [len(batch) for batch in stored] == [LINES_OF_JOB]
