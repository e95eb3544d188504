"""Column names of a file: cleansed, and checked against those that are wanted."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from penstock.errors import BadHeader, ConfigurationError

Cleanser = str | Callable[[str], str]
"""`default`, `none`, or a function from the name in the file to the one that rows have."""

_GAP = re.compile(r"[\s-]+")


def cleansed(name: str) -> str:
    """Return a name trimmed, in lower case, with `_` for spaces and dashes, and without what is no word character.

    Letters and digits of all scripts stay, with their marks: `First Name` becomes `first_name`, `Größe (m)` `größe_m`.
    """
    composed = unicodedata.normalize("NFC", name).strip().lower()
    return "".join(filter(_is_of_a_word, _GAP.sub("_", composed)))


def read_header(
    raw_names: Sequence[str],
    *,
    cleanser: Cleanser = "default",
    allowed: Iterable[str] | None = None,
    required: Iterable[str] = (),
    skip_unknown: bool = False,
) -> list[str | None]:
    """Return the column name of each field, in the order of the file; None for a field that is left out.

    Args:
        raw_names: As they stand in the file.
        cleanser: `default` (see `cleansed`), `none`, or a function.
        allowed: Names after cleansing that may occur. None: any.
        required: Names after cleansing that must occur; they are allowed.
        skip_unknown: Leave columns out that are not allowed, whatever they are called, instead of refusing them.

    Raises:
        BadHeader: A name is empty or stands twice, a column is missing, or unknown and not to be left out, or all are.
        ConfigurationError: There is no such cleanser.
    """
    names = _cleansed_all(raw_names, cleanser)
    wanted = None if allowed is None else {*allowed, *required}
    if wanted is not None:
        _refuse_unknown(names, wanted, skip_unknown)
    kept = [name if wanted is None or name in wanted else None for name in names]
    _refuse_nameless(kept)
    missing = [name for name in required if name not in kept]
    if missing:
        raise BadHeader(f"the header lacks {_listed(missing)}; it has {_listed(names)}")
    return kept


def _cleansed_all(raw_names: Sequence[str], cleanser: Cleanser) -> list[str]:
    if cleanser == "none":
        return list(raw_names)
    if cleanser == "default":
        return list(map(cleansed, raw_names))
    if not callable(cleanser):
        raise ConfigurationError(f"the header cleanser is 'default', 'none' or a function; not {cleanser!r}")
    return list(map(cleanser, raw_names))


def _refuse_unknown(names: Sequence[str], wanted: set[str], skip_unknown: bool) -> None:
    unknown = [name for name in names if name not in wanted]
    if len(unknown) == len(names):
        raise BadHeader(f"none of the columns is known: {_listed(names)}; known are {_listed(sorted(wanted))}")
    if unknown and not skip_unknown:
        raise BadHeader(f"unknown columns: {_listed(unknown)}; allow them, or leave them out with skip_unknown=True")


def _refuse_nameless(names: Sequence[str | None]) -> None:
    if not names:
        raise BadHeader("the header is blank; the first line is to name the columns, or set columns=[...]")
    first: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if name is None:
            continue
        if not name:
            raise BadHeader(f"column {number} has no name; name it, or set columns=[...]")
        if name in first:
            raise BadHeader(f"columns {first[name]} and {number} are both called {name}; rename one of them")
        first[name] = number


def _is_of_a_word(character: str) -> bool:
    return character == "_" or character.isalnum() or unicodedata.category(character)[0] == "M"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name or "(no name)" for name in names)
