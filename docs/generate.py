"""Writes the pages of the documentation that are made from the code: `python docs/generate.py`.

The tests run it and compare: a page that is not up to date fails them.
"""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from penstock.cli import COMMANDS, penstock
from penstock.hooks import HOOKS
from penstock.service.people import ROLES
from penstock.states import TRANSITIONS, Transition

HERE = Path(__file__).parent

sys.path.insert(0, str(HERE))

from catalogues import errors_page, events_page, lifecycles_page  # noqa: E402
from coverage_told import coverage_page  # noqa: E402
from faults_told import engines_page, faults_page  # noqa: E402
from figures import FIGURE_PICTURES, figures_page  # noqa: E402
from pictures import PICTURES  # noqa: E402
from scale_model import scale_page  # noqa: E402


def moves_page() -> str:
    """Return the page of the table of moves."""
    return "\n".join(
        [
            "# Moves",
            "",
            "Made by `python docs/generate.py` from `penstock/states.py`.",
            "",
            "A job is queued, running, paused, completed, failed or aborted; a running batch job is also in the",
            "sub-state before, processing or after. These are all the moves there are. Any other is refused with",
            "`InvalidMove`, which names those that apply.",
            "",
            *_table("Regular jobs", batch=False),
            *_table("Batch jobs", batch=True),
        ]
    )


def _table(title: str, *, batch: bool) -> Iterator[str]:
    yield from (f"## {title}", "", "| move | from | to | only when | sets |", "| --- | --- | --- | --- | --- |")
    for row in TRANSITIONS:
        if row.batch is batch:
            yield f"| {row.move} | {_source(row)} | {_target(row)} | {row.guard or ''} | {_effects(row)} |"
    yield ""


def _source(row: Transition) -> str:
    if row.sub_states is None:
        return str(row.source)
    return f"{row.source} ({' or '.join(sub or 'no sub-state' for sub in row.sub_states)})"


def _target(row: Transition) -> str:
    return f"{row.target} ({row.sub_state})" if row.sub_state else str(row.target)


def _effects(row: Transition) -> str:
    return ", ".join(f"{column}: {effect.value}" for column, effect in row.effects)


def commands_page() -> str:
    """Return the page of commands: what `--help` says."""
    lines = ["# Commands", "", "Made by `python docs/generate.py` from the commands themselves.", ""]
    for name in sorted(COMMANDS):
        command = penstock.get_command(click.Context(penstock), name)
        assert command is not None
        for path, found in _with_those_below(command, f"penstock {name}"):
            lines += _help(found, path)
    return "\n".join(lines)


def _with_those_below(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from _with_those_below(below, f"{path} {name}")


def _help(command: click.Command, path: str) -> list[str]:
    # The names as the parent sets them: click keeps whichever it is asked for first.
    context = click.Context(
        command,
        info_name=path,
        max_content_width=100,
        terminal_width=100,
        help_option_names=penstock.context_settings["help_option_names"],
    )
    return [f"## {path}", "", "```text", command.get_help(context).rstrip(), "```", ""]


def hooks_page() -> str:
    """Return the page of hooks."""
    rows = [f"| `{hook.name}` | {hook.meaning} |" for hook in HOOKS.values()]
    return "\n".join([*HOOKS_INTRODUCTION.strip().splitlines(), "", "| hook | when |", "| --- | --- |", *rows, ""])


HOOKS_INTRODUCTION = """
# Hooks

Made by `python docs/generate.py` from `penstock/hooks.py`.

A method runs at a moment when it carries its decorator, or has its name:

```python
import time

from penstock import Job, after_fail, around_perform, before_save


class ReportJob(Job):
    username: str

    @before_save
    def tidy(self) -> None:
        self.username = self.username.strip()

    @around_perform
    def measure(self):
        began = time.monotonic()
        yield  # what perform raises is raised here
        print(time.monotonic() - began)

    @after_fail
    def tell(self) -> None:
        print(self.exception.summary)
```

- Those of base classes and mixins run too: `before_…` in the order of declaration, base class first, `after_…` in
  reverse; of `around_…` the first is the outermost. A method of the same name in a subclass takes the place of the
  inherited one.
- One that raises fails the job. Where the job has ended for good already, the exception is noted on it, and it is kept.
- `before_…` and `after_…` of a move run where the move is made: in a worker for `start` and `complete`, in your program
  for `job.abort()`. `after_…` runs after the move is stored, at least once: when the process dies before it has run, a
  server runs it; so does one when somebody without the class made the move, as on the command line without `--app`. A
  failure that a server decides (a crashed worker, failed slices) has no `before_fail`.
- `perform_now()` runs all but those of saving.
- Of a batch job the hooks around `perform` run for each record, those of `start` and `before_batch` before the first
  slice, `after_batch` and `before_complete` after the last.
"""


def rocket_job_page() -> str:
    """Return the page of what users of Rocket Job find where."""
    return _beside_page("Rocket Job", "rocket_job.toml", ROCKET_JOB_INTRODUCTION)


def job_reactor_page() -> str:
    """Return the page of what users of JobReactor find where."""
    return _beside_page("JobReactor", "job_reactor.toml", JOB_REACTOR_INTRODUCTION)


def _beside_page(name: str, source: str, introduction: str) -> str:
    data = tomllib.loads((HERE / source).read_text("utf-8"))
    lines = introduction.strip().splitlines()
    for number, title in data["sections"].items():
        lines += ["", f"## {number} {title}", "", f"| {name} | Penstock | proved by |", "| --- | --- | --- |"]
        lines += [_row_beside(item) for item in data["item"] if item["section"] == number]
    return "\n".join([*lines, ""])


def _row_beside(item: dict[str, Any]) -> str:
    path, _, name = item.get("test", "").partition("::")
    proof = f"[`{name}`](../{path})" if path else ""
    what = f"{item['item']} *(later)*" if item.get("upstream") else item["item"]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (what, item["penstock"], proof)) + " |"


ROCKET_JOB_INTRODUCTION = """
# For users of Rocket Job

Made by `python docs/generate.py` from `docs/rocket_job.toml`.

What Rocket Job does with jobs, how it picks work, and its plug-ins; how each is said in Penstock, or what is different
and why; and the test that proves it. *(later)* is what later versions of Rocket Job added to the system that this one
takes after.
"""


def api_page() -> str:
    """Return the page of the API: what it takes, its operations, and what each role may do."""
    from penstock.web.api.table import OPERATIONS

    operations = (f"| {it.name} | {it.method} | `/api/v1{it.path}` | {it.about} |" for it in OPERATIONS)
    roles = (
        f"| {role.name} | {role.meaning} | {', '.join(role.actions)}{' (own jobs)' if role.own_only else ''} |"
        for role in ROLES.values()
    )
    return "\n".join(
        [
            *API_INTRODUCTION.strip().splitlines(),
            "",
            "| operation | method | path | what it does |",
            "| --- | --- | --- | --- |",
            *operations,
            "",
            "## Roles",
            "",
            "A role includes all below it. Everybody may look.",
            "",
            "| role | may | actions |",
            "| --- | --- | --- |",
            *roles,
            "",
        ]
    )


API_INTRODUCTION = """
# API

Made by `python docs/generate.py` from `penstock/web/api/table.py` and `penstock/service/people.py`.

JSON under `/api/v1`, from the same functions as the console and the command line. `penstock web` serves it;
`/api/v1/openapi.json` describes it.

<!-- not run: it wants a console that serves; tests/web/api asks one -->
```console
$ penstock web token add nightly-import --role admin
$ curl -H 'Authorization: Bearer pst_…' -H 'Idempotency-Key: 2026-01-31' \\
    --data-binary @orders.csv.gz "http://127.0.0.1:8788/api/v1/jobs/upload?kind=LoadOrders&file_name=orders.csv.gz"
```

- **Tokens** are shown once, and stored as hashes. Each acts as somebody, with roles; `penstock web token` makes,
  lists and removes them. Without one nothing is told but the description, `/healthz` and, on a console without
  authentication, `/metrics`.
- **Idempotency keys**: what makes something takes a header `Idempotency-Key`. The same request with the same key is
  done once and answered alike for a day; another request with it is refused with 409.
- **Files** are streamed. An upload goes into the store as it comes, and never to the disk of the console in
  clear; one larger than the setting `max_upload` leaves nothing. A download is what `penstock jobs download` writes.
- **Paths and URLs** in requests, in fields that a class names in `path_fields`, must lie in `allowed_roots`.
- **Errors** are `{"error": {"type", "message"}}` with the status of the error's class in `penstock.errors`.
- **`/healthz`** is 200 while work is done that is due, else 503 with the reason: not whether a process exists.
"""


JOB_REACTOR_INTRODUCTION = """
# For users of JobReactor

Made by `python docs/generate.py` from `docs/job_reactor.toml`.

What JobReactor does, how it is said in Penstock, or what is different and why; and the test that proves it.
[Functions, distributors and nodes](distributor.md) tells the whole.
"""


PAGES = {
    "engines.md": engines_page,
    "coverage.md": coverage_page,
    "faults.md": faults_page,
    "figures.md": figures_page,
    "scale.md": scale_page,
    "api.md": api_page,
    "moves.md": moves_page,
    "lifecycles.md": lifecycles_page,
    "events.md": events_page,
    "errors.md": errors_page,
    **PICTURES,
    **FIGURE_PICTURES,
    "commands.md": commands_page,
    "hooks.md": hooks_page,
    "rocket-job.md": rocket_job_page,
    "job-reactor.md": job_reactor_page,
}


def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), "utf-8")


if __name__ == "__main__":
    main()
