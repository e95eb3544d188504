"""The common shape of everything that stands between a file and who reads it."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Stage(io.RawIOBase):
    """A readable stream that fetches its bytes from the stage beneath it, and closes that with itself."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.seen = 0
        """Bytes given out so far."""

    def fetch(self, size: int) -> bytes | None:
        """Up to `size` bytes; empty at the end, `None` when none are there yet (as `RawIOBase.read`)."""
        raise NotImplementedError

    def release(self) -> None:
        """Close what is beneath."""
        raise NotImplementedError

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """Fill `buffer` as far as one fetch does; 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = self.fetch(len(view))
        if data is None:
            return None
        view[: len(data)] = data
        self.seen += len(data)
        return len(data)

    def close(self) -> None:
        """Close this and everything beneath it that is ours. Closing twice does nothing."""
        if not self.closed:
            try:
                self.release()
            finally:
                super().close()
