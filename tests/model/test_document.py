"""Documents: what would not come back is refused, in one line that names the field."""

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest

from penstock import Job
from penstock.errors import UnstorableValue
from penstock.model.document import write_document


class Unknown(tzinfo):
    def utcoffset(self, moment):
        return timedelta(0)


class Bag(Job, kind="document.Bag"):
    numbers: list[int] = []  # noqa: RUF012
    number: int = 0
    text: str = ""
    counts: dict[str, int] = {}  # noqa: RUF012
    nested: list[dict[str, Any]] = []  # noqa: RUF012
    moment: datetime | str | None = None
    moments: set[datetime] = set()  # noqa: RUF012
    anything: Any = None
    call: Callable[[], None] | None = None


SECRET = "12345678"
HOLDING_ITSELF: list[Any] = []
HOLDING_ITSELF.append(HOLDING_ITSELF)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("numbers", [SECRET], "a value of type str is where `int` should be"),
        ("number", SECRET, "a value of type str is where `int` should be"),
        ("number", 10**4300, "a whole number of more than 4300 digits cannot be stored"),
        ("numbers", [1, -(10**5000)], "a whole number of more than 4300 digits cannot be stored"),
        ("numbers", HOLDING_ITSELF, "Circular reference"),
        ("text", f"{SECRET}\ud800", r"can't encode character '\\ud800' in position 8: surrogates not allowed"),
        ("counts", {"a\udfff": 1}, r"text with the lone surrogate '\\udfff' at position 1 cannot be stored"),
        ("nested", [{"a": 1}, {"\ud800": SECRET}], "text with the lone surrogate"),
        ("nested", [{"a": (object(),)}], r"a value of type builtins\.object cannot be stored; use one of"),
        ("moment", 5, "a value of type int is where"),
        ("moment", datetime(2026, 1, 1, tzinfo=Unknown()), "Unknown cannot be stored; use zoneinfo"),
        ("moments", {SECRET}, "a value of type str is where `datetime` should be"),
        ("anything", {1: 1j}, r"a value of type builtins\.complex cannot be stored; use one of"),
        ("call", print, "Unable to serialize unknown type"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_was_changed_in_place_and_would_not_come_back_is_refused_by_name(field, value, says):
    bag = Bag()
    bag.__dict__[field] = value
    with pytest.raises(UnstorableValue, match=rf"^Bag\.{field}: .*{says}") as caught:
        write_document(bag, {"priority"})
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_what_only_looks_so_is_written():
    bag = Bag(text="1" * 5000, counts={"\ufffd": 1}, anything="\ufffd", number=10**4299)
    assert Bag.model_validate_json(write_document(bag, set())).model_dump() == bag.model_dump()


def test_fields_that_are_left_out_are_not_looked_at():
    bag = Bag()
    bag.__dict__["text"] = "\ud800"
    assert '"text"' not in write_document(bag, {"text"})
