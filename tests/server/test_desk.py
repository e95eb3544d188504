"""The desk: which worker holds what, and how much more may be claimed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.berths import LOOP
from penstock.server.desk import AHEAD_OF_LOOPS, MANY_ON_LOOPS, TOGETHER, Desk
from penstock.server.seats import HORIZON, MOST_BYTES, MOST_HELD, Assignment, Seat


def piece(desk, *, priority=50, pace_key="k", size=0):
    key = next(desk.keys)
    return Assignment(key, f"task {key}", f"subject {key}", pace_key, priority, key, size)


def measured(seconds, *, slots=1, pace_key="k"):
    """Return a desk with one worker, at which a piece has been measured."""
    desk = Desk()
    desk.join("w", slots)
    hold(desk, 1, pace_key=pace_key)
    desk.finish("w", 1, seconds)
    return desk


def hold(desk, count, **named):
    pieces = [piece(desk, **named) for _ in range(count)]
    desk.add(pieces)
    desk.assign()
    return pieces


def test_keys_are_never_used_twice():
    desk = Desk()
    assert len({next(desk.keys) for _ in range(1000)}) == 1000


def test_nothing_may_be_claimed_without_workers():
    assert Desk().budget().room(50, None) == 0
    assert Desk().budget().room(50, 0.001) == 0


def test_of_unknown_pace_there_is_room_for_the_free_slots():
    desk = Desk()
    desk.join("a", 2)
    desk.join("b", 3)
    assert desk.budget().room(50, None) == 5
    hold(desk, 4)
    assert desk.budget().room(50, None) == 1
    hold(desk, 3)
    assert desk.budget().room(50, None) == 0


def test_quick_pieces_are_handed_ahead_for_the_horizon():
    assert measured(0.01, slots=2).budget().room(50, 0.01) == round(2 * HORIZON / 0.01)


def test_very_quick_pieces_are_bounded_by_number():
    assert measured(1e-9, slots=2).budget().room(50, 1e-9) == 2 * MOST_HELD


def test_slow_pieces_are_not_handed_ahead():
    desk = measured(5.0, slots=2)
    assert desk.budget().room(50, 5.0) == 2
    hold(desk, 2)
    assert desk.budget().room(50, 5.0) == 0


def test_of_pieces_below_a_second_each_slot_holds_one_ahead():
    desk = measured(0.5, slots=2)
    hold(desk, 2)
    assert desk.budget().room(50, 0.5) == 2
    hold(desk, 2)
    assert desk.budget().room(50, 0.5) == 0


def test_less_urgent_work_does_not_count():
    desk = measured(0.01)
    hold(desk, 10, priority=50)
    assert desk.budget().room(49, 0.01) == 10
    assert desk.budget().room(49, None) == 1
    assert desk.budget().room(50, 0.01) < 2


def test_what_is_spent_is_counted():
    budget = measured(0.01).budget()
    budget.spend(50, 4, 0.01, 100)
    assert budget.room(50, 0.01) == 6
    assert budget.room(40, 0.01) == 10
    assert budget.free_bytes == MOST_BYTES - 100


def test_bytes_held_are_counted_until_they_are_finished():
    desk = Desk()
    desk.join("w", 2)
    first, _ = hold(desk, 2, size=1000)
    assert desk.budget().free_bytes == MOST_BYTES - 2000
    desk.finish("w", first.key, 1.0)
    assert desk.budget().free_bytes == MOST_BYTES - 1000


@given(
    held=st.lists(st.tuples(st.integers(1, 100), st.floats(1e-6, 10)), max_size=30),
    slots=st.integers(1, 8),
    priority=st.integers(1, 100),
    pace=st.one_of(st.none(), st.floats(0, 100)),
)
def test_a_slot_that_is_free_for_this_urgency_always_gets_work_and_no_more_than_the_bound(held, slots, priority, pace):
    desk = Desk()
    desk.join("w", slots)
    for level, seconds in held:
        (made,) = hold(desk, 1, priority=level, pace_key=seconds)
        made.seconds = seconds
    urgent = sum(level <= priority for level, _ in held)
    room = desk.budget().room(priority, pace)
    assert max(0, slots - urgent) <= room <= slots * MOST_HELD


def test_the_first_measurement_is_the_pace_and_later_ones_move_it():
    desk = measured(1.0)
    assert desk.pace("k") == 1.0
    (made,) = hold(desk, 1)
    desk.finish("w", made.key, 0.0)
    assert 0.0 < desk.pace("k") < 1.0
    assert desk.pace("other") is None
    assert desk.quickest_pace(["other"]) is None
    assert desk.quickest_pace(["other", "k"]) == desk.pace("k")


def test_pieces_go_to_the_worker_that_is_free_first():
    desk = Desk()
    desk.join("a", 1)
    desk.join("b", 2)
    desk.add([piece(desk) for _ in range(3)])
    given_out = desk.assign()
    assert sorted((worker, len(pieces)) for worker, pieces in given_out.items()) == [("a", 1), ("b", 2)]


def test_the_most_urgent_is_assigned_first():
    desk = Desk()
    desk.join("a", 1)
    low, high = piece(desk, priority=90), piece(desk, priority=10)
    desk.add([low, high])
    assert desk.assign() == {"a": [high, low]}


def test_without_workers_pieces_wait_for_one():
    desk = Desk()
    made = piece(desk)
    desk.add([made])
    assert desk.assign() == {}
    assert not desk.is_empty()
    desk.join("a", 1)
    assert desk.assign() == {"a": [made]}


def test_a_worker_that_leaves_returns_what_it_held_oldest_first():
    desk = Desk()
    desk.join("w", 2)
    pieces = hold(desk, 5)
    assert desk.leave("w") == pieces
    assert desk.leave("w") == []
    assert desk.is_empty()


def test_an_answer_counts_once_and_from_the_holder_only():
    desk = Desk()
    desk.join("w", 1)
    (made,) = hold(desk, 1)
    desk.join("v", 1)
    assert desk.finish("v", made.key, 1.0) is None
    assert desk.finish("w", made.key, 1.0) is made
    assert desk.finish("w", made.key, 1.0) is None
    assert desk.is_empty()


def test_half_of_what_waits_is_recalled_for_an_idle_worker_and_assigned_again():
    desk = measured(0.01)
    pieces = hold(desk, 9)
    desk.join("idle", 1)
    ((worker, keys),) = desk.recall_for_idle().items()
    assert (worker, keys) == ("w", [made.key for made in pieces[5:]])
    assert desk.recall_for_idle() == {}
    assert desk.recalled("w", keys) == []
    again = desk.assign()
    assert {made.key for made in again["idle"]} <= set(keys)
    assert sum(map(len, again.values())) == len(keys)


def test_nothing_is_recalled_while_no_slot_is_free_or_pieces_wait():
    desk = measured(0.01)
    hold(desk, 9)
    assert desk.recall_for_idle() == {}
    desk.join("idle", 1)
    desk.add([piece(desk)])
    assert desk.recall_for_idle() == {}


def test_a_piece_that_was_started_before_its_recall_is_not_taken_back():
    desk = measured(0.01)
    pieces = hold(desk, 9)
    desk.join("idle", 1)
    ((_, keys),) = desk.recall_for_idle().items()
    assert desk.recalled("w", []) == []
    assert desk.assign() == {}
    assert desk.finish("w", keys[0], 0.01) is pieces[5]


def test_what_is_recalled_for_the_store_is_returned_and_not_assigned_again():
    desk = Desk()
    desk.join("w", 1)
    keep, back = piece(desk, pace_key="keep"), piece(desk, pace_key="back")
    desk.add([keep, back])
    desk.assign()
    assert desk.recall(lambda one: one.pace_key == "back") == {"w": [back.key]}
    assert desk.recall(lambda one: one.pace_key == "back") == {}
    assert desk.recalled("w", [back.key]) == [back]
    assert desk.assign() == {}
    assert list(desk.seats["w"].held) == [keep.key]


def test_what_no_worker_has_yet_can_be_withdrawn():
    desk = Desk()
    keep, back = piece(desk, pace_key="keep"), piece(desk, pace_key="back")
    desk.add([keep, back])
    assert desk.withdraw_ready(lambda one: one.pace_key == "back") == [back]
    desk.join("w", 1)
    assert desk.assign() == {"w": [keep]}


def test_a_slot_has_something_to_do_for_as_long_as_what_it_holds_takes():
    desk = measured(0.01)
    assert desk.seconds_ahead() == 0
    hold(desk, 1)
    assert desk.seconds_ahead() == 0, "it works on it, and nothing is behind it"
    hold(desk, 8)
    assert desk.seconds_ahead() == pytest.approx(0.09)
    desk.join("idle", 1)
    assert desk.seconds_ahead() == 0


def test_without_slots_nothing_is_ahead_unless_an_event_loop_has_many():
    desk = Desk()
    assert desk.seconds_ahead() == 0
    desk.join("w", 0, 1000)
    pieces = [piece(desk) for _ in range(MANY_ON_LOOPS + 1)]
    for one in pieces:
        one.berth = LOOP
    desk.add(pieces[1:])
    desk.assign()
    assert desk.seconds_ahead() == 0
    desk.add(pieces[:1])
    desk.assign()
    assert desk.seconds_ahead() == AHEAD_OF_LOOPS


def test_a_worker_that_retires_gets_nothing_more():
    desk = Desk()
    desk.join("old", 2)
    desk.join("new", 1)
    assert desk.retire("old") == {}
    made = hold(desk, 3)
    assert list(desk.seats["old"].held) == []
    assert list(desk.seats["new"].held) == [one.key for one in made]


def test_what_a_retiring_worker_may_have_begun_stays_and_the_rest_is_recalled_for_others():
    desk = Desk()
    desk.join("old", 2)
    made = hold(desk, 5)
    assert desk.retire("old") == {"old": [one.key for one in made[2:]]}
    assert desk.recalled("old", [one.key for one in made[2:]]) == []
    assert desk.assign() == {}
    desk.join("new", 1)
    assert desk.assign() == {"new": made[2:]}
    assert list(desk.seats["old"].held) == [one.key for one in made[:2]]


def test_retired_twice_or_gone_a_worker_is_recalled_nothing():
    desk = Desk()
    desk.join("old", 1)
    hold(desk, 3)
    assert desk.retire("old") != {}
    assert desk.retire("old") == {}
    assert desk.retire("nobody") == {}


def test_the_slots_of_a_retired_worker_are_no_room_and_what_it_finishes_takes_none():
    desk = Desk()
    desk.join("old", 3)
    hold(desk, 3)
    desk.retire("old")
    assert desk.budget().room(50, None) == 0
    desk.join("new", 2)
    assert desk.budget().room(50, None) == 2


def test_what_was_recalled_of_a_retired_worker_takes_room_once_it_is_back():
    desk = Desk()
    desk.join("old", 1)
    desk.join("new", 1)
    made = [piece(desk) for _ in range(3)]
    desk.add(made)
    given_out = desk.assign()
    spare = [key for keys in desk.retire("old").values() for key in keys]
    desk.recalled("old", spare)
    assert len(given_out["old"]) + len(given_out["new"]) == 3
    assert desk.budget().room(50, None) == 0


def test_no_slot_of_a_retired_worker_counts_as_idle():
    desk = measured(0.01)
    hold(desk, 9)
    desk.join("old", 1)
    desk.retire("old")
    assert desk.recall_for_idle() == {}
    desk.join("new", 1)
    assert desk.recall_for_idle() != {}


def test_only_a_worker_that_holds_nothing_may_be_let_go():
    desk = Desk()
    desk.join("w", 1)
    assert desk.holds_nothing("w")
    (made,) = hold(desk, 1)
    assert not desk.holds_nothing("w")
    desk.finish("w", made.key, 1.0)
    assert desk.holds_nothing("w")
    assert desk.holds_nothing("nobody")


def test_waiting_is_what_is_behind_the_slots_oldest_first():
    desk = Desk()
    desk.join("a", 2)
    desk.join("b", 1)
    hold(desk, 8)
    held = {worker: list(seat.held.values()) for worker, seat in desk.seats.items()}
    assert desk.waiting() == held["a"][2:] + held["b"][1:]
    assert desk.count() == 8


def test_without_anything_behind_the_slots_nothing_waits():
    desk = Desk()
    desk.join("a", 2)
    assert desk.waiting() == []
    hold(desk, 2)
    assert desk.waiting() == []
    desk.add([piece(desk)])
    assert (desk.waiting(), desk.count()) == ([], 3)


@given(st.data())
def test_no_piece_is_lost_or_held_twice_whatever_happens(data):
    desk, alive, ended, workers = Desk(), {}, set(), []
    for step in range(data.draw(st.integers(1, 40))):
        action = data.draw(st.sampled_from(["join", "leave", "add", "assign", "finish", "recall", "idle", "retire"]))
        held = [(worker, key) for worker in workers for key in desk.seats[worker].held]
        if action == "join":
            desk.join(step, data.draw(st.integers(1, 3)))
            workers.append(step)
        elif action == "leave" and workers:
            desk.add(desk.leave(workers.pop(data.draw(st.integers(0, len(workers) - 1)))))
        elif action == "add":
            made = [piece(desk, priority=data.draw(st.integers(1, 3))) for _ in range(data.draw(st.integers(1, 5)))]
            alive.update({one.key: one for one in made})
            desk.add(made)
        elif action == "assign":
            desk.assign()
        elif action == "finish" and held:
            worker, key = data.draw(st.sampled_from(held))
            assert desk.finish(worker, key, data.draw(st.floats(0, 1))) is alive.pop(key)
            ended.add(key)
        elif action == "recall" and held:
            worker, key = data.draw(st.sampled_from(held))
            assert desk.recalled(worker, [key]) == []
        elif action == "idle":
            for worker, keys in desk.recall_for_idle().items():
                desk.recalled(worker, keys[: data.draw(st.integers(0, len(keys)))])
        elif action == "retire" and workers:
            for worker, keys in desk.retire(data.draw(st.sampled_from(workers))).items():
                desk.recalled(worker, keys[: data.draw(st.integers(0, len(keys)))])
        at_workers = [key for worker in workers for key in desk.seats[worker].held]
        ready = [entry[-1].key for entry in desk._ready]
        assert sorted([*at_workers, *ready]) == sorted(alive)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 3), st.floats(0, 10), st.lists(st.integers(0, 100), min_size=1)),
        max_size=40,
    )
)
def test_what_a_seat_holds_is_summed_as_pieces_come_and_go(steps):
    seat = Seat(1)
    for first, priority, seconds, sizes in steps:
        fresh = [key for key in range(first, first + len(sizes)) if seat.drop(key) is None]
        pieces = [
            Assignment(key, None, None, "k", priority, key, size, seconds)
            for key, size in zip(fresh, sizes, strict=False)
        ]
        if pieces:
            seat.take(pieces)
    for level in (1, 2, 3):
        held = [piece for piece in seat.held.values() if piece.priority == level]
        number, seconds = seat.sums.by_priority.get(level, (0, 0.0))
        assert number == len(held)
        assert seconds == pytest.approx(sum(piece.seconds for piece in held), abs=1e-6)
    assert seat.sums.size == sum(piece.size for piece in seat.held.values())


class TestVeryShortPieces:
    """Pieces of which choosing a worker for each would take as long as the pieces do."""

    def given(self, seconds, count, **named):
        desk = measured(seconds)
        desk.join("v", 1)
        desk.add([piece(desk, **named) for _ in range(count)])
        return {worker: [one.key for one in pieces] for worker, pieces in desk.assign().items()}

    def test_go_to_the_workers_in_runs_and_evenly_in_their_order(self):
        given = self.given(TOGETHER / 10, 40)
        assert [given["w"][0], given["v"][0]] == [2, 12]
        assert {len(keys) for keys in given.values()} == {20}
        assert all(keys == sorted(keys) for keys in given.values())

    def test_are_no_longer_spread_where_they_are_one_run_together(self):
        assert [len(keys) for keys in self.given(TOGETHER / 10, 10).values()] == [10]

    def test_longer_ones_are_chosen_a_worker_for_each(self):
        assert {worker: len(keys) for worker, keys in self.given(TOGETHER * 2, 10).items()} == {"w": 5, "v": 5}

    def test_of_another_priority_are_another_run(self):
        desk = measured(TOGETHER / 10)
        desk.join("v", 1)
        desk.add([piece(desk, priority=priority) for priority in (10, 20)])
        assert {worker: len(pieces) for worker, pieces in desk.assign().items()} == {"w": 1, "v": 1}
