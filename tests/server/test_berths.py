"""Seats on nodes and on event loops: what may be done where, and how much of it is claimed."""

from penstock.functions.places import group_of
from penstock.server.berths import HEAVY_SLOT, LOOP, SLOT, Berth, berth_of_group
from penstock.server.desk import Desk
from penstock.server.seats import Assignment


def piece(desk, berth=SLOT):
    key = next(desk.keys)
    return Assignment(key, f"task {key}", f"subject {key}", "k", 50, key, berth=berth)


def two_nodes(**more):
    desk = Desk()
    desk.join("b", 1, node="big", **more)
    desk.join("s", 1, node="small", **more)
    return desk


def given(desk, *berths):
    pieces = [piece(desk, berth) for berth in berths]
    desk.add(pieces)
    return {worker: len(got) for worker, got in desk.assign().items()}


def test_a_preferred_node_gets_it_while_it_has_a_free_slot_and_then_who_is_free():
    desk = two_nodes()
    assert given(desk, Berth(node="big")) == {"b": 1}
    assert given(desk, Berth(node="big")) == {"s": 1}


def test_a_forced_node_gets_it_although_another_is_free():
    desk = two_nodes()
    only = Berth(node="big", strict=True)
    assert given(desk, only, only) == {"b": 2}


def test_a_forbidden_node_never_gets_it():
    desk = two_nodes()
    assert given(desk, *[Berth(not_node="big")] * 3) == {"s": 3}


def test_what_no_node_may_have_stays_and_can_be_taken_back():
    desk = two_nodes()
    assert given(desk, Berth(node="gone", strict=True)) == {}
    assert len(desk.withdraw_ready(lambda one: one.berth.restricts)) == 1
    assert desk.is_empty()


def test_room_for_a_node_is_that_of_its_own_seats():
    desk = two_nodes()
    only = Berth(node="big", strict=True)
    assert desk.budget().room(50, None, only) == 1
    assert desk.budget().room(50, None, Berth(node="gone", strict=True)) == 0
    given(desk, only)
    assert desk.budget().room(50, None, only) == 0
    assert desk.budget().room(50, None) == 1


def test_what_is_spent_on_a_node_is_spent_of_the_whole_too():
    budget = two_nodes().budget()
    budget.spend(50, 1, None, berth=Berth(node="big", strict=True))
    assert budget.room(50, None) == 1
    assert budget.room(50, None, Berth(node="big", strict=True)) == 0


def test_event_loops_take_no_slots_and_slots_no_place_on_loops():
    desk = two_nodes(concurrency=5)
    assert desk.budget().has_loops
    assert desk.budget().room(50, None, LOOP) == 10
    assert sum(given(desk, *[LOOP] * 10).values()) == 10
    assert desk.budget().room(50, None, LOOP) == 0
    assert desk.budget().room(50, None) == 2


def test_nothing_is_handed_ahead_to_an_event_loop():
    desk = Desk()
    desk.join("w", 1, concurrency=3)
    given(desk, LOOP)
    desk.finish("w", 1, 1e-6)
    assert desk.budget().room(50, 1e-6, LOOP) == 3


def test_all_on_a_loop_has_begun_and_of_the_slots_only_the_first_where_nobody_can_say():
    desk = Desk()
    desk.join("w", 1, concurrency=5)
    given(desk, SLOT, SLOT, LOOP, LOOP)
    assert desk.perhaps_begun("w", slots=False) == [3, 4]
    assert desk.perhaps_begun("w", slots=True) == [3, 4, 1]


def test_a_piece_bound_to_a_node_is_not_moved_to_an_idle_worker():
    desk = two_nodes()
    given(desk, *[Berth(node="big", strict=True)] * 5)
    assert desk.recall_for_idle(worth=0.0) == {}


def test_the_group_of_a_job_tells_its_berth():
    for node, not_node, strict in [("big", None, True), (None, "small", False), ("big", "small", False)]:
        group = group_of(node, not_node, strict=strict)
        berth = berth_of_group(group)
        assert [berth.fits(name) for name in ("big", "small", "other")] == [
            name == node if strict else name != not_node for name in ("big", "small", "other")
        ]
    assert group_of("big", None, strict=False) is None
    assert berth_of_group("a group of the user's") == SLOT


def test_a_worker_for_heavy_work_takes_one_piece_of_it_at_a_time_and_no_other():
    desk = two_nodes()
    desk.join("h", 1, node="big", heavy=True)
    assert desk.budget().room(50, None) == 2
    assert desk.budget().room(50, 1e-6, HEAVY_SLOT) == 1
    assert given(desk, SLOT, SLOT, SLOT, HEAVY_SLOT) == {"b": 2, "s": 1, "h": 1}
    assert desk.budget().room(50, 1e-6, HEAVY_SLOT) == 0
    assert desk.recall_for_idle(worth=0.0) == {}
    assert desk.perhaps_begun("h", slots=True) == [4]
    assert [one.key for one in desk.leave("h")] == [4]


def test_work_for_an_idle_heavy_worker_is_not_looked_for_among_what_waits_for_slots():
    desk = Desk()
    desk.join("w", 1)
    desk.join("h", 1, heavy=True)
    given(desk, SLOT, SLOT, SLOT)
    assert desk.recall_for_idle(worth=0.0) == {}


def test_a_heavy_job_asks_for_its_nodes_too_and_for_slots_where_no_worker_is_for_heavy_work():
    group = group_of("big", None, strict=True, heavy=True)
    assert berth_of_group(group, on_loop=True, heavies=True) == Berth(node="big", strict=True, heavy=True)
    assert berth_of_group(group) == Berth(node="big", strict=True)
    assert berth_of_group(group_of(None, None, strict=False, heavy=True), heavies=True) == HEAVY_SLOT
    assert berth_of_group(group_of(None, None, strict=False, heavy=True), on_loop=True) == LOOP
