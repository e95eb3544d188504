"""Small marks that stand on every page and in each row: made here, as a macro of a template costs ten times as much."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

from penstock.web.navigation import TONES

NOTHING = Markup('<span class="muted">–</span>')
"""Stands where there is no moment."""
KEPT = 1_000
"""Marks that are kept, of each sort."""


@lru_cache(KEPT, typed=True)  # Markup equals its text, and only one of them is escaped.
def icon(name: str, cls: str = "") -> Markup:
    """Return an icon of `icons.html`, with a class of its own."""
    return Markup(  # noqa: S704 - it is escaped.
        f'<svg class="icon {escape(cls)}" aria-hidden="true" focusable="false"><use href="#i-{escape(name)}"/></svg>'
    )


@lru_cache(KEPT, typed=True)  # Markup equals its text, and only one of them is escaped.
def state_badge(state: str, label: str | None = None) -> Markup:
    """Return a state as its colour, its icon and its word, or another word."""
    tone = TONES.get(state, "queued")
    return Markup(  # noqa: S704 - it is escaped.
        f'<span class="badge tone-{tone}">{icon(tone)}{escape(label or state)}</span>'
    )


def priority_input(job: Mapping[str, Any], about: str, *, slider: bool = False) -> Markup:
    """Return the field for the priority of a job, which belongs to the form `priorities`; `about` is read out."""
    number, told = escape(job["id"]), escape(about)
    value = int(job["priority"])
    slides = (
        f'<input type="range" min="1" max="100" value="{value}" id="slider-{number}" aria-label="{told}, by a slider"'
        f' data-slides="priority-{number}" hidden>'
    )
    return Markup(  # noqa: S704 - it is escaped.
        f'<span class="priority"{" data-slider" if slider else ""}>{slides if slider else ""}'
        f'<input type="number" min="1" max="100" required form="priorities" id="priority-{number}"'
        f' name="priority.{number}" value="{value}" aria-label="{told}" title="1 is done first, 100 last"'
        f' data-priority="{number}"><input type="hidden" form="priorities" name="was.{number}" value="{value}">'
        '<noscript><button class="small" form="priorities">Set</button></noscript></span>'
    )


def action_button(path: str, name: str, verb: str, about: str) -> Markup:
    """Return the button of an action in the row of a job, whose page is at a path; `about` is read out."""
    told = escape(verb)
    return Markup(  # noqa: S704 - it is escaped.
        f'<button class="quiet small" formaction="{escape(path)}/{escape(name)}" title="{told}">{icon(name)}'
        f'<span class="visually-hidden">{told} {escape(about)}</span></button>'
    )
