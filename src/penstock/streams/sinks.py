"""Where written bytes end up: what every sink has, and those that cannot take anything back."""

import contextlib
import errno
import io
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from penstock.errors import OutputError
from penstock.streams.places import name_of

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_TROUBLE = {
    errno.ENOENT: "its folder does not exist; create it first",
    errno.EISDIR: "this is a directory; name a file in it",
    errno.EACCES: "there is no permission to write it; check owner and mode of it and its folder",
    errno.EROFS: "it is on a read-only file system; name another place",
    errno.ENOSPC: "the disk is full; free some space and start again",
    errno.EDQUOT: "the disk quota is used up; free some space and start again",
}


def told(error: OSError) -> str:
    """What the system said on writing, and what to do next."""
    return _TROUBLE.get(error.errno or 0) or f"writing failed: {error.strerror or error}"


def _nothing() -> None:
    """What there is to let go of a file of this machine."""


class Sink(io.RawIOBase):
    """A writable stream that ends in `commit` or `discard`; closing it undecided discards.

    A failed write discards at once. What is written after that goes nowhere: encoders may end in peace.
    """

    aftermath = ""
    """What a message adds on the state that a failure leaves behind."""

    def __init__(self, name: str, file: IO[bytes]) -> None:
        super().__init__()
        self.name = name
        self.settled = False
        self.let_go: Callable[[], None] = _nothing
        """Called once when it is settled: what it was reached by can be closed."""
        self._file = file

    def _publish(self) -> None:
        """Make what was written count."""
        raise NotImplementedError

    def _retract(self) -> None:
        """Undo what was written, as far as that can be done. Must not raise."""
        raise NotImplementedError

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: "ReadableBuffer") -> int:
        """Write all of `data`.

        Raises:
            OutputError: It could not be written; the sink is discarded.
        """
        view = memoryview(data).cast("B")
        if self.settled:
            return len(view)
        try:
            self._write_all(view)
        except OSError as error:
            self.discard()
            raise self._refusal(error) from error
        return len(view)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        if not self.settled:
            self._file.flush()

    def commit(self) -> None:
        """Make what was written count, once. Discards when that fails.

        Raises:
            OutputError: That failed, or it was discarded before.
        """
        if self.settled:
            raise OutputError(f"{self.name}: the output was discarded before; open it again and write it anew")
        try:
            self._publish()
        except OSError as error:
            self.discard()
            raise self._refusal(error) from error
        self.settled = True
        self._let_go()

    def discard(self) -> None:
        """Undo what was written, unless it was committed."""
        if not self.settled:
            self.settled = True
            self._retract()
            self._let_go()

    def close(self) -> None:
        """Discard, unless it was committed."""
        if not self.closed:
            self.discard()
            super().close()

    def _let_go(self) -> None:
        let_go, self.let_go = self.let_go, _nothing
        let_go()

    def _refusal(self, error: OSError) -> Exception:
        """The error to raise for what the system said."""
        return OutputError(f"{self.name}: {told(error)}{self.aftermath}")

    def _close_quietly(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()

    def _write_all(self, view: memoryview) -> None:
        while view:
            written = self._file.write(view)
            if written is None and isinstance(self._file, io.RawIOBase):
                raise BlockingIOError(errno.EAGAIN, "it takes no more bytes for now (non-blocking)")
            view = view[len(view) if written is None else written :]


class PlainSink(Sink):
    """A device or pipe, written as it is: nothing can be taken back."""

    def _publish(self) -> None:
        self._file.close()

    def _retract(self) -> None:
        self._close_quietly()


class BorrowedSink(Sink):
    """A file object of somebody else: written through, flushed on commit, never closed."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(name_of(file), file)

    def _publish(self) -> None:
        self._file.flush()

    def _retract(self) -> None:
        pass

    def _refusal(self, error: OSError) -> Exception:
        # Who reads our standard output may stop reading: that is theirs to judge.
        return error if isinstance(error, BrokenPipeError) else super()._refusal(error)
