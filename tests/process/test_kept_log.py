"""What jobs log is kept with them, and what servers did is counted, by real servers."""

from textwrap import dedent

import pytest
from tests.process.lab import wait_for
from tests.process.yard import open_yard
from tests.tables import contents

from penstock.clock import now
from penstock.keyring import Keyring
from penstock.service.auditing import list_audit

pytestmark = pytest.mark.process

JOBS = """
    import logging
    log = logging.getLogger("myapp")

    class Talk(Job):
        destroy_on_complete = False
        text: str = "hello"
        def perform(self):
            log.info("said %s", self.text)
            if self.text == "bad":
                raise ValueError("no")

    class Whisper(Job):
        destroy_on_complete = False
        text: str = field(encrypted=True)
        def perform(self):
            log.info("said %s", self.text)

    class Lines(BatchJob):
        destroy_on_complete = False
        slice_size = 2
        def perform(self, line):
            if line == "c":
                log.warning("a c")
"""


@pytest.fixture
def yard(lab):
    with open_yard(lab, JOBS) as opened:
        yield opened


def test_lines_of_jobs_are_kept_and_what_was_done_is_counted(yard):
    yard.lab.path("in.txt").write_text("a\nb\nc\nd\n")
    (talk, bad) = yard.create("Talk.create()", "Talk.create(text='bad')")
    (lines,) = map(type(talk), yard.python("job = Lines()\njob.upload('in.txt')\njob.save()\nprint(job.id)").split())
    server = yard.serve()
    yard.await_states("completed", talk, lines)
    yard.await_states("failed", bad)
    wait_for(lambda: yard.store.log_lines(lines) and yard.store.log_lines(talk), "lines to be kept")
    assert [(line.level, line.text, line.record) for line in yard.store.log_lines(talk)] == [
        ("info", "said hello", None)
    ]
    assert [(line.level, line.text, line.record) for line in yard.store.log_lines(lines)] == [("warning", "a c", 3)]
    yard.stop(server)
    figures = yard.store.figures(now().replace(year=2000))
    assert sum(row.completed for row in figures) == 2
    assert sum(row.failed for row in figures) == 1
    assert sum(row.records for row in figures) == 4
    assert list_audit(yard.store) == []


def test_nothing_that_a_sealed_job_logs_reaches_the_store(yard):
    Keyring.generate().save(str(yard.lab.path("keys.toml")))
    yard.module("import penstock; penstock.configure(keyring='keys.toml')\n" + dedent(JOBS))
    (whisper, talk) = yard.create("Whisper.create(text='xyzzy')", "Talk.create(text='plugh')")
    server = yard.serve()
    yard.await_states("completed", whisper, talk)
    wait_for(lambda: yard.store.log_lines(talk), "lines to be kept")
    yard.stop(server)
    assert yard.store.log_lines(whisper) == []
    stored = contents(yard.store)
    assert b"plugh" in stored
    assert b"xyzzy" not in stored
