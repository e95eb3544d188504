"""Job ids: UUIDs of version 7 (RFC 9562), which sort in the order of their making.

Inside a process ids made later are always greater, also within one millisecond and when the
clock steps back, because the sub-millisecond part is a counter that never goes down.
"""

import os
import threading
import time
from uuid import UUID

from penstock.errors import JobNotFound

_lock = threading.Lock()
_last = 0


def new_id() -> UUID:
    """Return a new id, greater than every id this process made before."""
    global _last
    # 48 bits of milliseconds and 12 bits that count on within one: together they only go up.
    stamp = (time.time_ns() << 12) // 1_000_000
    with _lock:
        _last = stamp = max(stamp, _last + 1)
    random = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
    return UUID(int=(stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random)


def parse_id(text: str) -> UUID:
    """Return the id that `text` spells.

    Raises:
        JobNotFound: `text` is not the text of an id.
    """
    try:
        return UUID(text.strip())
    except ValueError:
        raise JobNotFound(f"{text!r} is not a job id; `penstock jobs list` shows the ids") from None
