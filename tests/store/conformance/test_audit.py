"""What people did, on every engine."""

import pytest

from penstock import clock as penstock_clock
from penstock.store.rows import AuditRow

pytestmark = pytest.mark.usefixtures("clock")


def line(who="ada", action="job.retry", target="job 1", **columns):
    return AuditRow(0, penstock_clock.now(), who, "here", action, target, '{"a": "ä"}', None, None)._replace(**columns)


def test_a_line_is_read_back_as_it_was_written(store):
    store.add_audit(line(error="no"))
    (found,) = store.audit(limit=10)
    assert found._replace(id=0) == line(error="no")


def test_lines_come_newest_first_in_pages(store):
    for number in range(5):
        store.add_audit(line(who=str(number)))
    first = store.audit(limit=2)
    rest = store.audit(limit=10, before=first[-1].id)
    assert [row.who for row in (*first, *rest)] == ["4", "3", "2", "1", "0"]


def test_lines_are_found_by_whom_what_and_whereon(store):
    store.add_audit(line())
    store.add_audit(line(who="bob"))
    store.add_audit(line(action="job.abort"))
    store.add_audit(line(target="job 2"))
    assert len(store.audit(who="ada", limit=10)) == 3
    assert len(store.audit(action="job.retry", limit=10)) == 3
    assert len(store.audit(target="job 1", limit=10)) == 3
    assert len(store.audit(who="ada", action="job.retry", target="job 1", limit=10)) == 1


def test_a_line_goes_with_its_transaction(store, undone):
    with undone():
        store.add_audit(line())
    assert store.audit(limit=10) == []
