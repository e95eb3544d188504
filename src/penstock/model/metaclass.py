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

from penstock.hooks import collect_hooks, collect_throttles
from penstock.model.fields import fields_with, fill_late_defaults, late_defaults
from penstock.model.kinds import register
from penstock.model.sealing import SealedFields
from penstock.model.storable import storable_fields

_PLAIN = frozenset({type(None), bool, int, float, str})
"""Types of defaults that may be shared."""
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
                `perform` is an async generator; or a field has a name that is taken.
        """
        _refuse_generator(name, namespace)
        merged = _annotate_overrides(name, bases, namespace)
        namespace.setdefault("__get_pydantic_core_schema__", storable_fields)
        off = _switched_off(bases, namespace)
        has_own_init = "model_post_init" in namespace or any(getattr(base, "has_own_init", False) for base in bases)
        declared = _own_annotations(namespace)
        # An abstract class has no jobs of its own: its schema is built only where one is made all the same.
        options.setdefault("defer_build", abstract)
        cls: Any = super().__new__(mcls, name, bases, namespace, **options)
        cls.field_owners = {
            key: cls if key in declared else getattr(base, "field_owners", {}).get(key, base)
            for base in reversed(bases)
            for key in _fields_of(base)
        } | {key: merged.get(key, cls) for key in declared if key in _fields_of(cls)}
        for method in off:
            setattr(cls, method, None)
        cls.has_own_init = has_own_init
        _begin_quickly(cls)
        cls.hooks = collect_hooks(cls)
        cls.throttles = collect_throttles(cls)
        cls.is_async = inspect.iscoroutinefunction(getattr(cls, "perform", None))
        cls.sealed_fields = SealedFields(frozenset(fields_with(cls, "encrypted")))
        cls.late_defaults = late_defaults(cls)
        _check_unique_fields(cls)
        _refuse_reserved(cls)
        cls.kind = kind or name
        cls.abstract = abstract
        if not abstract:
            register(cls, tuple(aliases))
        return cls  # type: ignore[no-any-return]

    if not TYPE_CHECKING:  # A checker that saw this would no longer check the names of fields.

        def __call__(cls, *args: Any, **values: Any) -> Any:  # noqa: N805
            """Make a job, which has its id and the moment of its creation from birth."""
            # Past `BaseModel.__init__`, which costs a fifth of what it then has done.
            plain = not (args or cls.__pydantic_custom_init__)
            job = cls.__pydantic_validator__.validate_python(values) if plain else super().__call__(*args, **values)
            _ = job.row
            if cls.late_defaults:
                fill_late_defaults(job, values)
            for name in cls.hooks.get("after_init", ()):
                getattr(job, name)()
            return job


def _begin_quickly(cls: Any) -> None:
    """Give new jobs the defaults of their private attributes at once, where these are plain values.

    Pydantic copies each by itself, once more for each class on the way: a fifth of what it takes to read a job.
    """
    defaults = {name: private.default for name, private in cls.__private_attributes__.items()}
    factories = any(private.default_factory is not None for private in cls.__private_attributes__.values())
    if cls.has_own_init or factories or not all(type(value) in _PLAIN for value in defaults.values()):
        return

    def model_post_init(self: Any, context: Any, /) -> None:
        del context
        object.__setattr__(self, "__pydantic_private__", defaults.copy())

    type.__setattr__(cls, "model_post_init", model_post_init)


def _switched_off(bases: tuple[type, ...], namespace: dict[str, Any]) -> list[str]:
    """Take methods of base classes that are set to None out of a class body: pydantic would ask for an annotation."""
    off = [
        name
        for name, value in namespace.items()
        if value is None and any(inspect.isfunction(getattr(base, name, None)) for base in bases)
    ]
    for name in off:
        del namespace[name]
    return off


def _check_unique_fields(cls: Any) -> None:
    for name in getattr(cls, "unique_by", None) or ():
        if name not in cls.model_fields:
            raise TypeError(f"{cls.__name__}.unique_by names {name!r}, which is no field of it")
        if name in cls.sealed_fields.names:
            raise TypeError(f"{cls.__name__}.unique_by names {name!r}, which is encrypted: the key would tell it")


def _refuse_reserved(cls: Any) -> None:
    if "connection" in cls.model_fields:
        raise TypeError(
            f"{cls.__name__}.connection: a field cannot have this name, under which create() and save() take a"
            " connection of the caller's; rename it"
        )


def _refuse_generator(name: str, namespace: dict[str, Any]) -> None:
    # Called as a function it would return a generator that nobody runs: a job that does nothing and succeeds.
    if inspect.isasyncgenfunction(namespace.get("perform")):
        raise TypeError(f"{name}.perform is an async generator: return the result instead of yielding it")


def _annotate_overrides(name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> dict[str, type]:
    """Give overridden defaults their annotations; return the owners of fields of which several base classes differ."""
    inherited = {key: fields[key] for base in reversed(bases) for fields in [_fields_of(base)] for key in fields}
    own = _own_annotations(namespace)
    added = {}
    merged = {}
    if len(bases) > 1:
        for key, owner in _owners(bases).items():
            if key not in own and key in inherited and owner is not _owner_for_pydantic(key, bases):
                inherited[key] = info = _fields_of(owner)[key]
                if key not in namespace:
                    merged[key] = owner
                    added[key] = _annotation(info)
                    namespace |= _default_of(key, info)
    for key, value in namespace.items():
        if key in inherited and key not in own and key not in added:
            if isinstance(value, _NO_DEFAULT):
                raise TypeError(f"{name}.{key}: a field of a base class cannot become a {type(value).__name__}")
            added[key] = _annotation(inherited[key])
    if added:
        _add_annotations(namespace, added)
    return merged


def _fields_of(cls: type) -> dict[str, Any]:
    return getattr(cls, "__pydantic_fields__", {})


def _owners(bases: tuple[type, ...]) -> dict[str, type]:
    """Return for each field the class that declares it, by the order in which Python looks for attributes.

    Pydantic takes a field from the first base class that has it, though that may have it from a class which the
    next one comes before: of `class B(Mixin, A)` it would take what `Mixin` has from `Job`, over what `A` says.
    """
    return {key: owner for owner in reversed(_linearized(bases)) for key in _declared_in(owner)}


def _owner_for_pydantic(key: str, bases: tuple[type, ...]) -> type | None:
    base = next((base for base in bases if key in _fields_of(base)), None)
    return None if base is None else getattr(base, "field_owners", {}).get(key, base)


def _declared_in(cls: type) -> list[str]:
    if "field_owners" in vars(cls):
        return [key for key, owner in vars(cls)["field_owners"].items() if owner is cls]
    return [key for key in _fields_of(cls) if key in inspect.get_annotations(cls)]


def _linearized(bases: tuple[type, ...]) -> list[type]:
    """Return the classes in the order of resolution (C3) of a class with these bases; what is left where none is."""
    rows = [list(base.__mro__) for base in bases] + [list(bases)]
    found: list[type] = []
    while rows := [row for row in rows if row]:
        behind = {cls for row in rows for cls in row[1:]}
        chosen = next((row[0] for row in rows if row[0] not in behind), rows[0][0])
        found.append(chosen)
        rows = [[cls for cls in row if cls is not chosen] for row in rows]
    return found


def _default_of(key: str, info: Any) -> dict[str, Any]:
    if info.default_factory is not None:
        return {key: Field(default_factory=info.default_factory)}
    return {} if info.is_required() else {key: Field(default=info.default)}


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
