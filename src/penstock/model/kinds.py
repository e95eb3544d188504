"""Which class serves which kind. A kind is the name that is stored, so that a class may move or be renamed."""

from typing import TYPE_CHECKING

from penstock.errors import DuplicateKind, UnknownKind

if TYPE_CHECKING:
    from penstock.model.job import Job

_classes: dict[str, "type[Job]"] = {}


def register(cls: "type[Job]", aliases: tuple[str, ...]) -> None:
    """Let `cls` serve its kind and `aliases`.

    A class that is defined anew, by a reload or inside a function, takes the place of its older self.

    Raises:
        DuplicateKind: another class has one of them.
    """
    kinds = (cls.kind, *aliases)
    for kind in kinds:
        present = _classes.get(kind)
        if present is not None and not _is_same(present, cls):
            raise DuplicateKind(
                f"{_path(cls)} and {_path(present)} are both of kind {kind!r}; "
                f'give one another: class {cls.__name__}(…, kind="…")'
            )
    _classes.update(dict.fromkeys(kinds, cls))


def find_class(kind: str) -> "type[Job]":
    """Return the class for a kind.

    Raises:
        UnknownKind: none was imported.
    """
    try:
        return _classes[kind]
    except KeyError:
        raise UnknownKind(f"no class for kind {kind!r} was imported; name its module with --app") from None


def known_kinds() -> "dict[str, type[Job]]":
    """Return every kind that a class was imported for, aliases included."""
    return dict(_classes)


def forget(kind: str) -> None:
    """Let nobody serve a kind. For tests."""
    _classes.pop(kind, None)


def _is_same(present: "type[Job]", cls: "type[Job]") -> bool:
    return _path(present) == _path(cls) or "<locals>" in present.__qualname__


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
