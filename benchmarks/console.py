"""What the console's pages read and how long they take with very many jobs and slices, beside an empty store.

Whole pages over HTTP (`console_pages`), and the functions of the service behind them in one process. Rows are those
that the engine touched: in SQLite the steps of its virtual machine, in PostgreSQL the rows that its statistics count.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from uuid import UUID

from benchmarks.console_pages import line_of, whole_pages
from benchmarks.console_stores import OPENED, fill
from penstock.bench.ground import Ground
from penstock.bench.report import Report
from penstock.service.auditing import list_audit
from penstock.service.forms import list_kinds
from penstock.service.health import figures_text, progress_made
from penstock.service.job_view import failures_of_job, log_of_job, strip_of_slices, view_job
from penstock.service.listing import ListAsked, counts_of_jobs, page_of_jobs
from penstock.service.overview import show_overview
from penstock.service.people import Person
from penstock.service.schedules import list_schedules
from penstock.service.servers import list_servers
from penstock.service.working import work_under_way
from penstock.store.protocol import Store

SETTINGS = {"page_jobs": (1_000_000, 5_000), "page_slices": (100_000, 1_000), "page_rounds": (41, 3)}
ADA = Person("ada", ["admin"])


def run(ground: Ground, *, page_jobs: int, page_slices: int, page_rounds: int) -> Report:
    tables: dict[str, list[dict[str, str]]] = {}
    for engine, opened in OPENED.items():
        with ExitStack() as stack:
            stores = [stack.enter_context(opened(ground.folder, name)) for name in ("empty", "filled")]
            jobs = [fill(stores[0], 0, 3), fill(stores[1], page_jobs, page_slices)]
            size = f"{engine}: {page_jobs:,} jobs, {page_slices:,} slices"
            tables[f"{size}, whole pages"] = whole_pages(stores, jobs, page_rounds)
            tables[f"{size}, functions of the service"] = _functions(stores, jobs, page_rounds)
    return Report(tables)


def _functions(stores: list[Store], jobs: list[tuple[UUID, UUID]], rounds: int) -> list[dict[str, str]]:
    asked = [pages(*each) for each in jobs]
    lines = []
    for name in asked[0]:
        found = [_measured(store, each[name], rounds) for store, each in zip(stores, asked, strict=True)]
        lines.append(line_of(name, [rows for rows, _ in found], [seconds for _, seconds in found]))
    return lines


def pages(single: UUID, batch: UUID) -> dict[str, Callable[[Store], object]]:
    """What each page asks of the service."""
    lists = ("all", "running", "queued", "scheduled", "paused", "completed", "failed", "aborted")
    found: dict[str, Callable[[Store], object]] = {
        "counts": counts_of_jobs,
        "overview": show_overview,
        **{f"list {name}": _listing(ListAsked(name)) for name in lists},
        "searched": _listing(ListAsked("all", search="no such text")),
        "filtered": _listing(ListAsked("all", where=["color=none"])),
        "filtered, indexed": _listing(ListAsked("all", where=["customer=c7"])),
        "job": lambda store: view_job(store, single, by=ADA),
        "batch job": lambda store: view_job(store, batch, by=ADA),
        "slices": lambda store: strip_of_slices(store, batch),
        "failures": lambda store: failures_of_job(store, batch),
        "log": lambda store: log_of_job(store, batch),
        "audit": list_audit,
        "schedules": list_schedules,
        "servers": list_servers,
        "workers": work_under_way,
        "kinds": list_kinds,
        "health": progress_made,
        "figures": figures_text,
    }
    return found


def _listing(asked: ListAsked) -> Callable[[Store], object]:
    return lambda store: page_of_jobs(store, asked)


def _measured(store: Store, page: Callable[[Store], object], rounds: int) -> tuple[int, list[float]]:
    """Return how many rows a page reads, and its seconds in each round."""
    page(store)
    rows = rows_read(store, page)
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        page(store)
        seconds.append(time.perf_counter() - began)
    return rows, seconds


def rows_read(store: Any, page: Callable[[Store], object]) -> int:
    if store.url.startswith("sqlite"):
        count = 0

        def step() -> None:
            nonlocal count
            count += 1

        with store.connections.reading() as connection:
            connection.set_progress_handler(step, 1)
            page(store)
            connection.set_progress_handler(None, 1)
        return count
    asked = "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_xact_user_tables"
    with store.transaction():
        ((before,),) = store.connections.fetch(asked)
        page(store)
        ((after,),) = store.connections.fetch(asked)
    return int(after - before)
