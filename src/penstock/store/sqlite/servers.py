"""Servers and signs of life in SQLite."""

import contextlib
import fcntl
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from penstock import clock
from penstock.clock import from_micros, to_micros
from penstock.states import State, SubState
from penstock.store.protocol import Store, Topic
from penstock.store.rows import ServerRow
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.convert import stored
from penstock.store.sqlite.hooks import SqliteHooks
from penstock.store.sqlite.jobs import SQL, SqliteJobs
from penstock.store.sqlite.slices import SqliteSlices
from penstock.store.sqlite.wakeups import FileWakeups, MemoryWakeups
from penstock.store.uploads import failure_of_upload

SPARE_PAGES = 16_384
"""Free pages that stay in the file for the next job: 256 MB. Giving pages back costs as much as writing them."""

DRAFT_KEPT = timedelta(hours=1)
"""How long the draft of a dead process is kept: `penstock run --resume` begins it again."""


class SqliteServers:
    """Servers and other signs of life."""

    connections: Connections
    wakeups: FileWakeups | MemoryWakeups
    path: str | None

    def register_server(self, row: ServerRow) -> None:
        """Store a server."""
        with self.connections.transaction() as connection:
            connection.execute(SQL["register_server"], {name: stored(value) for name, value in row._asdict().items()})

    def beat(self, name: str, state: str, *, kinds: str = "{}", holding: int = 0, nodes: str = "[]") -> bool:
        """Raise a server's heartbeat counter, and note how it is."""
        with self.connections.transaction() as connection:
            return connection.execute(SQL["beat"], (state, kinds, holding, nodes, name)).rowcount > 0

    def ask_server(self, name: str, command: str) -> bool:
        """Leave a command for a server and wake it."""
        with self.connections.transaction(Topic.WORK) as connection:
            return connection.execute(SQL["ask_server"], (command, name)).rowcount > 0

    def command_of(self, name: str) -> str | None:
        """Return the command that was left for a server."""
        with self.connections.reading() as connection:
            row = connection.execute(SQL["command_of"], (name,)).fetchone()
        return row[0] if row else None

    def answer_command(self, name: str, command: str, answer: str) -> None:
        """Note what a server says to a command, which is done with."""
        with self.connections.transaction() as connection:
            connection.execute(SQL["answer_command"], (answer, name, command))

    def servers(self) -> list[ServerRow]:
        """Return all registered servers, oldest first."""
        with self.connections.reading() as connection:
            rows = connection.execute(SQL["servers"]).fetchall()
        return [_server_row(row) for row in rows]

    def appear(self, name: str) -> "FilePresence | MemoryPresence":
        """Show a sign of life: a locked file beside the store, or a name in memory."""
        if isinstance(self.wakeups, MemoryWakeups):
            return MemoryPresence(name)
        self.wakeups.folder.make()
        return FilePresence(self.wakeups.folder.path, name)

    def is_present(self, name: str) -> bool | None:
        """Tell whether the process that appeared as `name` lives. On one host that is always known."""
        if isinstance(self.wakeups, MemoryWakeups):
            return name in MemoryPresence.names
        return _is_locked(_lock_path(self.wakeups.folder.path, name))

    def drop_abandoned(self, *, whole: Store | None = None) -> int:
        """Remove drafts of processes that are gone, and fail jobs whose upload broke off."""
        touched = 0
        with self.connections.reading() as connection:
            drafts = connection.execute(SQL["abandoned_drafts"]).fetchall()
        recent = to_micros(clock.now() - DRAFT_KEPT)
        for key, draft, uploader, created_at in drafts:
            if uploader is not None and (self.is_present(uploader) or (draft and created_at > recent)):
                continue
            job_id = UUID(bytes=key)
            assert isinstance(self, SqliteJobs)
            if draft:
                (whole or self).destroy_job(job_id)
                touched += 1
            else:
                touched += self._end_broken_upload(job_id, uploader, whole)
        self.release_abandoned_hooks()
        return touched

    def release_abandoned_hooks(self) -> None:
        """Let others take the hooks of processes that are gone."""
        assert isinstance(self, SqliteHooks)
        for name in self.hooks_servers():
            if not self.is_present(name):
                self.release_hooks(name)

    def listen(self, topic: Topic, callback: Callable[[], None]) -> Any:
        """Call `callback` whenever a transaction touched `topic`."""
        self.connections.refuse_closed()
        return self.wakeups.listen(topic, callback)

    def give_space_back(self) -> None:
        """Return free pages beyond a reserve to the file system."""
        with self.connections.reading() as connection:
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        if free > SPARE_PAGES:
            self.connections.run_script(f"PRAGMA incremental_vacuum({free - SPARE_PAGES})")

    def _end_broken_upload(self, job_id: UUID, uploader: str, whole: Store | None) -> bool:
        """Drop what a dead process had uploaded, and fail the job where it still can; tells whether it did."""
        assert isinstance(self, SqliteJobs)
        assert isinstance(self, SqliteSlices)
        with self.connections.transaction():
            row = self.job(job_id)
            if row is None or row.uploader != uploader:
                return False
            if row.state is State.RUNNING and row.sub_state is SubState.BEFORE:
                return False  # What `before_batch` uploads goes with its worker: the job is queued again.
            (whole or self).drop_unfinished_upload(job_id)
            return self.update_job(job_id, {**failure_of_upload(row), "uploader": None})


class FilePresence:
    """A file that is locked as long as the process lives, whatever ends it."""

    def __init__(self, folder: str, name: str) -> None:
        self.name = name
        self._path = _lock_path(folder, name)
        self._descriptor = self._locked_file()

    def _locked_file(self) -> int:
        # Somebody who asks whether we live may lock and remove the file just before we lock it: then once more.
        while True:
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.stat(self._path).st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
            os.close(descriptor)

    def close(self) -> None:
        """Remove the file and its lock."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            os.close(self._descriptor)
            self._descriptor = -1


class MemoryPresence:
    """A name in memory; a store in memory ends with its process anyway."""

    names: set[str] = set()  # noqa: RUF012

    def __init__(self, name: str) -> None:
        self.name = name
        self.names.add(name)

    def close(self) -> None:
        """Take the name away."""
        self.names.discard(self.name)


def _lock_path(folder: str, name: str) -> str:
    return os.path.join(folder, f"alive.{name.replace('/', '_')}")


def _is_locked(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)
        return False
    finally:
        os.close(descriptor)


def _server_row(row: tuple[Any, ...]) -> ServerRow:
    started: datetime = from_micros(row[4])
    return ServerRow._make((*row[:4], started, *row[5:]))
