"""Rows as instances of classes."""

import dataclasses
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, computed_field, field_validator

from penstock.errors import BadRow, ConfigurationError
from penstock.tabular import columns_of, row_converter


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass
class Data:
    name: str
    age: int
    height: float | None
    born: date | None
    price: Decimal = Decimal(1)


class Typed(TypedDict):
    name: str
    age: int
    height: float | None
    born: date | None
    price: NotRequired[Decimal]


class Named(NamedTuple):
    name: str
    age: int
    height: float | None
    born: date | None
    price: Decimal = Decimal(1)


class Model(BaseModel):
    name: str
    age: int
    height: float | None
    born: date | None
    price: Decimal = Decimal(1)


class Struct(msgspec.Struct):
    name: str
    age: int
    height: float | None
    born: date | None
    price: Decimal = Decimal(1)


CLASSES = [Data, Typed, Named, Model, Struct]
ALL = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
ROW = {"name": "Ada", "age": "36", "height": "1.65", "born": "1815-12-10", "price": "9.90", "other": "x"}


def values(instance: Any) -> list[Any]:
    get = instance.get if isinstance(instance, dict) else lambda name: getattr(instance, name)
    return [get(name) for name in ("name", "age", "height", "born", "price")]


@ALL
class TestEveryClass:
    def test_text_becomes_what_its_fields_are_and_other_columns_are_ignored(self, cls):
        converted = row_converter(cls)(dict(ROW))
        assert values(converted) == ["Ada", 36, 1.65, date(1815, 12, 10), Decimal("9.90")]
        assert isinstance(converted, dict if cls is Typed else cls)

    def test_values_that_have_their_types_already_stay(self, cls):
        row = {"name": "Ada", "age": 36, "height": 1.65, "born": date(1815, 12, 10), "price": Decimal("9.90")}
        assert values(row_converter(cls)(row)) == list(row.values())

    @pytest.mark.parametrize("empty", ["", None])
    def test_what_is_empty_is_none_or_the_default(self, cls, empty):
        row = {**ROW, "height": empty, "born": empty, "price": empty}
        price = None if cls is Typed else Decimal(1)
        assert values(row_converter(cls)(row)) == ["Ada", 36, None, None, price]
        assert row["price"] == empty, "the row itself stays as it is"

    def test_empty_text_stays_text(self, cls):
        assert values(row_converter(cls)({**ROW, "name": ""}))[0] == ""

    def test_a_blank_line_stays_none(self, cls):
        assert row_converter(cls)(None) is None

    def test_an_optional_class_is_that_class(self, cls):
        assert values(row_converter(cls | None)(dict(ROW)))[1] == 36
        assert columns_of(cls | None) == ["name", "age", "height", "born", "price"]

    def test_columns_are_the_fields_in_order(self, cls):
        assert columns_of(cls) == ["name", "age", "height", "born", "price"]

    def test_what_does_not_fit_is_named_without_its_value(self, cls):
        row = {**ROW, "age": "secret", "born": "secret"}
        with pytest.raises(BadRow) as caught:
            row_converter(cls)(row)
        assert str(caught.value).startswith(f"the row is no {cls.__name__}: age: ")
        assert "secret" not in str(caught.value)
        if cls is not Struct:  # msgspec stops at the first.
            assert "; born: Input should be a valid date" in str(caught.value)

    @pytest.mark.parametrize("empty", ["", None])
    def test_an_empty_field_that_is_needed_is_named(self, cls, empty):
        with pytest.raises(BadRow, match=r"age.*(required|Missing required)|required.*age"):
            row_converter(cls)({**ROW, "age": empty})

    def test_a_column_that_is_missing_is_named(self, cls):
        with pytest.raises(BadRow, match="age"):
            row_converter(cls)({name: value for name, value in ROW.items() if name != "age"})


@pytest.mark.parametrize("cls", [Data, Typed, Named, Struct], ids=lambda cls: cls.__name__)
def test_a_number_is_no_date(cls):
    with pytest.raises(BadRow, match=rf"the row is no {cls.__name__}: born: "):
        row_converter(cls)({**ROW, "born": "20260102"})


def test_text_becomes_all_kinds_of_values():
    @dataclasses.dataclass
    class Many:
        flag: bool
        at: datetime
        clock: time
        key: UUID
        colour: Colour
        size: Literal["s", "m"]
        note: str | None
        code: NewType("Code", int)
        short: Annotated[int, BeforeValidator(lambda text: text.strip("#"))]
        anything: Any = 7

    row = {
        "flag": "true",
        "at": "2026-01-02T03:04:05Z",
        "clock": "03:04",
        "key": str(UUID(int=1)),
        "colour": "red",
        "size": "m",
        "note": "",
        "code": " 7 ",
        "short": "#5",
        "anything": "",
    }
    assert row_converter(Many)(row) == Many(
        True, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), time(3, 4), UUID(int=1), Colour.RED, "m", "", 7, 5, ""
    )


@pytest.mark.parametrize("annotation", [dict, dict[str, Any], Any, object, None, Data | Model])
def test_without_one_class_rows_stay_as_they_are(annotation):
    assert row_converter(annotation)(ROW) is ROW
    assert columns_of(annotation) is None


@pytest.mark.parametrize("annotation", [str, int, list, list[str], bytes | None])
def test_what_no_row_can_become_is_refused(annotation):
    with pytest.raises(ConfigurationError, match=r"a row cannot become a .*; take a dict, a dataclass or a model"):
        row_converter(annotation)


def test_a_class_with_a_name_that_there_is_not_is_refused():
    @dataclasses.dataclass
    class Lost:
        a: "Nowhere"  # noqa: F821

    with pytest.raises(ConfigurationError, match=r"rows cannot become a Lost: .*Nowhere"):
        row_converter(Lost)


class TestModels:
    def test_a_model_may_forbid_other_columns(self):
        class Strict(Model):
            model_config = ConfigDict(extra="forbid")

        with pytest.raises(BadRow, match="the row is no Strict: other: Extra inputs are not permitted"):
            row_converter(Strict)(ROW)

    def test_aliases_are_the_columns_of_rows(self):
        class Aliased(BaseModel):
            first: int | None = Field(alias="First Name")
            second: int = Field(5, alias="2nd")

        assert row_converter(Aliased)({"First Name": "", "2nd": ""}).model_dump() == {"first": None, "second": 5}

    def test_the_words_of_a_validator_are_kept_but_for_the_value(self):
        class Checked(BaseModel):
            code: str

            @field_validator("code")
            @classmethod
            def _check(cls, value):
                raise ValueError(f"{value} is not in the list")

        with pytest.raises(BadRow) as caught:
            row_converter(Checked)({"code": "secret"})
        assert str(caught.value) == "the row is no Checked: code: Value error, … is not in the list"

    def test_computed_fields_are_columns_too(self):
        class Sum(BaseModel):
            a: int

            @computed_field
            @property
            def twice(self) -> int:
                return 2 * self.a

        assert columns_of(Sum) == ["a", "twice"]

    def test_renamed_fields_of_a_struct_are_found_by_their_names_in_rows(self):
        class Renamed(msgspec.Struct, rename="camel"):
            first_name: int | None
            the_age: int = 4

        converted = row_converter(Renamed)({"firstName": "", "theAge": None})
        assert (converted.first_name, converted.the_age) == (None, 4)


def test_fields_of_base_classes_come_first():
    @dataclasses.dataclass
    class More(Data):
        extra: int = 0

    class TypedMore(Typed):
        extra: int

    assert columns_of(More) == columns_of(TypedMore) == ["name", "age", "height", "born", "price", "extra"]
