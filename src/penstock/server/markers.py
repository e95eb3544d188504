"""What each slot of a worker works on, in memory that outlives the worker: so a death is laid to the right piece."""

import mmap
import os
import struct
import tempfile

MOST_SLOTS = 256
_RECORD = struct.Struct("=qqd")
_PLACE, _DEADLINE = struct.Struct("=q"), struct.Struct("=d")
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
    """For each slot: the key of its assignment, the record it is at, and when it must have ended; 0 for none.

    A deadline is in seconds of the monotonic clock, which all processes of a machine share.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, SIZE)

    def set(self, slot: int, key: int) -> None:
        """Note what a slot works on."""
        _RECORD.pack_into(self._memory, slot * _RECORD.size, key, 0, 0.0)

    def note_place(self, slot: int, record_number: int) -> None:
        """Note which record a slot is at."""
        _PLACE.pack_into(self._memory, slot * _RECORD.size + 8, record_number)

    def note_deadline(self, slot: int, moment: float) -> None:
        """Note when the process is to be killed if the slot is still at what it works on."""
        _DEADLINE.pack_into(self._memory, slot * _RECORD.size + 16, moment)

    def clear(self, slot: int) -> None:
        """Note that a slot waits."""
        _RECORD.pack_into(self._memory, slot * _RECORD.size, 0, 0, 0.0)

    def working_on(self) -> dict[int, int]:
        """Return the keys of what slots work on, each with the record it is at, 0 for unknown."""
        return {key: place for key, place, _ in _RECORD.iter_unpack(self._memory[:]) if key}

    def overdue(self, now: float) -> list[int]:
        """Return the keys of what should have ended by now."""
        return [key for key, _, deadline in _RECORD.iter_unpack(self._memory[:]) if key and 0 < deadline <= now]

    def close(self) -> None:
        """Let the memory go."""
        self._memory.close()
