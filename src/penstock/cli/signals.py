"""Ctrl-C and SIGTERM for a command that runs in the main thread."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from penstock.errors import Stopped

SETTLE_SECONDS = 0.05
"""How long a handler is given to run by itself, before the main thread is interrupted once more."""


@contextmanager
def stopped_by_signals(stop: Callable[[], None], kill: Callable[[], None]) -> Iterator[None]:
    """Call `stop`, in the main thread, at the first Ctrl-C or SIGTERM; at the second call `kill` and leave at once."""
    count = 0

    def handle(*_: object) -> None:
        nonlocal count
        count += 1
        if count > 1:
            kill()
            os._exit(Stopped.exit_code)
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with _woken_by_signals():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _woken_by_signals() -> Iterator[None]:
    """Have a signal end a read in which the main thread waits, whichever thread the system gave it to.

    A handler runs in the main thread only. When another thread was interrupted, or this one was just about to
    read, nothing would make it leave a pipe that says nothing: so it is interrupted once more, by SIGURG.
    """
    main = threading.get_ident()
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)

    def kick() -> None:
        # The zero that ends it may come together with a signal.
        while 0 not in (numbers := os.read(receiver, 64)):
            if signal.SIGURG not in numbers:
                time.sleep(SETTLE_SECONDS)
                signal.pthread_kill(main, signal.SIGURG)

    thread = threading.Thread(target=kick, name="penstock-signals", daemon=True)
    old_handler = signal.signal(signal.SIGURG, lambda *_: None)
    old_descriptor = signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(old_descriptor)
        os.write(sender, b"\0")
        thread.join()
        signal.signal(signal.SIGURG, old_handler)
        os.close(receiver)
        os.close(sender)
