"""A proxy in front of PostgreSQL that can stop passing anything on, as a network does that drops packets."""

import contextlib
import socket
import threading
from collections.abc import Callable


class StallingProxy:
    """Listens on a TCP port of this machine and passes connections on to a socket of another server.

    While it stalls, nothing is passed in either direction and nothing is closed: new connections are taken, and hang.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._flows = threading.Event()
        self._flows.set()
        self._guard = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listening.getsockname()[1]
        self._start(self._accept)

    def stall(self) -> None:
        """Drop everything from now on."""
        self._flows.clear()

    def flow(self) -> None:
        """Pass everything on again, what came meanwhile too."""
        self._flows.set()

    def sever(self) -> None:
        """Close all connections, as a reset would."""
        with self._guard:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for one in pair:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it, and wait until all is closed."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # Closing alone would leave who accepts there.
        self._flows.set()
        while self._threads:
            self.sever()
            self._threads.pop(0).join()
        self._listening.close()

    def _start(self, act: Callable[..., None], *given: socket.socket) -> None:
        thread = threading.Thread(target=act, args=given, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._start(self._carry, client)

    def _carry(self, client: socket.socket) -> None:
        self._flows.wait()
        with client, socket.socket(socket.AF_UNIX) as server:
            try:
                server.connect(self._target)
            except OSError:
                return
            pair = (client, server)
            with self._guard:
                self._pairs.append(pair)
            back = threading.Thread(target=self._pass_on, args=(server, client), daemon=True)
            back.start()
            self._pass_on(client, server)
            back.join()
            with self._guard:
                self._pairs = [one for one in self._pairs if one is not pair]

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._flows.wait()
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
