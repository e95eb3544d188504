"""`penstock server`: run workers until told to stop."""

import signal
import threading

import click

from penstock import events
from penstock.cli.logs import log_to_console, tell
from penstock.cli.options import app_in_force, app_option, store_option
from penstock.errors import ConfigurationError
from penstock.server.server import Server, ServerOptions
from penstock.store import current_store


@click.command()
@app_option
@click.option("--workers", type=click.IntRange(min=1), default=10, show_default=True, help="Pieces of work at once.")
@click.option("--processes", type=click.IntRange(min=1), help="Processes that share them.  [default: the cores]")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds to finish after SIGTERM.",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@store_option
def server(app: tuple[str, ...], workers: int, processes: int | None, grace: float, log_level: str) -> None:
    """Work on the jobs in the store until SIGTERM or Ctrl-C.

    Example: penstock server --app my_jobs --workers 4
    """
    modules = app_in_force(app)
    if not modules:
        raise ConfigurationError("a server runs only classes it is told to import: name a module with --app")
    log_to_console(log_level)
    with events.subscribed(events.Event, tell):
        running = Server(current_store(), ServerOptions(app=modules, workers=workers, processes=processes))
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        running.start_workers()
        running.start()
        while not (stopping.wait(0.2) or running.ended.is_set()):
            pass
        running.stop(0 if running.failed else grace)
    if running.failed:
        raise running.failed
