"""`penstock server`: run workers until told to stop."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from penstock.cli.log_options import log_options, logged
from penstock.cli.options import app_in_force, app_option, store_option
from penstock.errors import ConfigurationError
from penstock.server.chosen import Chosen
from penstock.server.garbage import search_less
from penstock.server.options import ServerOptions
from penstock.server.server import Server
from penstock.server.subscribers import subscribers_called
from penstock.store import current_store

log = logging.getLogger("penstock.server")

AT_LEAST_ONE = click.IntRange(min=1)


@click.command()
@app_option
@click.option("--workers", type=AT_LEAST_ONE, default=10, show_default=True, help="Pieces of work at once.")
@click.option("--processes", type=AT_LEAST_ONE, help="Processes that share them.  [default: the cores]")
@click.option("--include", metavar="REGEX", help="Work only on kinds that match, anywhere in their name.")
@click.option("--exclude", metavar="REGEX", help="Leave kinds that match to other servers.")
@click.option("--where", "conditions", multiple=True, metavar="FIELD=VALUE", help="Work only on jobs that meet this.")
@click.option("--recycle-jobs", type=AT_LEAST_ONE, metavar="N", help="Replace a process after N pieces of work.")
@click.option("--recycle-mb", type=AT_LEAST_ONE, metavar="MB", help="Replace a process that has grown beyond MB.")
@click.option("--memory-limit", type=AT_LEAST_ONE, metavar="MB", help="Let a process have no more than MB at all.")
@click.option("--reload", is_flag=True, help="Start new workers whenever a source file changes: for development.")
@click.option("--metrics", type=click.IntRange(0, 65535), metavar="PORT", help="Serve figures for Prometheus.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="The address to serve them at.")
@click.option(
    "--subscriber",
    "subscribers",
    multiple=True,
    metavar="MODULE:FUNCTION",
    help="Call the function with every event of this server. May be repeated.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds to finish after SIGTERM.",
)
@log_options
@store_option
def server(
    app: tuple[str, ...],
    reload: bool,
    metrics: int | None,
    metrics_host: str,
    subscribers: tuple[str, ...],
    grace: float,
    log_level: str | None,
    log_format: str | None,
    log_file: str | None,
    syslog: str | None,
    **options: Any,
) -> None:
    """Work on the jobs in the store until SIGTERM or Ctrl-C.

    Example: penstock server --app my_jobs --workers 4
    """
    modules = app_in_force(app)
    if not modules:
        raise ConfigurationError("a server runs only classes it is told to import: name a module with --app")
    with (
        logged(log_level=log_level, log_format=log_format, log_file=log_file, syslog=syslog),
        ExitStack() as stack,
    ):
        running = Server(current_store(), _options(modules, **options))
        stack.enter_context(subscribers_called(subscribers))
        if metrics is not None:
            _serve_figures(stack, running, metrics, metrics_host)
        with _stopped(running) as stopping:
            running.start_workers()
            running.start()
            search_less()
            _work(running, stopping, modules if reload else None)
            running.stop(0 if running.failed or running.killed else grace)
        if running.failed:
            raise running.failed


def _options(
    modules: tuple[str, ...],
    *,
    workers: int,
    processes: int | None,
    include: str | None,
    exclude: str | None,
    conditions: tuple[str, ...],
    recycle_jobs: int | None,
    recycle_mb: int | None,
    memory_limit: int | None,
) -> ServerOptions:
    from penstock.service.conditions import parse_conditions

    return ServerOptions(
        app=modules,
        workers=workers,
        processes=processes,
        chosen=Chosen(include=include, exclude=exclude, where=parse_conditions(conditions)),
        recycle_jobs=recycle_jobs,
        recycle_mb=recycle_mb,
        memory_limit_mb=memory_limit,
    )


def _serve_figures(stack: ExitStack, running: Server, port: int, host: str) -> None:
    from penstock.server.figures import figures_served

    chosen = stack.enter_context(figures_served(current_store(), port, running.dispatcher.holding, host))
    log.info("figures: http://%s:%d/metrics", host, chosen)


@contextmanager
def _stopped(running: Server) -> Iterator[threading.Event]:
    """Give an event that a signal sets."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    yield stopping


def _work(running: Server, stopping: threading.Event, watched: tuple[str, ...] | None) -> None:
    """Wait until the server is to stop; with `watched` app modules, reload when a source file changes."""
    from penstock.server.reloading import SourceWatch

    watch = SourceWatch(watched, running.reload) if watched is not None else None
    while not (stopping.wait(0.2) or running.ended.is_set() or running.stop_asked.is_set()):
        if watch is not None:
            watch.look()
