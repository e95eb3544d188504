"""Input files, made once and kept in the data folder."""

import random
from pathlib import Path

LINE_BYTES = 65
"""Bytes of a line on average, its end included."""
LETTERS = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,;"
AT_ONCE = 10_000


def lines_file(data: Path, lines: int, *, mixed: bool = False) -> Path:
    """Return a file of so many lines of 44 to 84 characters; `mixed` has some beyond ASCII in every tenth line."""
    path = data / f"lines-{lines}{'-mixed' if mixed else ''}.txt"
    if path.exists():
        return path
    number = random.Random(lines).random  # noqa: S311
    stock = "".join(LETTERS[int(number() * len(LETTERS))] for _ in range(100_000))
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", encoding="utf-8", newline="\n") as file:
        for first in range(0, lines, AT_ONCE):
            run = []
            for serial in range(first, min(lines, first + AT_ONCE)):
                start = int(number() * 99_000)
                name = "Ærøskøbing 東京" if mixed and serial % 10 == 0 else ""
                run.append(f"{serial:09} {name}{stock[start : start + 34 + int(number() * 41)]}\n")
            file.write("".join(run))
    unfinished.rename(path)
    return path
