"""A PostgreSQL whose connections are all taken, whose disk is full, or that does not answer."""

import os
import threading
from contextlib import ExitStack, suppress

import psycopg
import pytest
from tests.faults.proxy import StallingProxy
from tests.postgres import own_postgres

from penstock.errors import StoreBusy, StoreFull, StoreUnavailable
from penstock.store import close_stores, open_store
from penstock.store.rows import NewSlice

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="mounts a small disk, which only root may")


@pytest.fixture(scope="module")
def server():
    with own_postgres(max_connections=12) as made:
        yield made


def take_all(url, stack):
    """Take connections as long as there are any."""
    with suppress(psycopg.OperationalError):
        while True:
            stack.enter_context(psycopg.connect(url))


def fill(path):
    """Write to a file as long as there is room."""
    with path.open("wb") as file, suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(1 << 16))


def test_while_others_have_all_connections_a_call_says_so_and_goes_on_when_there_are_some(server, new_row):
    store = open_store(f"{server.url}&schema=taken")
    store.insert_jobs([new_row()])
    close_stores()
    store = open_store(f"{server.url}&schema=taken")
    with ExitStack() as taken:
        store.connections._drop_idle()
        take_all(server.url, taken)
        with pytest.raises((StoreBusy, StoreUnavailable), match="connection"):
            store.insert_jobs([new_row()])
    store.insert_jobs([new_row()])
    assert store.candidates(["Copy"], limit=10) != []


def test_a_connection_on_which_nothing_comes_is_ended_and_replaced(server, new_row):
    proxy = StallingProxy(server.socket)
    try:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres?sslmode=disable&schema=stalled"
        store = open_store(url)
        store.insert_jobs([new_row()])
        proxy.stall()
        ended = threading.Event()
        refused: list[Exception] = []

        def call() -> None:
            try:
                store.insert_jobs([new_row()])
            except StoreUnavailable as error:
                refused.append(error)
            ended.set()

        threading.Thread(target=call, daemon=True).start()
        assert not ended.wait(0.2)
        proxy.sever()  # As the kernel does when nothing is acknowledged any more; no packet says so before.
        assert ended.wait(30)
        assert refused, "it cannot have been stored"
        proxy.flow()
        store.insert_jobs([new_row()])
    finally:
        proxy.close()


@pytest.mark.linux
@ROOT_ONLY
def test_a_full_disk_is_said_and_keeps_what_was_stored_and_with_room_it_goes_on(new_row):
    with own_postgres(disk="300m") as server:
        store = open_store(f"{server.url}&schema=on_full_disk")
        job = new_row(kind="Lines", batch=True)
        store.insert_jobs([job])
        ballast = server.folder / "ballast"
        fill(ballast)
        with pytest.raises((StoreFull, StoreUnavailable)) as told:
            store.append_slices(job.id, "main", [NewSlice(n, 1, os.urandom(1 << 20)) for n in range(1, 41)])
        assert "full" in str(told.value) or isinstance(told.value, StoreUnavailable)
        ballast.unlink()
        if not server.is_running():
            server.start()
        before = store.slice_counts(job.id)
        store.append_slices(job.id, "main", [NewSlice(1, 1, b"x")])
        assert sum(store.slice_counts(job.id).values()) == sum(before.values()) + 1
