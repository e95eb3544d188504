"""Which jobs a person asks for."""

from datetime import timedelta

import pytest

from penstock import Job
from penstock import clock as penstock_clock
from penstock.errors import InvalidQuery
from penstock.model.fields import field
from penstock.service.finding import Asked, is_unchecked, query_of

pytestmark = pytest.mark.usefixtures("clock")


class Post(Job, kind="tests.service.finding.Post"):
    town: str = "Wien"
    secret: str = field("", encrypted=True)

    def perform(self):
        return None


@pytest.fixture
def found(store, add_job):
    """Return a function that tells the priorities of the jobs that are found, in their order."""

    def find(**asked):
        return [row.priority for row in store.find_jobs(query_of(Asked(**asked)))]

    return find


@pytest.fixture
def three(add_job):
    """A job that is due, one that was scheduled and is due, one that is scheduled, one that failed: 1, 2, 3, 4."""
    later = timedelta(hours=1)
    add_job(priority=1)
    add_job(priority=2, run_at=penstock_clock.now() - later)
    add_job(priority=3, run_at=penstock_clock.now() + later)
    add_job(priority=4, state="failed")


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], [4, 3, 2, 1]),
        (["queued"], [3, 2, 1]),
        (["queued_now"], [2, 1]),
        (["scheduled"], [3]),
        (["scheduled", "queued_now"], [3, 2, 1]),
        (["scheduled", "queued"], [3, 2, 1]),
        (["failed", "queued"], [4, 3, 2, 1]),
        (["scheduled", "queued_now", "failed"], [4, 3, 2, 1]),
        (["running"], []),
    ],
)
def test_states_and_the_two_parts_of_queued(found, three, states, expected):
    assert found(states=states) == expected


def test_a_part_of_queued_goes_with_no_other_state():
    with pytest.raises(InvalidQuery, match="scheduled is a part of queued"):
        query_of(Asked(states=["scheduled", "failed"]))


def test_a_state_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(InvalidQuery, match=r"no state 'sleeping'; known: queued, .*, scheduled"):
        query_of(Asked(states=["sleeping"]))


def test_conditions_orders_and_limits_are_put_together(found, three):
    assert found(where=["priority__gt=1", "state=queued"]) == [3, 2]
    assert found(order=["priority"]) == [1, 2, 3, 4]
    assert found(order=["-priority"], limit=2) == [4, 3]
    assert found(order=["state", "-priority"]) == [4, 3, 2, 1]


def test_a_class_checks_conditions_and_orders_where_one_kind_is_asked_for():
    kinds = [Post.kind]
    for asked in (
        Asked(kinds=kinds, where=["nothing=1"]),
        Asked(kinds=kinds, where=["secret=1"]),
        Asked(kinds=kinds, order=["nothing"]),
        Asked(kinds=kinds, order=["-secret"]),
    ):
        with pytest.raises(InvalidQuery, match=r"Post"):
            query_of(asked)
    assert query_of(Asked(kinds=kinds, where=["town=Linz"], order=["-town"])).order == ("-town",)


def test_what_is_no_name_of_a_field_is_refused_by_the_store(store, add_job):
    for asked in (Asked(where=["a b=1"]), Asked(order=["a b"]), Asked(order=["id; DROP TABLE jobs"])):
        with pytest.raises(InvalidQuery, match="no name of a field"):
            list(store.find_jobs(query_of(asked)))


def test_conditions_without_the_class_are_unchecked():
    assert is_unchecked(Asked(where=["town=Linz"]))
    assert is_unchecked(Asked(kinds=["tests.service.finding.Unknown"], where=["town=Linz"]))
    assert not is_unchecked(Asked(kinds=[Post.kind], where=["town=Linz"]))
    assert not is_unchecked(Asked(kinds=["tests.service.finding.Unknown"]))
