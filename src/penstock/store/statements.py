"""Named SQL: each statement of an engine's `.sql` files under the name its `-- name:` line gives it."""

import re
from importlib.resources import files

_HEADER = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load_statements(engine: str, **parts: str) -> dict[str, str]:
    """Return the statements of `store/sql/<engine>/*.sql`, with `{part}` replaced by each of `parts`.

    A file holds those of the module of that name: `claims.sql` those of `claims.py`.

    Raises:
        ValueError: a name stands twice.
    """
    statements: dict[str, str] = {}
    for entry in (files("penstock.store") / "sql" / engine).iterdir():
        _, *pieces = _HEADER.split(entry.read_text("utf-8"))
        for name, body in zip(pieces[::2], pieces[1::2], strict=True):
            if name in statements:
                raise ValueError(f"{entry.name}: a second statement is named {name}")
            statements[name] = _filled(body.strip(), parts)
    return statements


def _filled(text: str, parts: dict[str, str]) -> str:
    for name, part in parts.items():
        text = text.replace("{" + name + "}", part)
    return text


def load_migrations(folder: str) -> list[tuple[int, str, str]]:
    """Return (version, name, SQL) of each migration in `store/sql/<folder>`, in order."""
    found = []
    for entry in (files("penstock.store") / "sql" / folder).iterdir():
        version, _, name = entry.name.removesuffix(".sql").partition("_")
        found.append((int(version), name, entry.read_text("utf-8")))
    return sorted(found)
