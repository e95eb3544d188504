"""Job ids: UUIDs of version 7 (RFC 9562), which sort in the order of their making.

Inside a process ids made later are always greater, also within one millisecond and when the
clock steps back, because the sub-millisecond part is a counter that never goes down.
"""

import os
import struct
import threading
import time
from uuid import UUID, SafeUUID

from penstock.errors import JobNotFound

_DRAWN = 256
"""Random numbers drawn at once. The system is asked for them, and meanwhile other threads get their turn: for each id
that would cost more than the rest of it."""
_lock = threading.Lock()
_last = 0
_randoms: list[int] = []
# A process that was forked must not use the same.
os.register_at_fork(after_in_child=_randoms.clear)


def new_id() -> UUID:
    """Return a new id, greater than every id this process made before."""
    global _last
    # 48 bits of milliseconds and 12 bits that count on within one: together they only go up.
    stamp = (time.time_ns() << 12) // 1_000_000
    with _lock:
        _last = stamp = max(stamp, _last + 1)
        random = (_randoms or _drawn()).pop() >> 2
    return uuid_of((stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random)


def uuid_of(number: int) -> UUID:
    """Return the UUID of 128 bits: as `UUID(int=…)`, which first looks at all the ways in which it can be called."""
    made = UUID.__new__(UUID)
    object.__setattr__(made, "int", number)
    object.__setattr__(made, "is_safe", SafeUUID.unknown)
    return made


def _drawn() -> list[int]:
    _randoms.extend(struct.unpack(f"{_DRAWN}Q", os.urandom(8 * _DRAWN)))
    return _randoms


def parse_id(text: str) -> UUID:
    """Return the id that `text` spells.

    Raises:
        JobNotFound: `text` is not the text of an id.
    """
    try:
        return UUID(text.strip())
    except ValueError:
        raise JobNotFound(f"{text!r} is not a job id; `penstock jobs list` shows the ids") from None
