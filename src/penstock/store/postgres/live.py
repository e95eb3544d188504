"""The one connection of a process that stays: it hears wake-ups, and its locks are the process's signs of life.

A thread keeps it, and makes it anew when it is lost: locks are taken again, and listeners are called once, since they
may have missed something. Everything on it is done by that thread; others leave it what they want and wait.
"""

import contextlib
import itertools
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from penstock.errors import StoreClosed, StoreError, StoreUnavailable
from penstock.store.postgres.connection import connect
from penstock.store.postgres.errors import named
from penstock.store.postgres.machine import this_machine
from penstock.store.postgres.place import Place
from penstock.store.postgres.session import Session
from penstock.store.protocol import Topic

log = logging.getLogger("penstock")

ASK_SECONDS = 15.0
"""How long somebody waits for the thread to do what was asked of it."""
CHECK_SECONDS = 20.0
"""How often it says again what it listens to, and so notices that the server is gone."""
AGAIN_SECONDS = 0.02
"""How soon listeners are called when others held work at the moment at which it was looked for."""
PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between attempts to connect again; the last one is repeated."""
HEARD_SECONDS = 3.0

_serial = itertools.count(1)


class LiveLine:
    """The connection, its thread, and what it holds. Nothing is opened before somebody needs it."""

    def __init__(self, place: Place, sql: Mapping[str, str]) -> None:
        self._place = place
        self._sql = sql
        self._name = f"{this_machine()} {os.getpid()} {os.urandom(6).hex()}"
        self._guard = threading.Lock()
        self._calling = threading.RLock()
        self._wanted: deque[_Task] = deque()
        self._listeners: dict[int, tuple[Topic, Callable[[], None]]] = {}
        self._presences: set[str] = set()
        self._held: set[str] = set()
        self._topics: set[Topic] = set()
        self._again: float | None = None
        self._session: Session | None = None
        self._pooled = False
        self._thread: threading.Thread | None = None
        self._closing = False
        self._wake, self._bell = -1, -1

    # From any thread -----------------------------------------------------------------------------

    def listen(self, topic: Topic, callback: Callable[[], None]) -> "Listener":
        """Call `callback` from the thread whenever `topic` is announced."""
        serial = next(_serial)
        with self._guard:
            self._listeners[serial] = (topic, callback)
        try:
            self._ask(self._tell_topics)
        except StoreClosed:
            self._listeners.pop(serial, None)
            raise
        except StoreError as error:
            log.warning("wake-ups come late for now: %s", error)
        return Listener(self, serial)

    def stop_listening(self, serial: int) -> None:
        """Call a listener no more; one that is being called is waited for."""
        with self._guard:
            self._listeners.pop(serial, None)
        if self._calling.acquire(timeout=2):
            self._calling.release()
        if not self._closing:
            self._post(_Task(self._tell_topics))

    def show(self, name: str) -> None:
        """Take the lock of a name, for as long as the connection lives.

        Raises:
            StoreUnavailable: the server cannot be reached.
        """
        self._presences.add(name)
        try:
            self._ask(self._take_locks)
        except StoreError:
            self._presences.discard(name)
            raise

    def hide(self, name: str) -> None:
        """Let the lock of a name go."""
        self._presences.discard(name)
        with contextlib.suppress(StoreError):
            self._ask(lambda session: self._let_go(session, name))

    def look_again(self) -> None:
        """Call those who listen for work in a moment: what was looked for was in somebody's hands just now."""
        with self._guard:
            if self._again is None and any(topic is Topic.WORK for topic, _ in self._listeners.values()):
                self._again = time.monotonic() + AGAIN_SECONDS
                self._ring()

    def close(self) -> None:
        """Give up everything and end the thread."""
        with self._guard:
            thread, self._closing = self._thread, True
            self._ring()
        if thread is not None and thread is not threading.current_thread():
            thread.join(10)

    def _ask(self, act: Callable[[Session], None]) -> None:
        task = _Task(act)
        self._post(task)
        if threading.current_thread() is self._thread:
            return
        if not task.done.wait(ASK_SECONDS):
            raise StoreUnavailable(f"{self._place.shown}: the store cannot be reached; is PostgreSQL running there?")
        if task.error is not None:
            raise task.error

    def _post(self, task: "_Task") -> None:
        with self._guard:
            if self._closing:
                raise StoreClosed(f"{self._place.shown}: the store is closed")
            self._wanted.append(task)
            if self._thread is None:
                self._wake, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
                self._thread = threading.Thread(target=self._run, name="penstock-live", daemon=True)
                self._thread.start()
            self._ring()

    def _ring(self) -> None:
        if self._bell >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._bell, b"!")

    # The thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        try:
            while not self._closing:
                try:
                    if self._session is None:
                        self._connect()
                    failures = 0
                    self._serve()
                except (psycopg.Error, StoreError, OSError) as error:
                    self._lose(error)
                    pause = PAUSES[min(failures, len(PAUSES) - 1)]
                    failures += 1
                    self._rest(pause)
            self._leave()
        finally:
            with self._guard:
                os.close(self._wake)
                os.close(self._bell)
                self._wake = self._bell = -1

    def _connect(self) -> None:
        # Nothing that it writes outlives it: it is told anew with the next connection.
        session = self._session = connect(self._place, "normal")
        # A pooler tells clients ids of its own; what such a session locks may be held by another one tomorrow.
        ((process,),) = session.fetch("SELECT pg_backend_pid()")
        pooled = process != session.raw.info.backend_pid
        if pooled and not self._pooled:
            log.warning(
                "%s: a pooler is in between; wake-ups may not come through, and work is looked for once a second."
                " Give servers a URL that leads to PostgreSQL itself",
                self._place.shown,
            )
        self._pooled = pooled
        session.run_script(f"LISTEN {self._place.channel}")
        if not pooled:
            # That of a connection which was lost is held until the server notices; nobody asks for longer than that.
            session.execute(self._sql["lock_presence"], (f"{self._place.schema} {self._name}",))
        again = bool(self._topics)
        self._held, self._topics = set(), set()
        self._take_locks(session)
        self._tell_topics(session)
        if again:
            self._call(set(Topic))

    def _serve(self) -> None:
        """Do what is asked, and hear, until the connection fails."""
        session = self._session
        assert session is not None
        checked = time.monotonic()
        while not self._closing:
            while self._wanted:
                self._do(session)
            self._hear(session)
            now = time.monotonic()
            with self._guard:
                due = self._again is not None and self._again <= now
                if due:
                    self._again = None
                ends = [checked + CHECK_SECONDS, *([self._again] if self._again is not None else [])]
            if due:
                self._call({Topic.WORK})
            if self._held != self._presences or now - checked >= CHECK_SECONDS:
                checked = now
                self._topics = set()
                self._tell_topics(session)
                self._take_locks(session)
                if self._held != self._presences:
                    ends = [now + 1.0]
            self._wait(session, max(0.0, min(ends) - time.monotonic()))

    def _do(self, session: Session) -> None:
        task = self._wanted[0]
        try:
            task.act(session)
        except psycopg.Error as error:
            if session.raw.closed:
                raise  # Done once more on the next connection.
            task.error = named(error, self._place.shown)
        self._wanted.popleft()
        task.done.set()

    def _hear(self, session: Session) -> None:
        pgconn = session.raw.pgconn
        pgconn.consume_input()
        if pgconn.status != psycopg.pq.ConnStatus.OK:
            raise StoreUnavailable(f"{self._place.shown}: the connection was lost")
        heard = set()
        while (notice := pgconn.notifies()) is not None:
            heard.add(notice.extra.decode())
        self._call({topic for topic in Topic if str(topic) in heard})

    def _call(self, topics: set[Topic]) -> None:
        if not topics:
            return
        with self._guard:
            serials = [serial for serial, (topic, _) in self._listeners.items() if topic in topics]
        for serial in serials:
            with self._calling:
                found = self._listeners.get(serial)
                if found is not None:
                    try:
                        found[1]()
                    except Exception:
                        log.exception("a listener to wake-ups failed")

    def _wait(self, session: Session, seconds: float) -> None:
        if not self._wanted:
            select.select([session.raw.fileno(), self._wake], [], [], seconds)
        self._quiet()

    def _rest(self, seconds: float) -> None:
        select.select([self._wake], [], [], seconds)
        self._quiet()

    def _quiet(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 1024)

    def _lose(self, error: Exception) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
            if not self._closing:
                log.warning(
                    "%s: the connection for wake-ups was lost (%s)", self._place.shown, " ".join(str(error).split())
                )

    def _tell_topics(self, session: Session) -> None:
        """Have the table of listeners say what this process listens to."""
        with self._guard:
            wanted = {topic for topic, _ in self._listeners.values()}
        for topic in wanted - self._topics:
            session.execute(self._sql["add_listener"], (self._name, str(topic)))
        for topic in self._topics - wanted:
            session.execute(self._sql["remove_listener"], (self._name, str(topic)))
        self._topics = wanted

    def _take_locks(self, session: Session) -> None:
        for name in self._presences - self._held:
            if self._pooled or session.fetch(self._sql["lock_presence"], (f"{self._place.schema} {name}",))[0][0]:
                self._held.add(name)
            values = {"name": name, "machine": this_machine(), "pid": os.getpid(), "locked": not self._pooled}
            session.execute(self._sql["show_presence"], values)

    def _let_go(self, session: Session, name: str) -> None:
        session.execute(self._sql["remove_presence"], (name,))
        if name in self._held and not self._pooled:
            session.execute(self._sql["unlock_presence"], (f"{self._place.schema} {name}",))
        self._held.discard(name)

    def _leave(self) -> None:
        """Take away what others could see, if that can be done at once."""
        if self._session is None:
            return
        with contextlib.suppress(psycopg.Error):
            self._session.execute(self._sql["remove_listeners_of"], (self._name,))
            for name in list(self._held):
                self._let_go(self._session, name)
        self._session.close()
        self._session = None


class _Task:
    """Something that the thread is to do on its connection."""

    def __init__(self, act: Callable[[Session], Any]) -> None:
        self.act = act
        self.done = threading.Event()
        self.error: Exception | None = None


class Listener:
    """A subscription to wake-ups."""

    def __init__(self, line: LiveLine, serial: int) -> None:
        self._line = line
        self._serial = serial

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(StoreError):
            self._line.stop_listening(self._serial)
