"""Wake-ups between processes that share a SQLite file, and within one for a store in memory.

Every listener binds a datagram socket in a folder beside the store; who commits sends one byte to each.
A socket whose process is gone is removed by the next sender. Sockets have short names below `/proc/self/fd`,
because the name of a Unix socket may not exceed about 100 bytes and the path of a store may.
"""

import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Callable

from penstock.store.protocol import Topic

_serial = itertools.count(1)


class LiveFolder:
    """The folder beside the store with the sockets of listeners and the locks of live processes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._names: tuple[int, list[str]] = (0, [])

    def make(self) -> None:
        """Make the folder, for this user only."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)

    def names(self) -> list[str]:
        """Return the names in the folder; it is read again only when it has changed."""
        try:
            changed = os.stat(self.path).st_mtime_ns
        except FileNotFoundError:
            return []
        if self._names[0] != changed:
            self._names = (changed, os.listdir(self.path))
        return self._names[1]

    def forget(self) -> None:
        """Read the folder afresh next time."""
        self._names = (0, [])

    def socket_path(self, name: str) -> str:
        """Return a path to `name` that is short enough for a socket where the system allows it."""
        path = os.path.join(self.path, name)
        if len(os.fsencode(path)) < 100 or not os.path.isdir("/proc/self/fd"):
            return path
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._descriptor}/{name}"

    def close(self) -> None:
        """Close the handle on the folder, and remove the folder when it is empty."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        with contextlib.suppress(OSError):
            os.rmdir(self.path)


class FileWakeups:
    """Wake-ups by datagram."""

    def __init__(self, folder: str) -> None:
        self.folder = LiveFolder(folder)
        self._sender: socket.socket | None = None
        self._sending = threading.Lock()
        self._listeners: list[_SocketListener] = []

    def announce(self, topics: set[Topic]) -> None:
        """Wake every listener of these topics. Never blocks: a full socket has a wake-up waiting already."""
        prefixes = tuple(f"{topic}." for topic in topics)
        for name in self.folder.names():
            if name.startswith(prefixes):
                self._send(name)

    def listen(self, topic: Topic, callback: Callable[[], None]) -> "_SocketListener":
        """Call `callback` from a thread whenever `topic` is announced."""
        self.folder.make()
        name = f"{topic}.{os.getpid()}.{next(_serial)}"
        listener = _SocketListener(self.folder, name, callback)
        self._listeners.append(listener)
        return listener

    def close(self) -> None:
        """Stop all listeners."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        with self._sending:
            if self._sender:
                self._sender.close()
                self._sender = None
        self.folder.close()

    def _send(self, name: str) -> None:
        with self._sending:
            if self._sender is None:
                self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._sender.setblocking(False)
            try:
                self._sender.sendto(b"!", self.folder.socket_path(name))
            except ConnectionRefusedError:
                self._remove(name)
            except FileNotFoundError:
                self.folder.forget()
            except OSError:
                pass  # Full, or not ours to write to: the listener looks by itself now and then.

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.folder.path, name))
        self.folder.forget()


class _SocketListener:
    def __init__(self, folder: LiveFolder, name: str, callback: Callable[[], None]) -> None:
        self._path = os.path.join(folder.path, name)
        self._callback = callback
        self._closed = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(folder.socket_path(name))
        os.chmod(self._path, 0o600)
        self._thread = threading.Thread(target=self._run, name=f"penstock-{name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                self._socket.recv(16)
            except OSError:
                if not self._closed:  # `close` waits only so long for a callback.
                    raise
            if self._closed:
                return
            self._callback()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._closed:
            return
        self._closed = True
        # A datagram to ourselves ends the wait of the thread; closing the socket under it would not.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(b"!", self._socket.getsockname())
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        if threading.current_thread() is not self._thread:
            self._thread.join(2)
        self._socket.close()


class MemoryWakeups:
    """Wake-ups within one process: the callbacks run in the committing thread."""

    def __init__(self) -> None:
        self._listeners: dict[int, tuple[Topic, Callable[[], None]]] = {}

    def announce(self, topics: set[Topic]) -> None:
        """Call the listeners of these topics."""
        for topic, callback in list(self._listeners.values()):
            if topic in topics:
                callback()

    def listen(self, topic: Topic, callback: Callable[[], None]) -> "_MemoryListener":
        """Call `callback` whenever `topic` is announced."""
        serial = next(_serial)
        self._listeners[serial] = (topic, callback)
        return _MemoryListener(self._listeners, serial)

    def close(self) -> None:
        """Stop all listeners."""
        self._listeners.clear()


class _MemoryListener:
    def __init__(self, listeners: dict[int, tuple[Topic, Callable[[], None]]], serial: int) -> None:
        self._listeners = listeners
        self._serial = serial

    def close(self) -> None:
        """Stop listening."""
        self._listeners.pop(self._serial, None)
