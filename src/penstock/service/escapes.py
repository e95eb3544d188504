r"""Records in a text area: control characters, and bytes that are no text, as `\xHH`; the backslash itself doubled.

What was escaped and is not touched comes back exactly. Tabs and line ends stand as they are.
"""

import json
import re
from typing import Any

from pydantic_core import to_jsonable_python

from penstock.batch.written import Written
from penstock.errors import InputError

_PLAIN = frozenset("\t\n\r")
_ESCAPE = re.compile(rb"\\\\|\\x([0-9a-fA-F]{2})")
NAMES = {0: "NUL", 7: "BEL", 8: "BS", 11: "VT", 12: "FF", 27: "ESC", 127: "DEL"}
"""What some control bytes are called, for those who hover over them."""


def escaped(record: Any) -> str:
    """Return a record as text that can be shown and edited."""
    if isinstance(record, bytes):
        return "".join(map(_escaped_char, record.decode("utf-8", "surrogateescape")))
    if isinstance(record, str):
        return "".join(map(_escaped_char, record))
    if record is None:
        return ""
    value = to_jsonable_python(record, bytes_mode="base64", inf_nan_mode="constants", fallback=str)
    return escaped(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def restored(text: str, like: Any, which: str) -> Any:
    """Return what an edited text stands for, with the type of the record that was there.

    Args:
        text: As a text area gives it: CRLF is LF.
        like: The record that was there.
        which: What messages call it.

    Raises:
        InputError: an escape is unfinished, or the result is no text, or not what the record was.
    """
    raw = _unescaped(text.replace("\r\n", "\n").encode("utf-8", "surrogatepass"), which)
    if isinstance(like, bytes):
        return raw
    try:
        plain = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{which}: byte \\x{raw[error.start]:02x} at {error.start} makes it no valid text") from None
    return Written(plain).like(like, which)


def _escaped_char(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if (char.isprintable() and not "\ud800" <= char <= "\udfff") or char in _PLAIN:
        return char
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    if ord(char) < 0xA0 or "\ud800" <= char <= "\udfff":
        return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
    return char  # Odd spaces and marks are text like any other.


def _unescaped(data: bytes, which: str) -> bytes:
    def replaced(found: "re.Match[bytes]") -> bytes:
        return b"\\" if found[1] is None else bytes([int(found[1], 16)])

    if b"\\" in _ESCAPE.sub(b"", data):
        raise InputError(f"{which}: write a backslash as \\\\, and a byte as \\x and two digits from 0 to f")
    return _ESCAPE.sub(replaced, data)
