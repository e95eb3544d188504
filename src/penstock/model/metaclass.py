"""What makes a class body a job class: defaults overridden without annotation, a kind, hooks.

A plain pydantic model refuses `priority = 70` in a subclass, because it has no annotation. Here the
annotation and the constraints of the inherited field are added to the class body before pydantic sees it.
Python 3.14 keeps annotations in a function of the class body; see `_add_annotations`.
"""

import inspect
import sys
import types
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

from penstock.hooks import collect_hooks
from penstock.model.kinds import register

_NO_DEFAULT = (types.FunctionType, property, classmethod, staticmethod, type)


if TYPE_CHECKING:
    # At run time it is asked of BaseModel, which is public; type checkers need a name.
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class JobMeta(ModelMetaclass):
    """The metaclass of job classes."""

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        kind: str | None = None,
        aliases: tuple[str, ...] | list[str] = (),
        abstract: bool = False,
        **options: Any,
    ) -> type:
        """Make the class.

        Args:
            name: The name in the class statement.
            bases: Its base classes.
            namespace: Its body.
            kind: The name under which jobs of the class are stored; the class name by default.
            aliases: Kinds of older jobs that this class serves too.
            abstract: True for a class that is only a base for others and has no jobs of its own.
            options: Settings of pydantic's.

        Raises:
            DuplicateKind: another class has this kind.
            TypeError: a field of a base class is overridden by a method, a property or a class;
                or `perform` is a coroutine function.
        """
        _refuse_async(name, namespace)
        _annotate_overrides(name, bases, namespace)
        cls: Any = super().__new__(mcls, name, bases, namespace, **options)
        cls.hooks = collect_hooks(cls)
        cls.kind = kind or name
        cls.abstract = abstract
        if not abstract:
            register(cls, tuple(aliases))
        return cls  # type: ignore[no-any-return]

    if not TYPE_CHECKING:  # A checker that saw this would no longer check the names of fields.

        def __call__(cls, *args: Any, **values: Any) -> Any:  # noqa: N805
            """Make a job, which has its id and the moment of its creation from birth."""
            job = super().__call__(*args, **values)
            _ = job.row
            return job


def _refuse_async(name: str, namespace: dict[str, Any]) -> None:
    # Called as a function it would return a coroutine that nobody awaits: a job that does nothing and succeeds.
    perform = namespace.get("perform")
    if inspect.iscoroutinefunction(perform) or inspect.isasyncgenfunction(perform):
        raise TypeError(f"{name}.perform is async; this version runs plain functions: use asyncio.run inside it")


def _annotate_overrides(name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
    inherited: dict[str, Any] = {}
    for base in reversed(bases):
        inherited.update(getattr(base, "__pydantic_fields__", {}))
    own = _own_annotations(namespace)
    added = {}
    for key, value in namespace.items():
        if key in inherited and key not in own:
            if isinstance(value, _NO_DEFAULT):
                raise TypeError(f"{name}.{key}: a field of a base class cannot become a {type(value).__name__}")
            added[key] = _annotation(inherited[key])
    if added:
        _add_annotations(namespace, added)


def _annotation(info: Any) -> Any:
    facts = info.asdict()
    kept = {key: value for key, value in facts["attributes"].items() if key not in ("default", "default_factory")}
    return Annotated[(facts["annotation"], *facts["metadata"], Field(**kept))]  # noqa: F821


def _own_annotations(namespace: dict[str, Any]) -> set[str]:
    if "__annotations__" in namespace:
        return set(namespace["__annotations__"])
    if sys.version_info >= (3, 14):
        import annotationlib  # type: ignore[import-not-found, unused-ignore]

        function = annotationlib.get_annotate_from_class_namespace(namespace)
        if function:
            return set(annotationlib.call_annotate_function(function, annotationlib.Format.FORWARDREF))
    return set()


def _add_annotations(namespace: dict[str, Any], added: dict[str, Any]) -> None:
    if sys.version_info < (3, 14) or "__annotations__" in namespace:
        namespace.setdefault("__annotations__", {}).update(added)
        return
    import annotationlib  # type: ignore[import-not-found, unused-ignore]

    function = annotationlib.get_annotate_from_class_namespace(namespace)

    def annotate(format: int, /) -> dict[str, Any]:  # noqa: A002
        if format == annotationlib.Format.VALUE_WITH_FAKE_GLOBALS:
            raise NotImplementedError
        own = dict(annotationlib.call_annotate_function(function, format)) if function else {}
        more = annotationlib.annotations_to_string(added) if format == annotationlib.Format.STRING else added
        return {**more, **own}

    # The key under which the 3.14 compiler keeps it; an `__annotations__` here would hide the class's own.
    namespace["__annotate_func__"] = annotate
