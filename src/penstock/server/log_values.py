"""Any value as JSON, or as readable text: whatever it is, and whatever it does when it is asked what it is."""

import codecs
import json
import re
from math import isfinite
from typing import Any

DEEPEST = 6
"""Levels of lists and dicts in a value that are told as such, and not as text."""

_PLAIN_WORD = re.compile(r"[^\s\"'=\\]+")
_CONTROLS = {n: f"\\x{n:02x}" for n in (*range(32), *range(0x7F, 0xA0)) if chr(n) not in "\t\n"}
# Not line ends of JSON lines, but of readers that split them as text.
_ODD_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def _as_escape(error: UnicodeError) -> tuple[str, int]:
    """Encode what UTF-8 cannot say, lone surrogates, as an escaped escape: text in JSON, and no surrogate again."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(f"\\\\u{ord(char):04x}" for char in error.object[error.start : error.end]), error.end


codecs.register_error("penstock.log", _as_escape)


def plain(value: Any, above: tuple[int, ...] = ()) -> Any:
    """Return a value as what JSON knows: lists and dicts of texts, numbers, true, false and null; all else is text."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 64 else text_of(value)
    if isinstance(value, float):
        return value if isfinite(value) else text_of(value)
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict | list | tuple | set | frozenset) and id(value) not in above and len(above) < DEEPEST:
        return _plain_inside(value, (*above, id(value)))
    return text_of(value)


def _plain_inside(value: Any, above: tuple[int, ...]) -> Any:
    try:
        if isinstance(value, dict):
            return {text_of(key): plain(inner, above) for key, inner in list(value.items())}
        return [plain(inner, above) for inner in list(value)]
    except Exception:
        return text_of(value)


def text_of(value: Any) -> str:
    """Return anything as text."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def json_line(document: Any) -> str:
    """Return a plain value as a line of JSON that is UTF-8 and has no line end in it, whoever reads it."""
    line = json.dumps(document, ensure_ascii=False, separators=(", ", ": "))
    if line.isascii():
        return line
    return line.encode("utf-8", "penstock.log").decode().translate(_ODD_LINE_ENDS)


def readable(text: str) -> str:
    """Return text that moves no cursor and is UTF-8: control characters but tab and line end become escapes."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").translate(_CONTROLS)
    return text.encode("utf-8", "backslashreplace").decode()


def word(value: Any) -> str:
    """Return a value as one word; a text that is not one, in quotes."""
    value = plain(value)
    if not isinstance(value, str):
        return json_line(value)
    if value.isprintable() and _PLAIN_WORD.fullmatch(value):
        return value
    return readable(json.dumps(value, ensure_ascii=False))
