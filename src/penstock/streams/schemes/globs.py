"""Patterns of file names."""

import re
from typing import NamedTuple
from urllib.parse import unquote

_SET = r"\[!?\]?[^\]/]*\]"
_PIECE = re.compile(rf"\*\*/|\*\*|\*|\?|{_SET}|\{{[^{{}}/]*\}}|[^*?\[{{]+|\[|\{{")
_WILD = re.compile(rf"\*|\?|{_SET}|\{{[^{{}}/]*\}}")


class Glob(NamedTuple):
    """A pattern that was understood."""

    folder: str
    """The folder that all it fits are in, with its `/`, or empty."""
    depth: int | None
    """Folders below that one that are to be looked into; `None`: all."""
    expression: re.Pattern[str]
    hidden: bool

    def fits(self, path: str) -> bool:
        """Whether a whole path fits."""
        rest = path.removeprefix(self.folder)
        shown = self.hidden or not any(part.startswith(".") for part in rest.split("/"))
        return shown and self.expression.fullmatch(rest) is not None


def glob_of(pattern: str, *, case_sensitive: bool, hidden: bool) -> Glob:
    """Read a pattern; see `FileSystem.children`."""
    wild = _WILD.search(pattern)
    folder = pattern[: pattern.rfind("/", 0, wild.start() if wild else len(pattern)) + 1]
    rest = pattern[len(folder) :]
    text = "".join(_part(piece) for piece in _PIECE.findall(rest))
    flags = re.DOTALL if case_sensitive or not wild else re.DOTALL | re.IGNORECASE
    # Who names a file in full means it, even where its name begins with a dot.
    return Glob(folder, None if "**" in rest else rest.count("/"), re.compile(text, flags), hidden or not wild)


def folder_of_pattern(pattern: str) -> str:
    """The folder, with its `/`, that everything a path or URL with wildcards fits is in."""
    wild = _WILD.search(pattern)
    return pattern[: pattern.rfind("/", 0, wild.start() if wild else len(pattern)) + 1]


def path_of_pattern(pattern: str) -> str:
    """The path in a pattern that is a URL, decoded; a `?` in it stands for a character and begins no query."""
    return unquote(pattern.partition("://")[2].partition("/")[2])


_PLAIN = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _part(piece: str) -> str:
    if piece in _PLAIN:
        return _PLAIN[piece]
    if not _WILD.fullmatch(piece):
        return re.escape(piece)
    if piece.startswith("["):
        return _set(piece[1:-1])
    words = (map(_part, _PIECE.findall(word)) for word in piece[1:-1].split(","))
    return f"(?:{'|'.join(''.join(parts) for parts in words)})"


def _set(inside: str) -> str:
    """The characters of a set, of which `a-z` are many; no set holds a `/`."""
    outside = inside.startswith("!")
    listed = re.sub(r"([\\\[\]^&~|])", r"\\\1", inside.removeprefix("!"))
    try:
        re.compile(f"[{listed}]")
    except re.error:  # its range runs backwards: then they are just characters
        listed = re.escape(inside.removeprefix("!"))
    return f"[^/{listed}]" if outside else f"(?!/)[{listed}]"
