"""Conditions as a person types them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

import penstock
from penstock import Job
from penstock.errors import InvalidQuery, JobNotFound
from penstock.model.fields import field
from penstock.query import Query
from penstock.service.conditions import parse_conditions


class Sent(Job, kind="tests.service.conditions.Sent"):
    zip_code: str = ""
    count: int = 0
    price: Decimal = Decimal(0)
    day: date | None = None
    urgent: bool = False
    anything: Any = None
    secret: str | None = field(None, encrypted=True)

    def perform(self):
        return None


@pytest.fixture
def found(configured_store):
    """Return a function that finds jobs by conditions, with their class or without, and returns one field of each."""

    def find(name, *texts, cls=None):
        rows = configured_store.find_jobs(Query(filters=parse_conditions(texts, cls)))
        return [getattr(Sent.query.where(id=row.id).first(), name) for row in rows]

    return find


@pytest.fixture(params=[Sent, None], ids=["with its class", "without"])
def cls(request):
    return request.param


def test_text_that_looks_like_a_number_is_found_as_text(found, cls):
    Sent.create_many([{"zip_code": "01234"}, {"zip_code": "12345"}, {"zip_code": "null"}])
    assert found("zip_code", "zip_code=12345", cls=cls) == ["12345"]
    assert found("zip_code", "zip_code=01234", cls=cls) == ["01234"]
    assert found("zip_code", "zip_code__in=12345,01234", cls=cls) == ["01234", "12345"]
    assert found("zip_code", "zip_code__ne=12345", cls=cls) == ["01234", "null"]
    assert found("zip_code", "zip_code__contains=123", cls=cls) == ["01234", "12345"]


def test_numbers_are_compared_as_numbers(found, cls):
    Sent.create_many([{"count": 9}, {"count": 10}])
    assert found("count", "count=10", cls=cls) == [10]
    assert found("count", "count__gt=9", cls=cls) == [10]
    assert found("count", "count__in=9,10", cls=cls) == [9, 10]
    assert found("count", "count__ne=9", cls=cls) == [10]


def test_true_and_false_are_found(found, cls):
    Sent.create_many([{"urgent": True}, {"urgent": False}])
    assert found("urgent", "urgent=true", cls=cls) == [True]


def test_an_empty_value_and_null_ask_for_what_is_not_set(found, cls):
    Sent.create_many([{"day": date(2026, 1, 2)}, {}])
    for text in ("day=", "day=null"):
        assert found("day", text, cls=cls) == [None]
    for text in ("day__ne=", "day__ne=null"):
        assert found("day", text, cls=cls) == [date(2026, 1, 2)]
    assert found("day", "day__ge=2026-01-02", cls=cls) == [date(2026, 1, 2)]


def test_what_is_not_set_can_be_asked_of_columns(found):
    Sent.create_many([{}, {"run_at": datetime(2026, 1, 1, tzinfo=UTC)}])
    assert found("run_at", "run_at=null") == [None]


def test_a_field_of_any_type_is_compared_with_what_the_text_is_in_json(found):
    Sent.create_many([{"anything": 5}, {"anything": "5"}, {"anything": "six"}])
    assert found("anything", "anything=5", cls=Sent) == [5]
    assert found("anything", 'anything="5"', cls=Sent) == ["5"]
    assert found("anything", "anything=six", cls=Sent) == ["six"]


def test_a_moment_without_a_zone_is_in_the_zone_of_the_settings():
    penstock.configure(timezone="Europe/Berlin")
    (condition,) = parse_conditions(["created_at__ge=2026-01-01"])
    assert condition.value.astimezone(UTC) == datetime(2025, 12, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "priority", "=5", "priority=x", "priority__near=5", "state=sleeping", "priority__gt=null",
        f"priority={1 << 64}", f"count={1 << 64}", "kind=\udcff", "zip_code=\udcff",
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(text):
    with pytest.raises(InvalidQuery):
        parse_conditions([text])


@pytest.mark.parametrize("text", ["count=x", "nothing=1", "secret=x", f"count={1 << 64}"])
def test_a_class_refuses_what_does_not_fit(text):
    with pytest.raises(InvalidQuery):
        parse_conditions([text], Sent)


def test_an_id_that_is_none_is_told():
    with pytest.raises(JobNotFound):
        parse_conditions(["id=nonsense"])
