"""Why a goal is not reached: what `python -m benchmarks profile` measured, and what `figures.toml` says of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Told = Mapping[str, Mapping[str, Any]]
"""What was measured of a goal: by store, the results of the profile."""


def reasons(title: str, texts: Mapping[str, str], goal: str, profiles: Told, unmet: Sequence[str]) -> Iterator[str]:
    """Yield the lines about a goal that is not reached on these stores."""
    yield from (f"### {title}", "")
    for store in unmet:
        yield from (f"**{store}.** {_sentences(texts[store], profiles[store], goal)}", "")
    yield from (f"| measured | {' | '.join(profiles)} |", f"| --- |{' --- |' * len(profiles)}")
    yield from _rows(goal, profiles)
    yield ""
    for store in profiles:
        if layers := profiles[store].get("facts", {}).get("layers", {}).get(goal):
            yield from (f"CPU by library, {store}: {_shares(layers)}.", "")


def _sentences(text: str, profile: Row, goal: str) -> str:
    values = {row["key"]: row["value"] for row in _table(profile, goal)}
    try:
        return " ".join(text.format_map(values).split()).replace("%", " %")
    except KeyError as error:
        return f"Not told: the profile has no {error}. `python -m benchmarks profile` makes it."


def _rows(goal: str, profiles: Told) -> Iterator[str]:
    found = {store: {row["key"]: row for row in _table(profile, goal)} for store, profile in profiles.items()}
    titles = {key: row[""] for rows in found.values() for key, row in rows.items()}
    for key, what in titles.items():
        yield f"| {what} | {' | '.join(_shown(rows.get(key)) for rows in found.values())} |"


def _table(profile: Row, goal: str) -> Sequence[Row]:
    tables: Mapping[str, Sequence[Row]] = profile.get("tables", {})
    return tables.get(goal, [])


def _shown(row: Row | None) -> str:
    if row is None:
        return ""
    value, places = row["value"], next(places for most, places in PLACES if row["value"] < most)
    return f"{value:,.{places}f} {row['unit']}".rstrip()


def _shares(layers: Mapping[str, float]) -> str:
    return ", ".join(f"{where.replace(': ', ' ')} {part:.0%}".replace("%", " %") for where, part in layers.items())


PLACES = ((10, 2), (100, 1), (float("inf"), 0))
"""Up to which figure how many decimal places are told."""
