"""The command line: `penstock run | server | node | jobs | schedules | dirmon | audit | keys | store | web`, …"""

import importlib
import os
import sys
from typing import Any

import click

from penstock.errors import PenstockError

COMMANDS = {
    "audit": "penstock.cli.audit:audit",
    "bench": "penstock.cli.bench:bench",
    "dirmon": "penstock.cli.dirmon:dirmon",
    "jobs": "penstock.cli.jobs:jobs",
    "keys": "penstock.cli.keys:keys",
    "node": "penstock.cli.node:node",
    "run": "penstock.cli.run:run",
    "schedules": "penstock.cli.schedules:schedules",
    "server": "penstock.cli.server:server",
    "servers": "penstock.cli.servers:servers",
    "settings": "penstock.cli.status:settings_command",
    "status": "penstock.cli.status:status_command",
    "store": "penstock.cli.store:store",
    "web": "penstock.cli.web:web",
}
"""Where each command lives; only the one that is called is imported."""


class ReaderGone(Exception):
    """The reader of our output has gone, as `head` does. Of a bare BrokenPipeError click makes exit code 1 itself."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that is named."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="penstock")
def penstock() -> None:
    """Background jobs and large-file batch processing: big files in, results out in order."""


def main() -> None:
    """Run the command line; errors of ours become one line and their exit code."""
    try:
        code: Any = penstock.main(standalone_mode=False)
    except PenstockError as error:
        code = fail(str(error), error.exit_code)
    except click.exceptions.Abort:
        code = fail("stopped", 130)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except ReaderGone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # What is still buffered has nowhere to go.
        code = 141
    _leave(code if isinstance(code, int) else 0)


def fail(message: str, code: int) -> int:
    """Show an error in one line and return its exit code."""
    click.echo(f"penstock: {message}", err=True)
    return code


def _leave(code: int) -> None:
    from penstock.store import close_stores

    close_stores()
    sys.exit(code)
