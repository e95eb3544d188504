"""What a thread's transaction over two stores has done in the second one, and how that is undone."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from penstock.store.protocol import Store
from penstock.store.rows import ClaimedSlice, SliceSettlement

Key = tuple[UUID, int, int, int]
"""Names the settlement of one attempt at one slice."""


def key_of(settled: SliceSettlement) -> Key:
    """Return what names a settlement."""
    return settled.job_id, settled.slice_id, settled.number, settled.attempt


@dataclass(slots=True)
class Work:
    """A transaction of the first store, and what belongs to it in the second."""

    claimed: list[tuple[UUID, ClaimedSlice]] = field(default_factory=list)
    """Slices taken, without their payloads."""
    settled: set[Key] = field(default_factory=set)
    """What has been settled."""
    changed: set[UUID] = field(default_factory=set)
    """Jobs whose slices were added or queued again: they are looked at once that holds."""
    after: list[Callable[[], object]] = field(default_factory=list)
    """What cannot be undone, and so waits for the end."""
    _joined: ExitStack | None = None

    def join(self, slices: Store) -> None:
        """Have what is written to the second store from here on happen together, or not at all."""
        if self._joined is None:
            self._joined = ExitStack()
            self._joined.enter_context(slices.transaction())

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Commit what was joined when the block ends, or undo it."""
        try:
            yield
        except BaseException as error:
            joined, self._joined = self._joined, None
            if joined is not None:
                joined.__exit__(type(error), error, error.__traceback__)
            raise
        joined, self._joined = self._joined, None
        if joined is not None:
            joined.close()
