"""What is done to servers and stores while they work: a table of disturbances, each with the store it is for."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

from tests.faults.scene import DEAD_AFTER, Scene

from penstock.faults import POINTS

SQLITE, POSTGRES = "SQLite", "PostgreSQL"
SERVER_POINTS = [point for point, who in POINTS.items() if who.startswith(("server", "worker"))]
CLIENT_POINTS = ["in_upload", "after_upload"]
STEPS = (3600, -3600, -600, 90)
"""Seconds by which a clock is stepped."""


@dataclass(frozen=True)
class Disturbance:
    """Something that goes wrong."""

    name: str
    act: Callable[[Scene], None]
    stores: tuple[str, ...] = (SQLITE, POSTGRES)
    needs_root: bool = False

    def is_for(self, scene: Scene) -> bool:
        """Tell whether it can happen here."""
        return scene.kind in self.stores and not (self.needs_root and scene.disk is None)


def _kill(pid: int | None) -> None:
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _worker_killed(scene: Scene) -> None:
    _kill(scene.worker())


def _dispatcher_killed(scene: Scene) -> None:
    server = scene.server()
    if server is not None:
        _kill(server.process.pid)
        server.process.wait(10)  # Until then it seems to be one of those that run.


def _group_killed(scene: Scene) -> None:
    server = scene.server()
    if server is not None:
        server.kill_group()
        server.process.wait(10)


def _worker_suspended(scene: Scene) -> None:
    pid = scene.worker()
    if pid is not None:
        scene.suspended = True
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.5)
            os.kill(pid, signal.SIGCONT)


def _server_suspended(scene: Scene) -> None:
    """Longer than others wait: what it held is done by them, and what it returns afterwards is refused."""
    server = scene.server()
    if server is not None:
        scene.suspended = True
        with suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGSTOP)
            scene.serve()
            time.sleep(DEAD_AFTER + 1.5)
            os.killpg(server.process.pid, signal.SIGCONT)


def _clock_stepped(scene: Scene) -> None:
    scene.lab.path("clock.new").write_text(str(scene.chance.choice(STEPS)))
    scene.lab.path("clock.new").rename(scene.lab.path("clock"))
    time.sleep(0.5)
    scene.lab.path("clock").unlink()


def _write_lock_held(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.lab.path(scene.lab.store), timeout=20, isolation_level=None)) as connection:
        with suppress(sqlite3.OperationalError):
            connection.execute("BEGIN IMMEDIATE")
        time.sleep(1.5)


def _disk_full(scene: Scene) -> None:
    scene.shrink_disk(f"{scene.used_kib() + 16}k")
    time.sleep(1.0)
    scene.shrink_disk("200m")


def _postgres_restarted(scene: Scene) -> None:
    assert scene.postgres is not None
    scene.postgres.restart()


def _postgres_crashed(scene: Scene) -> None:
    assert scene.postgres is not None
    scene.postgres.restart("immediate")


def _postgres_killed(scene: Scene) -> None:
    assert scene.postgres is not None
    scene.postgres.kill()
    time.sleep(scene.chance.random())
    scene.postgres.start()


def _backends_terminated(scene: Scene) -> None:
    assert scene.postgres is not None
    for _ in range(8):
        scene.postgres.terminate_backends()
        time.sleep(0.2)


def _network_stalled(scene: Scene) -> None:
    assert scene.proxy is not None
    scene.proxy.stall()
    time.sleep(2.0)
    scene.proxy.flow()


def _network_cut(scene: Scene) -> None:
    """Longer than a lease: servers give up, and others find what they held."""
    assert scene.proxy is not None
    scene.proxy.stall()
    time.sleep(DEAD_AFTER + 1.0)
    scene.proxy.sever()
    scene.proxy.flow()


def _notifications_lost(scene: Scene) -> None:
    import psycopg

    assert scene.postgres is not None
    schema = scene.lab.store.rpartition("schema=")[2]
    # Its tables may not be there yet.
    with suppress(psycopg.Error), psycopg.connect(scene.postgres.url, autocommit=True) as connection:
        for _ in range(5):
            connection.execute(f"DELETE FROM {schema}.listeners")
            time.sleep(0.1)


DISTURBANCES = (
    Disturbance("worker killed", _worker_killed),
    Disturbance("dispatcher killed", _dispatcher_killed),
    Disturbance("server killed", _group_killed),
    Disturbance("worker suspended", _worker_suspended),
    Disturbance("server suspended", _server_suspended),
    Disturbance("clock stepped", _clock_stepped),
    Disturbance("write lock held", _write_lock_held, (SQLITE,)),
    Disturbance("disk full", _disk_full, (SQLITE,), needs_root=True),
    Disturbance("PostgreSQL restarted", _postgres_restarted, (POSTGRES,)),
    Disturbance("PostgreSQL crashed", _postgres_crashed, (POSTGRES,)),
    Disturbance("PostgreSQL killed", _postgres_killed, (POSTGRES,)),
    Disturbance("connections terminated", _backends_terminated, (POSTGRES,)),
    Disturbance("network stalled", _network_stalled, (POSTGRES,)),
    Disturbance("network cut", _network_cut, (POSTGRES,)),
    Disturbance("notifications lost", _notifications_lost, (POSTGRES,)),
)
