"""What a function is called with, as fields of a job and back."""

import copy
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field

RESERVED = frozenset({"result", "error", "errback_error", "job_itself"})
"""Names that the steps of a run find in the mapping beside the arguments."""
_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})
_MANY: Mapping[Any, Any] = {inspect.Parameter.VAR_POSITIONAL: list[Any], inspect.Parameter.VAR_KEYWORD: dict[str, Any]}
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Arguments(dict[str, Any]):
    """The one mapping that the function and its steps share: the arguments by name, and what the steps add.

    A step finds in it also `job_itself`, the job that runs; behind the function `result`, what it returned; in an
    errback `error`, the exception. What is added must be storable: the application gets it with the answer.
    """

    def __init__(self, given: Mapping[str, Any], job: Any) -> None:
        super().__init__(given)
        self["job_itself"] = job
        self._given = dict(given)

    def added(self) -> dict[str, Any]:
        """Return what was added or changed since the beginning."""
        return {
            name: value
            for name, value in self.items()
            if name not in RESERVED and (name not in self._given or self._given[name] != value)
        }


class Parameters:
    """The parameters of one function: fields of its jobs. Those that would hide a field of every job end in `_`."""

    def __init__(self, function: Callable[..., Any], taken: Callable[[str], bool]) -> None:
        """Read the signature; `taken` tells which names fields cannot have.

        Raises:
            TypeError: a parameter has a name that the steps of a run use.
        """
        self.signature = inspect.signature(function)
        hints = _hints(function)
        self._special: dict[str, bool] = {}
        """Parameters that are no arguments: True gets the mapping, False the job itself."""
        self._fields: dict[str, str] = {}
        self.annotations: dict[str, Any] = {}
        self.defaults: dict[str, Any] = {}
        self._kinds = {name: parameter.kind for name, parameter in self.signature.parameters.items()}
        for name, parameter in self.signature.parameters.items():
            self._read(function, name, parameter, hints.get(name, Any), taken)
        self._positional = [name for name in self._fields if self._kinds[name] in _POSITIONAL]
        self._by_name = {
            name: field
            for name, field in self._fields.items()
            if self._kinds[name] in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        }
        self._required = {self._fields[name] for name in self._fields if self._is_required(name)}
        self._plain = not any(kind in _MANY for kind in self._kinds.values()) and not self._special

    def _read(
        self,
        function: Callable[..., Any],
        name: str,
        parameter: inspect.Parameter,
        hint: Any,
        taken: Callable[[str], bool],
    ) -> None:
        if name == "job_itself" or hint is Arguments:
            self._special[name] = hint is Arguments
            return
        if name in RESERVED:
            raise TypeError(
                f"{function.__qualname__}: a parameter of a job function cannot be called {name!r}, "
                "which its steps find in the mapping; rename it"
            )
        field = name
        while taken(field) or field in self.annotations or field.startswith("_"):
            field = f"{field.lstrip('_')}_"
        self._fields[name] = field
        self.annotations[field] = _MANY.get(parameter.kind, hint)
        if parameter.kind in _MANY:
            self.defaults[field] = Field(default_factory=list if parameter.kind is parameter.VAR_POSITIONAL else dict)
        elif parameter.default is not parameter.empty:
            self.defaults[field] = parameter.default

    def fields_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the fields for a call; defaults are left to the fields.

        Raises:
            TypeError: the function cannot be called so.
        """
        if self._plain and len(args) <= len(self._positional):
            values = {self._fields[name]: value for name, value in zip(self._positional, args, strict=False)}
            named = {self._by_name.get(name, ""): value for name, value in kwargs.items()}
            both = {**values, **named}
            if "" not in named and len(both) == len(args) + len(kwargs) and both.keys() >= self._required:
                return both
        return self._bound(args, kwargs)

    def arguments_of(self, job: Any) -> dict[str, Any]:
        """Return the arguments of a job by name: copies, so that what a run does to them leaves the job as it was."""
        values = job.__dict__
        return {
            name: value if type(value := values[field]) in _SCALARS else copy.deepcopy(value)
            for name, field in self._fields.items()
        }

    def call(self, function: Callable[..., Any], arguments: Arguments) -> Any:
        """Call the function with the arguments of the mapping."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for name, kind in self._kinds.items():
            value = arguments if self._special.get(name) else arguments[name]
            match kind:
                case inspect.Parameter.VAR_POSITIONAL:
                    args += value
                case inspect.Parameter.VAR_KEYWORD:
                    kwargs |= value
                case inspect.Parameter.KEYWORD_ONLY:
                    kwargs[name] = value
                case _:
                    args.append(value)
        return function(*args, **kwargs)

    def _is_required(self, name: str) -> bool:
        parameter = self.signature.parameters[name]
        return parameter.default is parameter.empty and parameter.kind not in _MANY

    def _bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        parameters = [parameter for name, parameter in self.signature.parameters.items() if name not in self._special]
        bound = inspect.Signature(parameters).bind(*args, **kwargs).arguments
        return {
            self._fields[name]: list(value) if self._kinds[name] is inspect.Parameter.VAR_POSITIONAL else value
            for name, value in bound.items()
        }


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # A name that exists for type checkers only: pydantic will say what it misses.
        return dict(getattr(function, "__annotations__", {}))
