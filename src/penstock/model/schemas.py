"""What pydantic is told of types that do not come back from JSON by themselves: metadata for `Annotated`.

Each class here is put beside a type by `penstock.model.storable`. In JSON, which is what the store keeps, values
have the forms of `penstock.model.tagged`; in Python pydantic's own rules stay, with constraints and strictness.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, cast

from pydantic import (
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import PydanticCustomError, PydanticKnownError, PydanticSerializationUnexpectedValue, core_schema
from pydantic_core.core_schema import CoreSchema, SerSchema

from penstock.errors import UnstorableValue
from penstock.model.tagged import decode, encode, in_order, tag_of

UNCHANGED = "unchanged"
"""In the context of a validation: the names of fields whose values were checked when they were set."""


class Stored:
    """Metadata of this module, by which a type that has it already is known."""


class AnyValue(Stored):
    """For `Any`: each value says its type, and one of a type that cannot be stored is refused."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read tags in JSON; in Python look at the value and leave it as it is."""
        known = core_schema.json_or_python_schema(
            core_schema.no_info_plain_validator_function(decode),
            core_schema.no_info_plain_validator_function(_storable_value),
            serialization=_written(encode),
        )
        return core_schema.nullable_schema(known)  # None needs no function of ours, and is what most have by default.

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Allow anything."""
        return {}


@dataclass(frozen=True, eq=False)
class Leaf(Stored):
    """For a type with a JSON form of our own.

    `read` turns that form into a value and leaves what it does not know to pydantic; `settle` is applied to each
    value. Either raises `ValueError`.
    """

    kind: type
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    settle: Callable[[Any], Any] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Put the form around what pydantic does; it knows no ranges."""
        inner = core_schema.is_instance_schema(range) if self.kind is range else handler(source)
        return core_schema.with_info_wrap_validator_function(
            self._validate, inner, serialization=_written(self._serialize)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Say what pydantic says; it knows no ranges."""
        return {"type": "array", "items": {"type": "integer"}} if self.kind is range else handler(schema)

    def _validate(self, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        if info.mode == "json" and not isinstance(value, self.kind):
            value = self.read(value)
        checked = handler(value)
        return self.settle(checked) if self.settle else checked

    def _serialize(self, value: Any) -> Any:
        _expect(value, self.kind)
        try:
            return self.write(value)
        except ValueError as error:
            raise UnstorableValue(str(error)) from None


@dataclass(frozen=True, eq=False)
class Tagged(Stored):
    """For a type beside others that look like it in JSON: each value says its type, and is known by that only."""

    tag: str
    kind: type

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Put the tag around what pydantic, or a `Leaf`, does."""
        return core_schema.with_info_wrap_validator_function(
            self._validate,
            handler(source),
            serialization=core_schema.wrap_serializer_function_ser_schema(self._serialize, when_used="json"),
        )

    def _validate(self, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        if info.mode == "json" and not isinstance(value, self.kind):
            value = self._without_tag(value)
        return handler(value)

    def _without_tag(self, value: Any) -> Any:
        if tag_of(value) == self.tag:
            return value[f"${self.tag}"]
        raise ValueError(f"not a {self.tag}")

    def _serialize(self, value: Any, handler: SerializerFunctionWrapHandler) -> Any:
        _expect(value, self.kind)
        return {f"${self.tag}": handler(value)}


class SpecialFloat(Tagged):
    """For a float beside text: only the values that JSON writes as text say their type."""

    def _without_tag(self, value: Any) -> Any:
        return value if type(value) in (int, float) else super()._without_tag(value)

    def _serialize(self, value: Any, handler: SerializerFunctionWrapHandler) -> Any:
        _expect(value, float)
        return encode(float(value))


class Ordered(Stored):
    """For sets, which have an order of their own in each process."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Add an order to what pydantic writes; reading stays its own."""
        ordered = core_schema.wrap_serializer_function_ser_schema(_write_set, when_used="json")
        return cast("CoreSchema", {**handler(source), "serialization": ordered})


@dataclass(frozen=True, eq=False)
class Pairs(Stored):
    """For dicts whose keys may be other than text, or that may look like a tag: then as a list of pairs."""

    key: Any
    value: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Choose by the tag when reading, by the keys when writing."""
        plain = handler(source)
        key, value = handler.generate_schema(self.key), handler.generate_schema(self.value)
        pairs = core_schema.list_schema(core_schema.tuple_positional_schema([key, value]))
        from_pairs = core_schema.no_info_before_validator_function(
            lambda written: written["$dict"], core_schema.no_info_after_validator_function(dict, pairs)
        )
        either = core_schema.tagged_union_schema({"dict": from_pairs, "": plain}, _dict_tag)
        return core_schema.json_or_python_schema(
            either,
            plain,
            serialization=core_schema.wrap_serializer_function_ser_schema(_write_dict, schema=pairs, when_used="json"),
        )


@dataclass(frozen=True, eq=False)
class ByName(Stored):
    """For an `Enum` with values that JSON does not have: members by their names."""

    kind: type[Enum]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read names in JSON; in Python members and values, as pydantic does."""
        return core_schema.with_info_wrap_validator_function(
            self._validate, handler(source), serialization=_written(self._serialize)
        )

    def _validate(self, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        named = info.mode == "json" and type(value) is str
        return handler(self.kind.__members__.get(value, value) if named else value)

    def _serialize(self, value: Any) -> str:
        _expect(value, self.kind)
        return str(value.name)


@dataclass(frozen=True, eq=False)
class AgainstNow(Stored):
    """For moments and days that must be `past` or `future`: when they are set, not when they are read again.

    Neither when all fields of a job are checked, if the context of the validation has the field among `UNCHANGED`.
    """

    side: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Look at the clock in Python only."""
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def _check(self, value: date, info: ValidationInfo) -> date:
        unchanged = info.context.get(UNCHANGED, ()) if isinstance(info.context, dict) else ()
        if info.mode == "python" and info.field_name not in unchanged and not self._holds(value):
            kind = "datetime" if isinstance(value, datetime) else "date"
            raise PydanticKnownError(f"{kind}_{self.side}")  # type: ignore[arg-type]
        return value

    def _holds(self, value: date) -> bool:
        now = datetime.now(value.tzinfo) if isinstance(value, datetime) else date.today()  # noqa: DTZ011
        return value < now if self.side == "past" else value > now


def _storable_value(value: Any) -> Any:
    try:
        encode(value)
    except UnstorableValue as error:
        raise PydanticCustomError("unstorable_value", "{reason}", {"reason": str(error)}) from None
    return value


def _expect(value: Any, kind: type) -> None:
    # In a union pydantic then tries the next member. A moment is a day too, and must not be written as one.
    if not isinstance(value, kind) or (kind is date and isinstance(value, datetime)):
        raise PydanticSerializationUnexpectedValue(f"Expected `{kind.__name__}` [input_type={type(value).__name__}]")


def _write_set(value: Any, handler: SerializerFunctionWrapHandler) -> list[Any]:
    _expect(value, Set)
    return in_order(handler(value))


def _dict_tag(value: Any) -> str:
    return tag_of(value) or ""


def _write_dict(value: Any, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
    _expect(value, dict)
    pairs = handler(list(value.items()))
    written = dict(pairs) if all(type(key) is str for key in value) else None
    return {"$dict": pairs} if written is None or tag_of(written) is not None else written


def _written(write: Callable[[Any], Any]) -> SerSchema:
    return core_schema.plain_serializer_function_ser_schema(write, when_used="json")
