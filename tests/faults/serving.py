"""One round with servers: work is made while servers are killed and stores broken, and then the books are read."""

import contextlib
import os
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.books import Books
from tests.faults.disturbances import CLIENT_POINTS, DISTURBANCES, POSTGRES, SERVER_POINTS, SQLITE, Disturbance
from tests.faults.proxy import StallingProxy
from tests.faults.scene import Scene
from tests.postgres import OwnPostgres
from tests.process.lab import Lab

from penstock.errors import StoreError
from penstock.store import close_stores

MOST = 3
"""Disturbances in one round, at most."""
ENOUGH = 90.0
"""Seconds in which all work must have come to its end after the last disturbance."""


@dataclass
class Served:
    """What came of a round."""

    seed: int
    store: str
    happened: list[str] = field(default_factory=list)
    """The disturbances, in their order; fault points that were passed as `at POINT`."""
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        end = "; ".join(self.errors) or "all accounted for"
        return f"seed {self.seed} servers on {self.store}: {', '.join(self.happened)} ({self.seconds:.0f} s): {end}"

    @property
    def counted(self) -> Counter[str]:
        """How often each thing happened."""
        return Counter(self.happened)


def serve(seed: int, postgres: OwnPostgres | None, store: str | None = None, *chosen: str) -> Served:
    """Play one round; the same seed chooses the same disturbances and moments.

    Args:
        seed: Of the random numbers.
        postgres: A server that may be broken; without one all is on SQLite.
        store: `SQLite` or `PostgreSQL`; None for one of them by chance.
        chosen: The names of the disturbances, or fault points as `at POINT`; none for some by chance.
    """
    chance = random.Random(seed)
    kind = store or (chance.choice((SQLITE, POSTGRES)) if postgres is not None else SQLITE)
    told = Served(seed, kind)
    began = time.monotonic()
    with open_scene(chance, postgres if kind == POSTGRES else None) as scene:
        try:
            _play(scene, told, chosen)
        except (AssertionError, StoreError, subprocess.TimeoutExpired) as error:
            told.errors.append(f"{type(error).__name__}: {error}")
        told.errors += scene.errors
        told.happened += sorted(f"at {path.name}" for path in scene.lab.path("marks").iterdir())
        if told.errors:
            told.errors += [f"{log.name}: {log.read_text()[-600:]}" for log in sorted(scene.lab.folder.glob("*.err"))]
    told.seconds = time.monotonic() - began
    return told


def _play(scene: Scene, told: Served, chosen: tuple[str, ...]) -> None:
    chance = scene.chance
    points, acts = _plan(scene, chosen)
    # A process that hangs or is stopped at a point ends nothing: these are disturbances of their own.
    client = next((point for point in points if point in CLIENT_POINTS), None)
    scene.faults = ",".join(f"{point}:kill:{chance.randint(1, 3)}" for point in points if point not in CLIENT_POINTS)
    scene.serve()
    scene.load(f"{client}:kill" if client else "")
    for act in acts:
        _keep_serving(scene, chance.random() * 1.5 + 0.3)
        told.happened.append(act.name)
        act.act(scene)
    await_rest(scene)
    while not scene.stop():
        await_rest(scene)
    with books_of(scene) as books:
        told.errors += list(books.wrong())


def _plan(scene: Scene, chosen: tuple[str, ...]) -> tuple[list[str], list[Disturbance]]:
    possible = [one for one in DISTURBANCES if one.is_for(scene)]
    if chosen:
        points = [name.removeprefix("at ") for name in chosen if name.startswith("at ")]
        return points, [one for name in chosen for one in possible if one.name == name]
    count = scene.chance.randint(1, MOST)
    points = [point for point in (scene.chance.choice(SERVER_POINTS),) if scene.chance.random() < 0.6]
    if scene.chance.random() < 0.15:
        points.append(scene.chance.choice(CLIENT_POINTS))
    return points, [scene.chance.choice(possible) for _ in range(count)]


def _keep_serving(scene: Scene, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        scene.serve()
        time.sleep(0.05)


def await_rest(scene: Scene) -> None:
    """Keep serving until all work has come to its end.

    Raises:
        AssertionError: it does not in time.
    """
    deadline = time.monotonic() + ENOUGH
    while True:
        scene.serve()
        assert time.monotonic() < deadline, f"work has not come to its end: {_left(scene)}"
        if scene.has_loaded():
            with suppress(StoreError), books_of(scene) as books:
                if books.is_at_rest():
                    return
        time.sleep(0.2)


def _left(scene: Scene) -> str:
    if not scene.has_loaded():
        return f"the client still runs, and has said {scene.clients[-1].out[-80:]!r}"
    with books_of(scene) as books:
        return "; ".join(books.left())


@contextmanager
def books_of(scene: Scene) -> Iterator[Books]:
    """Open the books of a scene."""
    try:
        yield Books(scene)
    finally:
        close_stores()


@contextmanager
def open_scene(
    chance: random.Random, postgres: OwnPostgres | None, make: Callable[..., Scene] = Scene
) -> Iterator[Scene]:
    """Make a scene with a store of its own, on SQLite or behind a proxy on PostgreSQL; at the end nothing is left."""
    with tempfile.TemporaryDirectory(prefix="penstock-faults-") as name, contextlib.ExitStack() as stack:
        lab = Lab(Path(name))
        scene = make(lab, chance, postgres)
        if postgres is None:
            scene.disk = stack.enter_context(_own_disk(lab))
            lab.store = "disk/penstock.db"
        else:
            scene.proxy = StallingProxy(postgres.socket)
            stack.callback(scene.proxy.close)
            schema = f"faults_{os.urandom(4).hex()}"
            stack.callback(_drop, postgres.url, schema)
            address = f"127.0.0.1:{scene.proxy.port}"
            lab.store = f"postgresql://postgres@{address}/postgres?sslmode=disable&schema={schema}"
        scene.prepare()
        stack.callback(lab.close)
        yield scene


@contextmanager
def _own_disk(lab: Lab) -> Iterator[Path | None]:
    """Make a file system of its own for the store, where that may be done."""
    path = lab.path("disk")
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200m", "penstock-test", str(path)]
    if os.getuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _drop(url: str, schema: str) -> None:
    from tests.postgres import drop_schema

    drop_schema(url, schema)
