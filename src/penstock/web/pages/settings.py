"""Settings in force, those that are secret masked; classes that are imported; roles and what they may do."""

from starlette.responses import Response

from penstock.service.environment import show_settings
from penstock.service.forms import list_kinds
from penstock.service.people import ROLES
from penstock.web.routing import get
from penstock.web.visit import Visit


@get("/settings")
def settings_page(visit: Visit) -> Response:
    """Show the settings of this process."""
    kinds = [each for each in list_kinds(visit.store) if each["has_form"]]
    return visit.render("settings.html", settings=show_settings(), kinds=kinds, roles=ROLES.values())
