"""How long what comes is gathered before a turn."""

import pytest

from penstock.server.gathering import NEW_SECONDS, RESULT_SECONDS, SPACE_SECONDS, THICK, Gathering


def turns(gathering, count, *, every, number, takes=0.0):
    """Note turns at a pace, each for so many jobs and results."""
    for turn in range(1, count + 1):
        gathering.note_turn(turn * every - takes, turn * every, number)


def test_nothing_is_gathered_while_a_slot_waits():
    assert Gathering(spaces=False).seconds(0.0, are_new=False) == 0


def test_results_are_gathered_for_half_of_what_slots_still_have():
    gathering = Gathering(spaces=False)
    assert gathering.seconds(0.02, are_new=False) == pytest.approx(0.01)
    assert gathering.seconds(10.0, are_new=False) == RESULT_SECONDS


def test_new_jobs_are_not_gathered_for_long():
    assert Gathering(spaces=False).seconds(10.0, are_new=True) == NEW_SECONDS


def test_what_turns_take_is_left_for_them():
    gathering = Gathering(spaces=False)
    turns(gathering, 100, every=0.1, number=1, takes=0.01)
    assert gathering.seconds(10.0, are_new=False) == RESULT_SECONDS
    assert gathering.seconds(0.05, are_new=False) == pytest.approx(0.015)
    assert gathering.seconds(0.019, are_new=False) == 0


@pytest.mark.parametrize(("every", "number", "gathered"), [(0.0001, 1, True), (0.001, 1, False), (0.01, 10, False)])
def test_what_comes_thick_and_fast_is_gathered_though_slots_wait(every, number, gathered):
    gathering = Gathering(spaces=True)
    turns(gathering, 1000, every=every, number=number)
    assert (gathering.seconds(0.0, are_new=True) == SPACE_SECONDS) is gathered
    assert (number / every * SPACE_SECONDS >= THICK) is gathered


def test_what_is_thick_no_longer_goes_at_once():
    gathering = Gathering(spaces=True)
    turns(gathering, 1000, every=0.0001, number=1)
    gathering.note_turn(1.0, 1.0, 1)
    assert gathering.seconds(0.0, are_new=True) == 0


def test_where_a_turn_is_a_transaction_nothing_waits_for_its_like():
    gathering = Gathering(spaces=False)
    turns(gathering, 1000, every=0.0001, number=1)
    assert gathering.seconds(0.0, are_new=True) == 0
