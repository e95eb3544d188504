"""The least that anything would pay: the same steps bare, with nothing of ours around them.

Processor seconds are those of this process, its child and the backends of PostgreSQL together; moments are medians.
"""

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.roles import spending
from penstock.bench import functions
from penstock.bench.enqueue import PAGE_SIZE, ROW, bare_commits
from penstock.bench.ground import Ground, remove_store
from penstock.bench.inputs import lines_file

SLICE = 1000
TURN = 500
"""Jobs that are claimed and settled together."""
Transfer = Callable[[bytes], object]


def commit_seconds(ground: Ground, count: int) -> tuple[float, float]:
    """Return the median seconds of a bare commit of one row, and its processor seconds."""
    with bare_commits(ground) as commit, spending(ground, {os.getpid(): "client"}, looks=False) as spent:
        taken = [_timed(lambda number=number: commit(number)) for number in range(count)]
    return median(taken), spent.all_cpu / count


def round_trip_seconds(url: str, count: int) -> float:
    """Return the median seconds of the shortest statement to PostgreSQL and back."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        return median(_timed(lambda: connection.execute("SELECT 1").fetchone()) for _ in range(count))


def loop_seconds(folder: Path, lines: int, name: str) -> float:
    """Return the processor seconds of a bare loop of `perform` over the lines of a file, read and written back."""
    source, target, perform = lines_file(folder, lines), folder / "output-loop.txt", getattr(functions, name)
    began = time.process_time()
    with source.open(encoding="utf-8", newline="\n") as file, target.open("w", encoding="utf-8", newline="\n") as out:
        while run := file.readlines(64 * SLICE):
            out.write("".join([perform(line[:-1]) + "\n" for line in run]))
    spent = time.process_time() - began
    target.unlink()
    return spent


def pipe_seconds(payload: bytes, count: int) -> tuple[float, float]:
    """Return, of a payload to another process and back: the median seconds, and the processor seconds of both."""
    with _echo(len(payload)) as (transfer, child):
        transfer(payload)
        before = _cpu_of(child)
        taken = [_timed(lambda: transfer(payload)) for _ in range(count)]
        return median(taken), (_cpu_of(child) - before) / count


def rows_seconds(ground: Ground, count: int, size: int, at_once: int) -> float:
    """Return the processor seconds of one row that is stored, marked as taken, and deleted, many at once."""
    with spending(ground, {os.getpid(): "client"}, looks=False) as spent:
        (_rows_in_sqlite if ground.postgres is None else _rows_in_postgres)(ground, count, "x" * size, at_once)
    return spent.all_cpu / count


def insert_seconds(ground: Ground, count: int) -> float:
    """Return the wall seconds of one row of the size of a job, of many that are stored at once."""
    began = time.perf_counter()
    if ground.postgres is None:
        with _table_in_sqlite(ground) as database:
            database.execute("BEGIN")
            database.executemany("INSERT INTO bare VALUES (?, 0, ?)", _rows(0, count, ROW))
            database.execute("COMMIT")
    else:
        with _table_in_postgres(ground.postgres) as cursor:
            with cursor.copy("COPY penstock_bench_bare FROM STDIN") as copy:
                for key, text in _rows(0, count, ROW):
                    copy.write_row((key, 0, text))
            cursor.connection.commit()
    return (time.perf_counter() - began) / count


def notify_seconds(url: str, count: int) -> float:
    """Return the median seconds from before a NOTIFY until another connection of this process has it."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url, autocommit=True) as other:
        other.execute("LISTEN penstock_bench_bare")
        taken = []
        for _ in range(count):
            began = time.perf_counter()
            one.execute("NOTIFY penstock_bench_bare")
            next(other.notifies())
            taken.append(time.perf_counter() - began)
    return median(taken)


def _rows_in_sqlite(ground: Ground, count: int, text: str, at_once: int) -> None:
    with _table_in_sqlite(ground) as database:
        for first in range(0, count, at_once):
            keys = [(key,) for key in range(first, min(count, first + at_once))]
            for statement, values in (
                ("INSERT INTO bare VALUES (?, 0, ?)", list(_rows(first, len(keys), text))),
                ("UPDATE bare SET taken = 1 WHERE id = ?", keys),
                ("DELETE FROM bare WHERE id = ?", keys),
            ):
                database.execute("BEGIN")
                database.executemany(statement, values)
                database.execute("COMMIT")


def _rows_in_postgres(ground: Ground, count: int, text: str, at_once: int) -> None:
    assert ground.postgres is not None
    with _table_in_postgres(ground.postgres) as cursor:
        for first in range(0, count, at_once):
            keys = list(range(first, min(count, first + at_once)))
            with cursor.copy("COPY penstock_bench_bare FROM STDIN") as copy:
                for key in keys:
                    copy.write_row((key, 0, text))
            cursor.connection.commit()
            cursor.execute("UPDATE penstock_bench_bare SET taken = 1 WHERE id = ANY(%s) RETURNING text", (keys,))
            cursor.fetchall()
            cursor.connection.commit()
            cursor.execute("DELETE FROM penstock_bench_bare WHERE id = ANY(%s)", (keys,))
            cursor.connection.commit()


def _rows(first: int, count: int, text: str) -> Iterator[tuple[int, str]]:
    return ((key, text) for key in range(first, first + count))


@contextmanager
def _table_in_sqlite(ground: Ground) -> Iterator[sqlite3.Connection]:
    url = ground.url("bare")
    remove_store(url)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as database:
        for pragma in (f"page_size = {PAGE_SIZE}", "journal_mode = WAL", "synchronous = FULL"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("CREATE TABLE bare (id INTEGER PRIMARY KEY, taken INTEGER, text TEXT)")
        yield database
    remove_store(url)


@contextmanager
def _table_in_postgres(url: str) -> Iterator[Any]:
    import psycopg

    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS penstock_bench_bare")
        cursor.execute("CREATE TABLE penstock_bench_bare (id bigint PRIMARY KEY, taken integer, text text)")
        connection.commit()
        yield cursor
        connection.rollback()
        cursor.execute("DROP TABLE penstock_bench_bare")
        connection.commit()


@contextmanager
def _echo(size: int) -> Iterator[tuple[Transfer, int]]:
    """Give what sends bytes to a child that sends them back, and the child."""
    mine, its = socket.socketpair()
    child = os.fork()
    if child == 0:
        mine.close()
        while data := its.recv(1 << 18):
            its.sendall(data)
        os._exit(0)
    its.close()

    def transfer(payload: bytes) -> None:
        sent = left = 0
        while left < size:
            sent += mine.send(payload[sent : sent + (1 << 16)]) if sent < size else 0
            left += len(mine.recv(1 << 18))

    try:
        yield transfer, child
    finally:
        mine.close()
        os.waitpid(child, 0)


def _cpu_of(child: int) -> float:
    words = Path(f"/proc/{child}/schedstat").read_text().split()
    return time.process_time() + int(words[0]) / 1e9


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
