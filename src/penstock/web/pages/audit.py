"""The audit: what people did, the newest first."""

from starlette.responses import Response

from penstock.service.auditing import LINES, list_audit
from penstock.service.people import ACTION_NAMES
from penstock.web.routing import get
from penstock.web.visit import Visit


@get("/audit")
def audit(visit: Visit) -> Response:
    """Show the lines of the audit, narrowed to one person, action or target."""
    asked = {name: visit.query.get(name, "").strip() for name in ("who", "action", "target")}
    before = visit.query.get("before", "")
    lines = list_audit(
        visit.store,
        target=asked["target"] or None,
        who=asked["who"] or None,
        action=asked["action"] or None,
        before=int(before) if before.isdecimal() and len(before) < 19 else None,
        limit=LINES,
    )
    actions = sorted(ACTION_NAMES - {"read"})
    return visit.render("audit.html", lines=lines, asked=asked, actions=actions, more=len(lines) == LINES)
