"""Entries for watched folders, on every engine."""

import pytest

from penstock import clock as penstock_clock
from penstock.errors import DuplicateEntry
from penstock.store.rows import EntryRow

pytestmark = pytest.mark.usefixtures("clock")


def entry(name="orders", **columns):
    base = EntryRow(name, f"/in/{name}/*", "Load", "{}", "archive", "archive", "pending", None, penstock_clock.now())
    return base._replace(**columns)


def test_an_entry_is_read_back_as_it_was_stored(store):
    row = entry(properties='{"a": "ä\\n"}', state="failed", error="no such folder")
    store.insert_entry(row)
    assert store.entry("orders") == row
    assert store.entry("other") is None


def test_entries_are_listed_by_name(store):
    for name in ("b", "a", "c"):
        store.insert_entry(entry(name))
    assert [row.name for row in store.entries()] == ["a", "b", "c"]


@pytest.mark.parametrize("column", ["name", "pattern"])
def test_no_two_entries_have_the_same_name_or_pattern(store, column):
    store.insert_entry(entry())
    second = entry("second")._replace(**{column: getattr(entry(), column)})
    with pytest.raises(DuplicateEntry, match=column):
        store.insert_entry(second)
    assert len(store.entries()) == 1


def test_an_update_that_would_make_a_second_of_a_name_changes_nothing(store):
    store.insert_entry(entry("a"))
    store.insert_entry(entry("b"))
    with pytest.raises(DuplicateEntry, match="name"):
        store.update_entry("b", {"name": "a", "kind": "Other"})
    assert store.entry("b") == entry("b")


def test_an_update_is_refused_where_an_expectation_does_not_hold(store):
    store.insert_entry(entry())
    assert not store.update_entry("orders", {"state": "failed"}, expect={"state": "enabled"})
    assert not store.update_entry("none", {"state": "failed"})
    assert store.update_entry("orders", {"state": "failed", "error": "x"}, expect={"state": "pending", "error": None})
    assert store.entry("orders") == entry(state="failed", error="x")


def test_a_column_that_there_is_not_is_refused(store):
    with pytest.raises(ValueError, match="no column 'size'"):
        store.update_entry("orders", {"size": 1})


def test_an_entry_is_removed_once(store):
    store.insert_entry(entry())
    assert store.delete_entry("orders")
    assert not store.delete_entry("orders")
    assert store.entries() == []
