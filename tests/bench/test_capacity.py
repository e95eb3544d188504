"""The model of what one PostgreSQL carries."""

import pytest

from penstock.bench.capacity import Costs, capacity, costs_of

ROWS = [
    {"servers": 1, "server CPU µs": 50.0, "store CPU µs": 40.0, "log bytes": 900.0},
    {"servers": 8, "server CPU µs": 70.0, "store CPU µs": 35.0, "log bytes": 950.0},
]


def test_the_costs_are_those_of_the_dearest_number_of_servers():
    assert costs_of(ROWS) == Costs(70.0, 40.0, 950.0)


def test_a_measurement_on_sqlite_is_refused():
    with pytest.raises(ValueError, match="PostgreSQL"):
        costs_of([{"servers": 1, "server CPU µs": 50.0}])


def test_what_ends_first_is_the_processor_where_the_disk_takes_more_than_it_gives():
    found = capacity(Costs(70.0, 40.0, 1000.0), cores=2, log_mb=1000)
    assert (found.first, found.per_second) == ("processor", pytest.approx(35_000))
    assert found.server_cores == pytest.approx(3.5)
    assert found.log_mb == pytest.approx(35)
    assert found.per_day == pytest.approx(35_000 * 86_400)


def test_what_ends_first_is_the_log_where_the_cores_are_many():
    found = capacity(Costs(70.0, 40.0, 1000.0), cores=64, log_mb=100)
    assert (found.first, found.per_second) == ("log", pytest.approx(70_000))


def test_twice_the_cores_carry_twice_the_work_while_they_end_first():
    costs = Costs(70.0, 40.0, 1000.0)
    small, large = (capacity(costs, cores=cores, log_mb=1000) for cores in (2, 4))
    assert large.per_second == pytest.approx(2 * small.per_second)
