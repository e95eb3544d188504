"""What the tests of the console share.

- `visit`: a `Visitor` at a console over a store in a file, where everybody is admin; `visitor` makes others.
- `shop`: the classes of the jobs that the pages are tested with.
- `add_server(name, alive=, state=, slots=)`: a registered server.
"""

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from penstock import BatchJob, Cron, Job, field
from penstock.clock import now
from penstock.service.people import Person
from penstock.store import Store
from penstock.store.rows import ServerRow
from penstock.web.app import make_console
from penstock.web.authentication import AskHost

HOST = "http://localhost"


class Visitor:
    """A browser without scripts: it keeps cookies, and sends the token that the page before carried."""

    def __init__(self, client: TestClient, root: str = "") -> None:
        self.client = client
        self.root = root
        self.token = ""

    def get(self, path: str, **options: Any) -> Any:
        return self.seen(self.client.get(self.root + path, **options))

    def seen(self, answer: Any) -> Any:
        """Note the token of a page, and return it."""
        found = re.search(r'name="token" value="([0-9a-f]+)"', answer.text) if answer.text else None
        self.token = found[1] if found else self.token
        return answer

    def post(self, path: str, values: dict[str, Any] | None = None, **options: Any) -> Any:
        if not self.token:
            self.get("/settings")
        data = {"token": self.token, **(values or {})}
        return self.seen(self.client.post(self.root + path, data=data, **options))

    def send(self, path: str, fields: dict[str, str], name: str, data: bytes, **options: Any) -> Any:
        """Send a form with a file, its fields before it as browsers do."""
        if not self.token:
            self.get("/settings")
        parts: list[Any] = [(key, (None, value)) for key, value in {"token": self.token, **fields}.items()]
        return self.seen(self.client.post(self.root + path, files=[*parts, ("file", (name, data))], **options))


def text_of(answer: Any) -> str:
    """Return what a page says, without its marks."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", answer.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


@pytest.fixture
def visitor(configured_store: Store) -> Iterator[Callable[..., Visitor]]:
    """Return a function that makes visitors: `visitor(roles=("manager",), login="ada")`, or of a console of yours."""
    clients = []

    def make(*roles: str, login: str = "ada", root: str = "", **options: Any) -> Visitor:
        if roles:
            options["authentication"] = AskHost(lambda _: Person(login, roles, "here"))
        client = TestClient(make_console(**options), base_url=HOST, root_path=root)
        clients.append(client)
        return Visitor(client, root)

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def visit(visitor: Callable[..., Visitor]) -> Visitor:
    """A visitor who is admin."""
    return visitor("admin")


class Shop:
    """The classes; defined for each test anew, so that they go with it."""

    def __init__(self) -> None:
        class Lines(BatchJob):
            """Turns lines round."""

            slice_size = 5
            collect_output = True
            destroy_on_complete = False
            login: str | None = None
            width: int = field(3, user_editable=True, description="How wide.")
            loud: bool = field(False, user_editable=True)

            def perform(self, line: str) -> str:
                if "bad" in line:
                    raise ValueError(f"cannot take {line!r}")
                return line[::-1]

        class Mail(Job):
            """Sends a mail."""

            destroy_on_complete = False
            to: str = field("", user_editable=True)
            login: str | None = None

            def perform(self) -> None:
                if not self.to:
                    raise ValueError("to nobody")

        class Nightly(Cron, Job):
            """Every night."""

            cron_schedule = "15 4 * * * Europe/Berlin"

            def perform(self) -> None:
                pass

        self.Lines, self.Mail, self.Nightly = Lines, Mail, Nightly

    def failed_batch(self, lines: list[str] | None = None, **values: Any) -> Any:
        """Make a batch job of which the lines with `bad` in them have failed."""
        job = self.Lines(**values)
        job.upload(lines or [f"line {n}" if n not in (3, 12) else f"bad {n}" for n in range(1, 21)])
        job.save()
        perform_stored()
        return job.reload()


def perform_stored() -> None:
    """Have what is stored performed in this process."""
    from penstock.testing import drain

    drain(expect_failures=True)


@pytest.fixture
def shop(configured_store: Store) -> Shop:
    """The classes of the tests."""
    return Shop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that may be watched."""
    from penstock import config

    inbox = tmp_path / "inbox"
    inbox.mkdir()
    config.configure(allowed_roots=(str(tmp_path),))
    return inbox


@pytest.fixture
def add_server(configured_store: Store) -> Iterator[Callable[..., None]]:
    """Return a function that registers a server; it lives to the end of the test unless it is not `alive`."""
    presences = []

    def add(name: str, *, alive: bool = True, state: str = "running", slots: int = 1) -> None:
        configured_store.register_server(ServerRow(name, "here", 1, state, now(), 0, slots, slots, kinds="{}"))
        if alive:
            presences.append(configured_store.appear(name))

    yield add
    for presence in presences:
        presence.close()
