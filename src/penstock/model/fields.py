"""Fields of a job class: `field()` with the facts that belong to a field, said at the field."""

import inspect
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

_UNSET: Any = object()

FACTS = ("user_editable", "copy_on_restart", "indexed", "encrypted")


class LateDefault:
    """A default that is made once all other fields are set, from the job."""

    def __init__(self, factory: Callable[[Any], Any]) -> None:
        self.factory = factory

    def __call__(self) -> None:
        """Leave the field empty until then."""


def field(
    default: Any = _UNSET,
    *,
    default_factory: Callable[..., Any] | None = None,
    early: bool = False,
    user_editable: bool = False,
    copy_on_restart: bool = False,
    indexed: bool = False,
    encrypted: bool = False,
    description: str | None = None,
    **constraints: Any,
) -> Any:
    """Declare a field of a job class.

    Args:
        default: The value when none is given. Without it and `default_factory` the field is required.
        default_factory: Makes the default, for each job anew. One that takes an argument gets the job, with all
            other fields set; validators that look at the whole job see None in its place before.
        early: Such a factory is called before the fields declared below it are set, and sees those above only.
        user_editable: A person may change it on a stored job.
        copy_on_restart: The next instance of a repeating job gets its value.
        indexed: Conditions on it in queries read only the jobs they find.
        encrypted: It is sealed in the store under the keyring, and cannot be asked for in queries.
        description: What it means, shown where a person edits it.
        constraints: What pydantic's `Field` knows: `ge`, `le`, `min_length`, `pattern`, …

    Raises:
        TypeError: it is to be both `indexed` and `encrypted`.
    """
    if indexed and encrypted:
        raise TypeError("a field cannot be both indexed and encrypted: an index would tell what it holds")
    chosen = (user_editable, copy_on_restart, indexed, encrypted)
    given: dict[str, Any] = {} if default is _UNSET else {"default": default}
    if default_factory is not None:
        given |= _factory(default_factory, early)
    facts: dict[str, Any] = dict(zip(FACTS, chosen, strict=True))
    if encrypted:
        constraints.setdefault("repr", False)  # Whatever is shown of a job may end in a log.
    return Field(**given, description=description, json_schema_extra=facts, **constraints)


def has_fact(info: FieldInfo, fact: str) -> bool:
    """Tell whether a field was declared with one of `FACTS`."""
    extra = info.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(fact))


def fields_with(cls: type[BaseModel], fact: str) -> list[str]:
    """Return the names of the fields that were declared with one of `FACTS`."""
    return [name for name, info in cls.model_fields.items() if has_fact(info, fact)]


def late_defaults(cls: type[BaseModel]) -> dict[str, Callable[[Any], Any]]:
    """Return the factories of defaults that need the whole job, in the order of declaration."""
    return {
        name: info.default_factory.factory
        for name, info in cls.model_fields.items()
        if isinstance(info.default_factory, LateDefault)
    }


def fill_late_defaults(job: Any, given: Collection[str]) -> None:
    """Make the late defaults of the fields that are not among those given."""
    for name, factory in job.late_defaults.items():
        if name not in given:
            setattr(job, name, factory(job))


def _factory(factory: Callable[..., Any], early: bool) -> dict[str, Any]:
    if not _takes_the_job(factory):
        return {"default_factory": factory}
    if early:
        return {"default_factory": lambda data: factory(SimpleNamespace(**data))}
    return {"default_factory": LateDefault(factory), "validate_default": False}


def _takes_the_job(factory: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:
        return False  # A function in C that does not say; it is one like `date.today`.
    required = [
        p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(required) == 1
