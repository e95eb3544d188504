"""Servers that are played by a thread each, for tests of those who ask something of them."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from penstock.store import Store

SETTLED = {"pause": "paused", "resume": "running", "stop": "stopping", "kill": "stopping"}
"""The state that a server shows when it has done, or begun, as it was asked."""


@contextmanager
def obeying(store: Store, names: Sequence[str], answer: str | None = None, commands: int = 1) -> Iterator[None]:
    """Play servers that do as they are asked, each so many times."""

    def obey(name: str) -> None:
        for _ in range(commands):
            while (command := store.command_of(name)) is None and not ended.is_set():
                time.sleep(0.001)
            if command is None:
                return
            row = next(row for row in store.servers() if row.name == name)
            store.beat(name, SETTLED.get(command, row.state), kinds=row.kinds)
            store.answer_command(name, command, answer or "done")

    ended = threading.Event()
    threads = [threading.Thread(target=obey, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
