"""One request as a page sees it: who asks, of which store, with which form; and how it is answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from penstock.config import settings
from penstock.errors import PenstockError
from penstock.service.listing import counts_of_jobs
from penstock.service.people import Person, may
from penstock.store.protocol import Store

if TYPE_CHECKING:
    from penstock.web.app import Console
    from penstock.web.sessions import Session

ZONE_COOKIE = "penstock_zone"
THEME_COOKIE = "penstock_theme"
THEMES = ("light", "dark")


@dataclass
class Visit:
    """See the module."""

    request: Request
    console: "Console"
    person: Person
    session: "Session"
    form: FormData = field(default_factory=FormData)
    told: int = field(init=False)
    """What of `Live.told` the page has seen at least: it is noted before the store is read."""

    def __post_init__(self) -> None:
        self.told = self.console.live.told

    @property
    def store(self) -> Store:
        """The store that is shown."""
        return self.console.store

    @property
    def root(self) -> str:
        """The path under which the console is mounted; empty at the top."""
        return str(self.request.scope.get("root_path", "")).rstrip("/")

    @property
    def path(self) -> str:
        """The path that is asked for, below the root."""
        return self.request.url.path.removeprefix(self.root) or "/"

    @property
    def query(self) -> Mapping[str, str]:
        """What stands behind the question mark."""
        return self.request.query_params

    @cached_property
    def zone(self) -> tzinfo:
        """The zone of the viewer, which the browser tells; until then that of the settings."""
        try:
            return ZoneInfo(self.request.cookies.get(ZONE_COOKIE, "").replace("%2F", "/"))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return ZoneInfo(settings().timezone)

    @property
    def theme(self) -> str:
        """`light` or `dark` where the viewer chose one, else empty: as the system is."""
        chosen = self.request.cookies.get(THEME_COOKIE, "")
        return chosen if chosen in THEMES else ""

    @property
    def came_from(self) -> str:
        """The path of ours, below the root, and query of the page that led here; the first page where it was none."""
        came = urlsplit(self.request.headers.get("referer", ""))
        ours = came.netloc == self.request.headers.get("host") and came.path.startswith(f"{self.root}/")
        query = f"?{came.query}" if came.query else ""
        return f"{came.path.removeprefix(self.root)}{query}" if ours else "/"

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """The number of jobs in each list, as `counts_of_jobs` tells them; empty where the store cannot say."""
        try:
            return counts_of_jobs(self.store)
        except PenstockError:
            return {}

    def url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """Return the URL of a path of the console, with what is not empty of `query`."""
        if not query:
            return f"{self.root}{path}"
        wanted = {name: value for name, value in query.items() if value not in (None, "", [], ())}
        return f"{self.root}{path}{'?' if wanted else ''}{urlencode(wanted, doseq=True)}"

    def may(self, action: str, job: Any = None) -> bool:
        """Tell whether the person may do something; to a job, a row or a view of one, where that decides."""
        return may(self.person, action, job)

    def text(self, name: str, default: str = "") -> str:
        """Return a text field of the form."""
        value = self.form.get(name, default)
        return value if isinstance(value, str) else default

    def texts(self, name: str) -> list[str]:
        """Return all values of a field of the form."""
        return [value for value in self.form.getlist(name) if isinstance(value, str)]

    # Answers -------------------------------------------------------------------------------------

    def render(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """Return a page."""
        return HTMLResponse(self.console.templates.page(self, template, context), status)

    def redirect(
        self, path: str, said: str = "", tone: str = "good", query: Mapping[str, Any] | None = None
    ) -> Response:
        """Send the browser to another page, which shows what is `said`."""
        if said:
            self.session.say(said, tone)
        return RedirectResponse(self.url(path, query), 303)
