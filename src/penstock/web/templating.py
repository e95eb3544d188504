"""Templates: everything is escaped, nothing may be undefined, and values look the same on all pages."""

import json
import re
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from penstock import clock
from penstock.service.escapes import NAMES
from penstock.service.listing import count_text
from penstock.service.times import span_text
from penstock.store import without_password
from penstock.web import charts
from penstock.web.marks import NOTHING, action_button, icon, priority_input, state_badge
from penstock.web.navigation import SECTIONS, STATE_LIST, TONES

if TYPE_CHECKING:
    from penstock.web.visit import Visit


class Templates:
    """The templates of the package, with what all of them may use."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "number": number_text,
            "size": size_text,
            "span": span_text,
            "pretty": pretty_text,
            "codes": marked_codes,
            "count": count_text,
            "short_id": lambda text: str(text)[-12:],
        }
        self._environment.globals |= {
            "TONES": TONES,
            "charts": charts,
            "icon": icon,
            "action_button": action_button,
            "state_badge": state_badge,
            "priority_input": priority_input,
        }

    def page(self, visit: "Visit", name: str, context: dict[str, Any]) -> str:
        """Return a page."""
        common = {
            "visit": visit,
            "nonce": visit.request.scope["state"]["nonce"],
            "token": visit.console.sessions.token(visit.session),
            "sections": [each for each in SECTIONS if each.action is None or visit.may(each.action)],
            "state_list": STATE_LIST,
            "store_name": without_password(visit.store.url),
            "said": [] if "x-live" in visit.request.headers else visit.session.hear(),
            "moment": partial(moment_text, visit),
            "ago": partial(ago_text, visit),
            "url": visit.url,
            "is_later": is_later,
        }
        return self._environment.get_template(name).render({**common, **context})


def number_text(value: float | None) -> str:
    """Return a number with its thousands apart; a dash for None."""
    return "–" if value is None else f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def size_text(value: int | None) -> str:
    """Return a number of bytes in the unit that fits."""
    if value is None:
        return "–"
    size = float(value)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"


def pretty_text(value: Any) -> str:
    """Return plain data as text for people: text as it is, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=str)


def is_later(value: str | None) -> bool:
    """Tell whether a moment is to come; False for None."""
    moment = _moment(value)
    return moment is not None and moment > clock.now()


def moment_text(visit: "Visit", value: str | datetime | None) -> Markup:
    """Return a moment in the zone of the viewer; a dash for None."""
    moment = _moment(value)
    if moment is None:
        return NOTHING
    text = moment.astimezone(visit.zone).strftime("%Y-%m-%d %H:%M:%S")
    return Markup(f'<time datetime="{moment.isoformat()}" data-form="full">{text}</time>')  # noqa: S704 - of ours.


def ago_text(visit: "Visit", value: str | datetime | None) -> Markup:
    """Return how long a moment is ago, or until it; the moment itself on hovering."""
    moment = _moment(value)
    if moment is None:
        return NOTHING
    seconds = (clock.now() - moment).total_seconds()
    text = f"{span_text(seconds)} ago" if seconds >= 0 else f"in {span_text(-seconds)}"
    told = moment.astimezone(visit.zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    return Markup(  # noqa: S704 - numbers, words of ours, and the name of a zone that there is.
        f'<time datetime="{moment.isoformat()}" data-form="ago" title="{told}">{text}</time>'
    )


_CODE = re.compile(r"\\\\|\\x([0-9a-fA-F]{2})")


def marked_codes(text: str) -> Markup:
    """Return an escaped record with its codes marked, each with what the character is called on hovering."""
    parts, behind = [], 0
    for found in _CODE.finditer(text):
        parts.append(escape(text[behind : found.start()]))
        behind = found.end()
        code = int(found[1], 16) if found[1] else ord("\\")
        name = "a backslash" if found[1] is None else NAMES.get(code, f"byte {code}")
        parts.append(Markup('<span class="control" title="{}">{}</span>').format(name, found[0]))
    return Markup("").join([*parts, escape(text[behind:])])


def _moment(value: str | datetime | None) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
