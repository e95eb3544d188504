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
