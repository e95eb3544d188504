"""Memory that tells what a dead worker worked on."""

import os

import pytest

from penstock.server.markers import MOST_SLOTS, Markers, new_descriptor


@pytest.fixture
def both():
    """Return the markers as the worker and as its server see them."""
    descriptor = new_descriptor()
    seen = Markers(descriptor), Markers(descriptor)
    os.close(descriptor)
    yield seen
    for markers in seen:
        markers.close()


def test_fresh_markers_name_nothing(both):
    assert both[1].working_on() == {}


def test_what_a_slot_works_on_is_seen_by_the_other_side(both):
    worker, server = both
    worker.set(0, 7)
    worker.set(3, 9)
    assert server.working_on() == {7: 0, 9: 0}


def test_the_record_is_noted_beside_the_key(both):
    worker, server = both
    worker.set(2, 7)
    worker.note_place(2, 1 << 40)
    assert server.working_on() == {7: 1 << 40}


def test_the_next_piece_forgets_the_record_of_the_last(both):
    worker, server = both
    worker.set(2, 7)
    worker.note_place(2, 5)
    worker.set(2, 8)
    assert server.working_on() == {8: 0}


def test_a_slot_that_waits_names_nothing(both):
    worker, server = both
    worker.set(MOST_SLOTS - 1, 7)
    worker.clear(MOST_SLOTS - 1)
    assert server.working_on() == {}


def test_markers_of_two_workers_are_apart():
    descriptors = [new_descriptor(), new_descriptor()]
    first, second = map(Markers, descriptors)
    first.set(0, 1)
    assert second.working_on() == {}
    for markers, descriptor in zip((first, second), descriptors, strict=True):
        markers.close()
        os.close(descriptor)


# Deadlines ---------------------------------------------------------------------------------------


def test_without_a_deadline_nothing_is_ever_overdue(both):
    worker, server = both
    worker.set(0, 7)
    assert server.overdue(float("inf")) == []


@pytest.mark.parametrize(("now", "overdue"), [(9.9, []), (10.0, [7]), (1e9, [7])])
def test_what_has_a_deadline_is_overdue_from_that_moment_on(both, now, overdue):
    worker, server = both
    worker.set(3, 7)
    worker.note_deadline(3, 10.0)
    assert server.overdue(now) == overdue


def test_a_deadline_that_is_taken_back_is_none(both):
    worker, server = both
    worker.set(3, 7)
    worker.note_deadline(3, 10.0)
    worker.note_deadline(3, 0.0)
    assert server.overdue(100.0) == []


def test_the_next_piece_and_a_slot_that_waits_have_no_deadline(both):
    worker, server = both
    for slot in (1, 2):
        worker.set(slot, 7 + slot)
        worker.note_deadline(slot, 10.0)
    worker.set(1, 20)
    worker.clear(2)
    assert server.overdue(100.0) == []
    assert server.working_on() == {20: 0}


def test_key_record_and_deadline_are_noted_beside_each_other(both):
    worker, server = both
    worker.set(MOST_SLOTS - 1, 7)
    worker.note_deadline(MOST_SLOTS - 1, 10.0)
    worker.note_place(MOST_SLOTS - 1, 1 << 40)
    assert server.working_on() == {7: 1 << 40}
    assert server.overdue(10.0) == [7]
    worker.note_place(MOST_SLOTS - 1, 5)
    worker.note_deadline(MOST_SLOTS - 1, 20.0)
    assert server.working_on() == {7: 5}
    assert server.overdue(10.0) == []


def test_each_slot_has_a_deadline_of_its_own(both):
    worker, server = both
    for slot in range(MOST_SLOTS):
        worker.set(slot, 1000 + slot)
        worker.note_deadline(slot, 1.0 + slot)
    assert server.overdue(3.0) == [1000, 1001, 1002]
    assert len(server.overdue(float(MOST_SLOTS))) == MOST_SLOTS


def test_a_deadline_without_a_piece_of_work_is_none(both):
    worker, server = both
    worker.note_deadline(0, 1.0)
    assert server.overdue(2.0) == []
