"""The settings in force, as people may see them."""

import re
from dataclasses import fields
from typing import Any

from penstock.config import Settings, settings
from penstock.service.jobs import View
from penstock.store import without_password

MASKED = "(set)"
_SECRET = re.compile(r"secret|token|password|keyring|key$", re.IGNORECASE)


def show_settings() -> list[View]:
    """Return every setting with its value and default; what is secret is masked."""
    present, usual = settings(), Settings()
    return [
        {
            "name": field.name,
            "value": _told(field.name, getattr(present, field.name)),
            "default": _told(field.name, getattr(usual, field.name)),
        }
        for field in fields(Settings)
    ]


def _told(name: str, value: Any) -> Any:
    if value is None or value == ():
        return None
    if _SECRET.search(name):
        return MASKED
    if isinstance(value, str):
        return without_password(value)
    if isinstance(value, tuple):
        return [
            without_password(it) if isinstance(it, str) else getattr(it, "__qualname__", "(function)") for it in value
        ]
    return value if isinstance(value, bool | int | float) else MASKED
