"""Fields of jobs in forms: how their values stand in one, and what was typed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.service.jobs import View

FIELD_PREFIX = "f."
"""Before the names of fields of a job in a form."""
SHOWN_PREFIX = "shown."
"""Before the names of boxes that a form had: one that is not ticked sends nothing."""


def text_of_value(value: Any) -> str:
    """Return a value as the text that a form holds; empty for None."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def texts_given(form: Mapping[str, Any], fields: Sequence[View]) -> dict[str, str]:
    """Return those of these fields that a form had, as text."""
    texts = {}
    for each in fields:
        name = each["name"]
        if each.get("type") == "boolean" and SHOWN_PREFIX + name in form:
            texts[name] = "true" if form.get(FIELD_PREFIX + name) else "false"
        elif isinstance(form.get(FIELD_PREFIX + name), str):
            texts[name] = str(form[FIELD_PREFIX + name])
    return texts
