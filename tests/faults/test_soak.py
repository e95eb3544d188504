"""The short form of `python -m tests.faults.soak`, and how it judges."""

from collections.abc import Iterator

import pytest
from tests.faults.memory import Series
from tests.faults.soak import Soaked, soak, told
from tests.postgres import OwnPostgres, own_postgres


def series(*megabytes: float) -> Series:
    return Series([(float(second), mb) for second, mb in enumerate(megabytes)])


@pytest.mark.parametrize(
    ("megabytes", "grows"),
    [
        ([20] * 5 + [50] * 15, False),
        ([50] * 10 + [54] * 10, False),
        ([50, 52, 49, 51] * 5, False),
        (range(50, 90, 2), True),
        ([200] * 10 + [215] * 10, False),
    ],
    ids=["warming up", "within 5 MB", "up and down", "steadily", "within a tenth"],
)
def test_memory_grows_where_the_last_quarter_is_well_above_the_second(megabytes: list[float], grows: bool) -> None:
    assert series(*megabytes).grows is grows


def test_the_slope_is_that_from_the_second_quarter_to_the_last() -> None:
    assert series(*range(100, 180, 2)).per_hour == pytest.approx(2 * 3600, rel=0.1)


def test_a_soak_whose_memory_grows_or_whose_books_are_wrong_says_so() -> None:
    soaked = Soaked("SQLite", errors=["job 1 was stored and is gone"])
    soaked.memory = {"dispatcher": series(*range(50, 90, 2)), "workers": series(*[30] * 20)}
    assert soaked.row()["wrong"] == 2
    assert list(told([soaked]))[-2:] == [
        "SQLite: job 1 was stored and is gone",
        "SQLite: the memory of dispatcher grows",
    ]


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        yield server


@pytest.mark.process
@pytest.mark.linux
@pytest.mark.parametrize("store", ["SQLite", "PostgreSQL"])
def test_work_at_load_is_accounted_for_lap_by_lap_while_servers_and_workers_are_killed(
    postgres: OwnPostgres, store: str
) -> None:
    soaked = soak(store, 1.0, postgres, seed=1, lap=9.0, burst=100)
    # A lap is long enough for a kill, and too short to say anything of memory.
    assert soaked.errors == []
    assert soaked.laps >= 1
    assert soaked.jobs > 100
    assert sum(soaked.killed.values()) >= 1
    assert all(one.samples for one in soaked.memory.values())
