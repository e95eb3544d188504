"""Between a request, which comes and goes as it likes, and code that reads or writes a file in a thread."""

import asyncio
import io
import queue
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import IO, Any, cast

from starlette.concurrency import run_in_threadpool

from penstock.errors import PenstockError

PIECES = 8
"""Pieces under way at once: with those of uvicorn, some hundred kilobytes."""
PIECE = 1 << 16
WAIT_SECONDS = 300.0
"""How long the other side may take for one piece before it counts as gone."""


class Gone(PenstockError):
    """The browser has gone, or sends nothing any more."""

    http_status = 400


class Incoming(io.RawIOBase):
    """A file that is being sent: read in a thread, filled from the event loop. Nothing of it is on disk."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._pieces: queue.Queue[bytes | None] = queue.Queue(PIECES)
        self._rest = b""
        self._ended = False
        self._read_by_nobody = threading.Event()
        self.broken = False
        """Whether it broke off."""
        self.trouble: str | None = None
        """Why, where that is known."""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next; 0 at the end.

        Raises:
            Gone: the browser went before the end.
        """
        while not self._rest and not self._ended:
            try:
                piece = self._pieces.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                raise Gone(f"{self.name}: nothing more came in {WAIT_SECONDS:g} s") from None
            self._ended, self._rest = piece is None, piece or b""
        if self._ended and self.broken:
            raise Gone(f"{self.name}: {self.trouble or 'the browser went before the whole file had come'}")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    async def put(self, piece: bytes | None) -> None:
        """Hand over what came, None at the end; waits while the reader has enough to do."""
        while not self._read_by_nobody.is_set():
            with suppress(queue.Full):
                self._pieces.put_nowait(piece)
                return
            await asyncio.sleep(0.005)

    def let_go(self) -> None:
        """Read no more: what comes is dropped."""
        self._read_by_nobody.set()

    def as_file(self) -> IO[bytes]:
        """Return it as the file that it is to its readers."""
        file = io.BufferedReader(self, 1 << 20)
        return cast("IO[bytes]", file)


class _Outgoing(io.RawIOBase):
    """A file that is being fetched: written in a thread, taken from it piece by piece."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[bytes | BaseException | None] = queue.Queue(PIECES)
        self._gathered = bytearray()
        self._left = threading.Event()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes.

        Raises:
            Gone: nobody fetches them any more.
        """
        self._gathered += data
        if len(self._gathered) >= PIECE:
            self.pass_on()
        return len(data)

    def pass_on(self) -> None:
        """Hand over what has gathered."""
        piece, self._gathered = bytes(self._gathered), bytearray()
        if piece:
            self.put(piece)

    def put(self, piece: bytes | BaseException | None) -> None:
        """Hand something over; waits while the browser is slow."""
        for _ in range(int(WAIT_SECONDS)):
            if self._left.is_set():
                break
            with suppress(queue.Full):
                self._pieces.put(piece, timeout=1)
                return
        raise Gone("the browser has gone")

    def take(self) -> bytes | None:
        """Return what comes next; None at the end. Raises what the writer raised."""
        piece = self._pieces.get()
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def leave(self) -> None:
        """Fetch no more."""
        self._left.set()


async def fetched(write: Callable[[IO[bytes]], object]) -> AsyncIterator[bytes]:
    """Return the bytes that a function writes into a file, as they come; the function runs in a thread.

    What it raises before the first piece is raised here, so that it can still be answered.
    """
    outgoing = _Outgoing()

    def run() -> None:
        try:
            write(cast("IO[bytes]", outgoing))
            outgoing.pass_on()
            outgoing.put(None)
        except BaseException as error:
            with suppress(Gone):
                outgoing.put(error)

    threading.Thread(target=run, name="penstock-web-download", daemon=True).start()
    first = await run_in_threadpool(outgoing.take)

    async def rest() -> AsyncIterator[bytes]:
        piece = first
        try:
            while piece is not None:
                yield piece
                piece = await run_in_threadpool(outgoing.take)
        finally:
            outgoing.leave()

    return rest()
