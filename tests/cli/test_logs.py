"""Events in words."""

import logging
from datetime import UTC, datetime

import pytest

from penstock import events
from penstock.cli.logs import tell
from penstock.ids import new_id
from penstock.server.log_context import CURRENT
from penstock.states import Move, State

JOB = new_id()
AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Told(logging.Handler):
    """Keeps what is logged, with its job."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        context = CURRENT.get()
        record.job_context = context.details() if context is not None else {}
        self.records.append(record)


@pytest.fixture
def told():
    handler, log = Told(), logging.getLogger("penstock.server")
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield handler.records
    log.removeHandler(handler)
    log.setLevel(logging.NOTSET)


def test_every_event_has_words_but_the_output_of_workers_which_has_its_own():
    classes = [cls for cls in vars(events).values() if isinstance(cls, type) and issubclass(cls, events.Event)]
    wordless = [cls for cls in classes if tell.dispatch(cls) is tell.dispatch(events.Event)]
    assert wordless == [events.Event, events.JobEvent, events.WorkerOutput]


@pytest.mark.parametrize(
    ("event", "level", "words", "facts"),
    [
        (events.JobStarted(JOB, "K"), "INFO", "K started", ("start", "queued", "running")),
        (events.JobCompleted(JOB, "K"), "DEBUG", "K completed", ("complete", "running", "completed")),
        (events.JobFailed(JOB, "K", "E: no"), "ERROR", "K failed: E: no", ("fail", "running", "failed")),
        (
            events.JobRetried(JOB, "K", "E: no", AT),
            "WARNING",
            "K failed and is tried again at 2026-03-01T12:00:00Z: E: no",
            ("retry", "running", "queued"),
        ),
        (
            events.JobMoved(JOB, "K", Move.PAUSE, State.RUNNING, State.PAUSED),
            "INFO",
            "K went from running to paused by itself",
            ("pause", "running", "paused"),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_move_is_told_with_its_job_and_for_programs(told, event, level, words, facts):
    tell(event)
    (record,) = told
    assert (record.levelname, record.getMessage()) == (level, words)
    assert (record.event, getattr(record, "from"), record.to) == facts
    assert record.job_context == {"job": str(JOB), "kind": "K"}
    assert not hasattr(record, "duration")


def test_a_duration_is_told_where_it_is_known(told):
    tell(events.JobCompleted(JOB, "K", seconds=1.23456789))
    assert told[0].duration == 1.234568


def test_a_failed_slice_is_told_with_its_record(told):
    tell(events.SliceFailed(JOB, "K", 17, "E: no"))
    assert told[0].job_context == {"job": str(JOB), "kind": "K", "record": 17}


def test_what_is_not_wanted_is_not_even_made(told):
    logging.getLogger("penstock.server").setLevel(logging.INFO)
    tell(events.JobCompleted(JOB, "K"))
    assert told == []
