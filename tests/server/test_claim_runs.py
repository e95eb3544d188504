"""Jobs that nothing limits are taken many at once: exactly those that would be taken one by one."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from penstock import clock
from penstock.ids import new_id
from penstock.server.claiming import Claim
from penstock.server.desk import Desk
from penstock.server.messages import KindFacts
from penstock.server.seats import Assignment, Budget, Seat
from penstock.store.rows import JobRow

TINY = KindFacts("Tiny", False, [], "Tiny")


class NoStore:
    """A claim of jobs that nothing limits asks the store of nothing before it takes them."""


def rows(sizes: Sequence[int]) -> list[JobRow]:
    return [
        JobRow(id=new_id(), kind="Tiny", batch=False, created_at=clock.now(), fields="x" * size, limit_name="old")
        for size in sizes
    ]


def one_by_one(budget: Budget, sizes: Sequence[int], pace: float | None) -> int:
    """Count those that are taken when each is asked for."""
    for taken, size in enumerate(sizes):
        if budget.room(50, pace) <= 0:
            return taken
        budget.spend(50, 1, pace, size)
    return len(sizes)


@given(
    sizes=st.lists(st.integers(0, 400), max_size=60),
    slots=st.integers(0, 6),
    held=st.integers(0, 20),
    pace=st.none() | st.floats(1e-5, 2.0),
    free_bytes=st.integers(-10, 2000),
)
def test_a_run_takes_what_would_be_taken_one_by_one(sizes, slots, held, pace, free_bytes):
    def budget() -> Budget:
        seat = Seat(slots)
        for number in range(held):
            seat.take([Assignment(number, None, None, "Tiny", 50, number, seconds=pace or 0.0)])
        made = Budget([seat], [], [])
        made.free_bytes = free_bytes
        return made

    desk = Desk()
    if pace is not None:
        desk._paces["Tiny"] = pace
    claim = Claim(NoStore(), desk, budget(), server="s", now=clock.now())
    wanted = rows(sizes)
    has_room = claim._take_in_order(wanted, {"Tiny": TINY})
    expected = one_by_one(budget(), sizes, pace)
    taken = [row for row, _ in claim._regular]
    assert taken == wanted[:expected]
    assert has_room is (expected == len(sizes))
    assert {row.limit_name for row in taken} <= {None}
