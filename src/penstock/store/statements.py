"""Named SQL: each statement of a `.sql` file under the name its `-- name:` line gives it."""

import re
from importlib.resources import files

_HEADER = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load_statements(file: str, **parts: str) -> dict[str, str]:
    """Return the statements of `store/sql/<file>`, with `{part}` replaced by each of `parts`.

    Raises:
        ValueError: a name stands twice in the file.
    """
    text = (files("penstock.store") / "sql" / file).read_text("utf-8")
    for name, part in parts.items():
        text = text.replace("{" + name + "}", part)
    _, *pieces = _HEADER.split(text)
    statements: dict[str, str] = {}
    for name, body in zip(pieces[::2], pieces[1::2], strict=True):
        if name in statements:
            raise ValueError(f"{file}: two statements are named {name}")
        statements[name] = body.strip()
    return statements


def load_migrations(folder: str) -> list[tuple[int, str, str]]:
    """Return (version, name, SQL) of each migration in `store/sql/<folder>`, in order."""
    found = []
    for entry in (files("penstock.store") / "sql" / folder).iterdir():
        version, _, name = entry.name.removesuffix(".sql").partition("_")
        found.append((int(version), name, entry.read_text("utf-8")))
    return sorted(found)
