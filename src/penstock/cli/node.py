"""`penstock node`: work for the distributors of applications until told to stop."""

import logging
import signal
import threading

import click

from penstock.cli.log_options import log_options, logged
from penstock.cli.options import app_in_force, app_option
from penstock.errors import ConfigurationError
from penstock.server.options import ServerOptions

log = logging.getLogger("penstock.node")

AT_LEAST_ONE = click.IntRange(min=1)


@click.command()
@click.option("--name", metavar="NAME", help="The name by which jobs may ask for it.  [default: host and process id]")
@click.option(
    "--connect",
    "addresses",
    multiple=True,
    required=True,
    metavar="HOST:PORT",
    help="A distributor to work for. May be repeated.",
)
@app_option
@click.option("--secret", help="What the distributors hold too.  [default: PENSTOCK_SECRET of the environment]")
@click.option("--workers", type=AT_LEAST_ONE, default=10, show_default=True, help="Pieces of work at once.")
@click.option("--processes", type=AT_LEAST_ONE, help="Processes that share them.  [default: the cores]")
@click.option(
    "--concurrency",
    type=click.IntRange(min=0),
    default=10_000,
    show_default=True,
    help="Async jobs at once, besides; 0: they are among the workers' pieces.",
)
@click.option(
    "--heavy",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Processes besides, each for one heavy job at a time; 0: these are among the workers' pieces.",
)
@click.option("--ca", metavar="FILE", help="TLS: the certificate that those of the distributors are signed with.")
@click.option("--cert", metavar="FILE", help="TLS: the certificate of this node, where they ask for one.")
@click.option("--key", metavar="FILE", help="TLS: its private key.")
@click.option("--insecure", is_flag=True, help="Go without TLS beyond this machine.")
@click.option("--recycle-jobs", type=AT_LEAST_ONE, metavar="N", help="Replace a process after N pieces of work.")
@click.option("--recycle-mb", type=AT_LEAST_ONE, metavar="MB", help="Replace a process that has grown beyond MB.")
@click.option("--memory-limit", type=AT_LEAST_ONE, metavar="MB", help="Let a process have no more than MB at all.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds to finish after SIGTERM.",
)
@log_options
def node(
    name: str | None,
    addresses: tuple[str, ...],
    app: tuple[str, ...],
    secret: str | None,
    workers: int,
    processes: int | None,
    concurrency: int,
    heavy: int,
    ca: str | None,
    cert: str | None,
    key: str | None,
    insecure: bool,
    recycle_jobs: int | None,
    recycle_mb: int | None,
    memory_limit: int | None,
    grace: float,
    log_level: str | None,
    log_format: str | None,
    log_file: str | None,
    syslog: str | None,
) -> None:
    """Run the jobs of applications that have a distributor, until SIGTERM or Ctrl-C.

    Example: penstock node --name worker_1 --connect 127.0.0.1:5000 --app reactor_jobs
    """
    from penstock.distributor.running import running_node

    modules = app_in_force(app)
    if not modules:
        raise ConfigurationError("a node runs only functions it is told to import: name a module with --app")
    options = ServerOptions(
        app=modules,
        workers=workers,
        processes=processes,
        concurrency=concurrency,
        heavy=heavy,
        recycle_jobs=recycle_jobs,
        recycle_mb=recycle_mb,
        memory_limit_mb=memory_limit,
    )
    distributors = [text for given in addresses for text in given.replace(",", " ").split()]
    with logged(log_level=log_level, log_format=log_format, log_file=log_file, syslog=syslog):
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        with running_node(
            distributors,
            options,
            name=name,
            secret=secret,
            ca=ca,
            cert=cert,
            key=key,
            insecure=insecure,
            grace=grace,
        ) as running:
            log.info("node %s started: %d slots in %d processes", running.name, workers, options.process_count)
            while not (stopping.wait(0.2) or running.ended.is_set()):
                pass
        if running.count():
            log.warning("%d pieces of work were not finished in time", running.count())
        log.info("node %s stopped", running.name)
        if running.failed is not None:
            raise running.failed
