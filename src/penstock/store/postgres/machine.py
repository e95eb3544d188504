"""Which machine this is, and whether a process of it lives."""

import os
import socket
from contextlib import suppress
from functools import cache


@cache
def this_machine() -> str:
    """Return a name that processes share when they can look for each other by their process ids.

    That is the host, its boot, and the space of process ids: two containers may have one host name.
    """
    parts = [socket.gethostname()]
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        parts.append(file.read().strip())
    with suppress(OSError):
        parts.append(str(os.stat("/proc/self/ns/pid").st_ino))
    return "/".join(parts)


def is_running(pid: int) -> bool:
    """Tell whether a process of this id lives on this machine; not one that has ended and is not waited for yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        # The name in brackets may hold anything; what follows the last bracket does not.
        return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    return True
