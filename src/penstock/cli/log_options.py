"""The options of the log, and the log of a command that has them."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

import click

from penstock import events
from penstock.cli.logs import tell
from penstock.config import configure, settings
from penstock.errors import PenstockError
from penstock.server.logs import ProcessLog, options_of

LEVELS = ["trace", "debug", "info", "warning", "error", "critical"]
OPTIONS = (
    click.option("--log-level", type=click.Choice(LEVELS), help="What is logged at least.  [default: info]"),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="How.  [default: text]"),
    click.option("--log-file", metavar="F", help="A file to append to, besides the console."),
    click.option("--syslog", metavar="ADDRESS", help="Syslog as well: /dev/log, or host:port."),
)

log = logging.getLogger("penstock.server")


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, named as the settings are; None where one is not given."""
    return reduce(lambda made, option: option(made), reversed(OPTIONS), command)


@contextmanager
def logged(**chosen: str | None) -> Iterator[None]:
    """Log as the options say, else the settings: events, what this process logs, and what its workers write."""
    given = {name: value for name, value in chosen.items() if value is not None}
    # In the settings, so that workers log alike.
    configure(**{"log_level": settings().log_level or "info", **given})
    with (
        ProcessLog(options_of(settings())) as written,
        events.subscribed(events.Event, tell),
        events.subscribed(events.WorkerOutput, lambda event: written.relay(event.worker, event.line)),
    ):
        try:
            yield
        except PenstockError as error:
            if settings().log_format != "json":
                raise
            # The line that the command line would show is no JSON.
            log.critical("%s", error)
            raise click.exceptions.Exit(error.exit_code) from None
