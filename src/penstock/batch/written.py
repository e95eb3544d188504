"""Records as a file of rejects has them: as text, or as JSON; and back, with the types that they had."""

import json
from base64 import urlsafe_b64decode
from typing import Any, NamedTuple

import msgspec

from penstock.errors import InputError

_IN_JSON = (dict, list, tuple, int, float)
"""What `penstock.batch.rendering` writes as JSON; other values but None it writes as text."""


class Written(NamedTuple):
    """A record that was read from a file."""

    value: Any

    def like(self, rejected: Any, which: str) -> Any:
        """Return it with the types of the record that was rejected.

        Raises:
            InputError: it cannot have them.
        """
        value = self.value
        try:
            if isinstance(rejected, str):
                return "" if value is None else _like(value, rejected)
            return _like(_read(value, rejected) if isinstance(value, str) else value, rejected)
        except (TypeError, ValueError) as error:  # Those of msgspec are ValueErrors.
            kind = type(rejected).__name__
            raise InputError(f"{which} was a {kind}, and its correction cannot be made one: {error}") from None


def _read(text: str, rejected: Any) -> Any:
    if rejected is not None:
        return json.loads(text) if isinstance(rejected, _IN_JSON) else text
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def _like(value: Any, example: Any) -> Any:
    """Return a value with the types of an example, as far as that goes: it may have got more parts, or fewer."""
    if isinstance(value, dict):
        known = example if isinstance(example, dict) else {}
        return {key: _like(part, known.get(key)) for key, part in value.items()}
    if isinstance(value, list):
        known_parts = list(example) if isinstance(example, list | tuple) else []
        parts = [_like(part, known_parts[n] if n < len(known_parts) else None) for n, part in enumerate(value)]
        return tuple(parts) if isinstance(example, tuple) else parts
    if value is None or example is None or isinstance(value, int | float) or isinstance(example, dict | list | tuple):
        return value
    if isinstance(example, bytes):
        return urlsafe_b64decode(str(value).replace("+", "-").replace("/", "_"))
    return msgspec.convert(value, type(example), strict=False)
