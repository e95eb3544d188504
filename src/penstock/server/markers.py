"""What each slot of a worker works on, in memory that outlives the worker: so a death is laid to the right piece."""

import mmap
import os
import struct
import tempfile

MOST_SLOTS = 256
_RECORD = struct.Struct("=qq")
SIZE = MOST_SLOTS * _RECORD.size


def new_descriptor() -> int:
    """Return a descriptor of fresh shared memory, to be inherited by a worker."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("penstock-markers")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, SIZE)
    return descriptor


class Markers:
    """A pair for each slot: the key of its assignment, 0 for none, and the record it is at, 0 for unknown."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, SIZE)

    def set(self, slot: int, key: int) -> None:
        """Note what a slot works on."""
        _RECORD.pack_into(self._memory, slot * _RECORD.size, key, 0)

    def note_place(self, slot: int, record_number: int) -> None:
        """Note which record a slot is at."""
        key, _ = _RECORD.unpack_from(self._memory, slot * _RECORD.size)
        _RECORD.pack_into(self._memory, slot * _RECORD.size, key, record_number)

    def clear(self, slot: int) -> None:
        """Note that a slot waits."""
        _RECORD.pack_into(self._memory, slot * _RECORD.size, 0, 0)

    def working_on(self) -> dict[int, int]:
        """Return the keys of what slots work on, each with the record it is at, 0 for unknown."""
        pairs = (_RECORD.unpack_from(self._memory, offset) for offset in range(0, SIZE, _RECORD.size))
        return {key: place for key, place in pairs if key}

    def close(self) -> None:
        """Let the memory go."""
        self._memory.close()
