"""`penstock jobs retry`, `pause`, `abort` and the other things done to jobs: to those named, or to all that match."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from penstock.cli.options import (
    app_option,
    ids_argument,
    import_app_in_force,
    json_option,
    kind_option,
    state_option,
    store_option,
    where_option,
)
from penstock.cli.output import emit, printable
from penstock.cli.whoami import me
from penstock.errors import InvalidMove
from penstock.ids import parse_id
from penstock.service.finding import Asked
from penstock.service.jobs import View
from penstock.service.listing import ListAsked
from penstock.service.moving import (
    ACTIONS,
    Acted,
    Action,
    act_on_all,
    act_on_jobs,
    act_on_list,
    count_applicable,
)
from penstock.store import current_store
from penstock.store.browsing import Listing

MOST_NAMED = 20
"""Refusals that are named one by one."""
_EXAMPLES = {
    "retry": "--all --kind ReportJob --where priority__lt=50",
    "pause": "01a1fbf7-6f14-7862-94d2-f0a999c73cbb",
    "resume": "--all --kind ReportJob",
    "abort": "01a1fbf7-6f14-7862-94d2-f0a999c73cbb 01a1fbf7-6f14-7862-94d2-f0a999c73cbc",
    "fail": "01a1fbf7-6f14-7862-94d2-f0a999c73cbb --message recalled",
    "destroy": "--all --state aborted --yes",
    "run-now": "01a1fbf7-6f14-7862-94d2-f0a999c73cbb",
}
_message_option = click.option("--message", default="", metavar="TEXT", help="Why, as the job's exception tells it.")


def _command_for(action: Action) -> click.Command:
    """Return the command that does something to jobs."""

    def run(**given: Any) -> None:
        _run(action, **given)

    run.__doc__ = (
        f"{action.meaning}\n\nHooks of their class run where it is imported with --app; else a server runs those "
        f"that follow. Exit code 3 when a job that is named refuses.\n\n"
        f"Example: penstock jobs {action.name} {_EXAMPLES[action.name]}"
    )
    options: list[Callable[[Any], Any]] = [
        ids_argument,
        click.option("--all", "everything", is_flag=True, help="All jobs that match, instead of those named."),
        state_option,
        kind_option,
        where_option,
        click.option("--search", metavar="TEXT", help="With --all: only jobs with this in the kind or description."),
        *([_message_option] if action.name == "fail" else []),
        click.option("--yes", "-y", is_flag=True, help="Do not ask, with --all."),
        app_option,
        json_option,
        store_option,
    ]
    for option in reversed(options):
        run = option(run)
    return click.command(action.name)(run)


def _run(
    action: Action,
    *,
    job_ids: tuple[str, ...],
    everything: bool,
    states: tuple[str, ...],
    kinds: tuple[str, ...],
    conditions: tuple[str, ...],
    yes: bool,
    app: tuple[str, ...],
    as_json: bool,
    search: str | None = None,
    message: str = "",
) -> None:
    _refuse_mixture(bool(job_ids), everything, bool(states or kinds or conditions or search))
    ids = [parse_id(text) for text in job_ids]
    import_app_in_force(app)
    store = current_store()
    if search:
        acted = _act_on_found(action, ListAsked(_one_list(states), kinds, conditions, search), message, yes=yes)
    elif everything:
        asked = Asked(states, kinds, conditions)
        if not yes and sys.stdin.isatty():
            _confirm(action, count_applicable(store, action.name, asked))
        acted = act_on_all(store, action.name, asked, by=me(), message=message)
    else:
        acted = act_on_jobs(store, action.name, ids, by=me(), message=message)
    emit(_view(action, acted), lambda _: _tell(action, acted), as_json=as_json)
    if acted.refused and not everything:
        raise click.exceptions.Exit(InvalidMove.exit_code)


def _one_list(states: tuple[str, ...]) -> str:
    if len(states) > 1:
        raise click.UsageError("--search goes with one --state")
    return states[0] if states else str(Listing.ALL)


def _act_on_found(action: Action, asked: ListAsked, message: str, *, yes: bool) -> Acted:
    """Do something to all jobs that are found, in batches."""
    if not yes and sys.stdin.isatty() and not click.confirm(f"{action.name} all jobs with {asked.search!r}?", err=True):
        click.echo("nothing was done", err=True)
        raise click.exceptions.Exit(1)
    whole = Acted()
    while True:
        acted = act_on_list(current_store(), action.name, asked, by=me(), message=message)
        whole.done += acted.done
        whole.refused += acted.refused
        if acted.next is None:
            return whole
        asked = replace(asked, after=acted.next)


def _refuse_mixture(named: bool, everything: bool, filtered: bool) -> None:
    """Refuse what is not plain: jobs are named, or found by filters with --all, and nothing is done by halves."""
    if named and (everything or filtered):
        raise click.UsageError("name jobs by their ids, or find them with filters and --all; not both")
    if filtered and not everything:
        raise click.UsageError("add --all to do this to all jobs that match")
    if not (named or everything):
        raise click.UsageError("name jobs by their ids, or use --all, with --state, --kind or --where")


def _confirm(action: Action, count: int) -> None:
    if not click.confirm(f"{action.name} {_jobs(count)}?", err=True):
        click.echo("nothing was done", err=True)
        raise click.exceptions.Exit(1)


def _tell(action: Action, acted: Acted) -> None:
    click.echo(f"{_jobs(acted.done)} {action.done}")
    for refusal in acted.refused[:MOST_NAMED]:
        click.echo(f"{refusal.job_id} refused: {printable(refusal.reason)}", err=True)
    if len(acted.refused) > MOST_NAMED:
        click.echo(f"… and {len(acted.refused) - MOST_NAMED:,} more refused; --json names them all", err=True)


def _view(action: Action, acted: Acted) -> View:
    refused = [{"id": str(refusal.job_id), "reason": refusal.reason} for refusal in acted.refused]
    return {"action": action.name, "done": acted.done, "refused": refused}


def _jobs(count: int) -> str:
    return f"{count:,} job{'' if count == 1 else 's'}"


MOVING = [_command_for(action) for action in ACTIONS.values()]
"""A command for each of `ACTIONS`."""
