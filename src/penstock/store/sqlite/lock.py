"""The side-file lock that every write transaction and checkpoint takes first.

It is fair between processes where SQLite's busy handler starves some of them, and it keeps writers and
checkpoints apart, which SQLite's WAL-reset defect (3.7.0 to 3.51.2, https://sqlite.org/wal.html) needs together.
"""

import fcntl
import os
import threading
from collections import defaultdict, deque

from penstock.errors import StoreBusy


class Turnstile:
    """A lock between the threads of a process that lets them through in the order in which they came."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Event] = deque()

    def acquire(self, timeout: float) -> bool:
        """Wait for the turn; False when it has not come within `timeout` seconds."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            turn = threading.Event()
            self._waiting.append(turn)
        try:
            came = turn.wait(timeout)
        except BaseException:
            # Ctrl-C: a turn given to nobody would stop everybody.
            if not self._leave(turn):
                self.release()
            raise
        return came or not self._leave(turn)

    def _leave(self, turn: threading.Event) -> bool:
        """Give up waiting; False when the turn has come after all."""
        with self._guard:
            if turn.is_set():
                return False
            self._waiting.remove(turn)
            return True

    def release(self) -> None:
        """Hand over to whoever has waited longest."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False


_turnstiles: dict[tuple[str, int], Turnstile] = defaultdict(Turnstile)
"""One for each lock file and process: a child of a fork starts with its own."""


class WriteLock:
    """One thread's handle on the lock file of a store. Not re-entrant."""

    def __init__(self, path: str, timeout: float = 60.0) -> None:
        self._path = path
        self._turnstile = _turnstiles[os.path.realpath(path), os.getpid()]
        self._timeout = timeout
        self._held = False
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def acquire(self) -> None:
        """Wait for the lock.

        Raises:
            StoreBusy: it was held by others for the whole time-out, 60 seconds by default.
        """
        if not self._turnstile.acquire(self._timeout):
            raise self._busy()
        try:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._wait()
        except BaseException:
            self._turnstile.release()
            raise
        self._held = True

    def acquire_now(self) -> bool:
        """Take the lock if it is free; False when it is not."""
        if not self._turnstile.acquire(0):
            return False
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._turnstile.release()
            return False
        self._held = True
        return True

    def release(self) -> None:
        """Give the lock to whoever waits longest."""
        self._held = False
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._turnstile.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def close(self) -> None:
        """Close the handle, which releases the lock."""
        if self._held:
            self.release()
        os.close(self._descriptor)

    def _wait(self) -> None:
        """Queue in the kernel, which is fair, from a thread that can be left behind: flock knows no time-out."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        waiting = _Waiting(descriptor)
        threading.Thread(target=waiting.run, name="penstock-lock", daemon=True).start()
        try:
            granted = waiting.granted.wait(self._timeout) or waiting.give_up()
        except BaseException:
            if waiting.give_up():
                os.close(descriptor)
            raise
        if not granted:
            raise self._busy()
        # The grant belongs to the waiter's open file; ours takes its place.
        os.dup2(descriptor, self._descriptor, inheritable=False)
        os.close(descriptor)

    def _busy(self) -> StoreBusy:
        return StoreBusy(
            f"{self._path} has been held for {self._timeout:g} s; "
            "if its holder is stopped (SIGSTOP), continue or kill it"
        )


class _Waiting:
    def __init__(self, descriptor: int) -> None:
        self.granted = threading.Event()
        self._descriptor = descriptor
        self._abandoned = False
        self._decided = threading.Lock()

    def run(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        with self._decided:
            if self._abandoned:
                os.close(self._descriptor)
            self.granted.set()

    def give_up(self) -> bool:
        """Abandon the wait; True when the lock was granted at the last moment after all."""
        with self._decided:
            self._abandoned = not self.granted.is_set()
            return self.granted.is_set()
