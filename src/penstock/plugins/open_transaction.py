"""The transaction in which an attempt, or a slice, works: opened for the first call of `perform`, and ended once."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Any

from penstock.errors import ConfigurationError, StoreBusy, StoreError, StoreFull, StoreUnavailable
from penstock.store.protocol import Store

Opens = Callable[[], Any]
Limit = Callable[[float | None], AbstractContextManager[None]]

STORE_TROUBLE = (StoreBusy, StoreFull, StoreUnavailable)
"""What has nothing to do with the work: it may be done later."""


class _Given(Exception):
    """Ends a transaction that is to be rolled back."""


class OpenTransaction:
    """See the module. Whoever runs the attempt commits it or rolls it back."""

    def __init__(self, name: str, opens: Opens, store: Store, limit: Limit) -> None:
        self._name = name
        self._opens = opens
        self._store = store
        self._limit = limit
        self._whole = ExitStack()
        self._performing = ExitStack()
        self._clock = ExitStack()
        self._connection: Any = None
        self.is_open = False
        self.trouble: StoreError | None = None
        """Why the store could not open it, where that is no fault of the job's."""

    def connection(self) -> Any:
        """Return the connection for `perform`; the transaction is open from the first call on."""
        if not self.is_open:
            try:
                self._open()
            except STORE_TROUBLE as error:
                self.trouble = error
                raise
        return self._connection

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Let the limit that began when it was opened end with the block."""
        try:
            yield
        finally:
            self._clock.close()

    def settling(self) -> AbstractContextManager[None]:
        """Take the connection back from `perform`, and return a block that writes in its transaction.

        Raises:
            WrongConnection: `perform` has ended the transaction.
        """
        self._clock.close()
        self._performing.close()
        return self._store.joining(self._connection)

    def commit(self) -> None:
        """Commit; a transaction that was never opened is none."""
        self._clock.close()
        self._performing.close()
        self.is_open = False
        self._whole.close()

    def roll_back(self) -> None:
        """Leave nothing of it; a second call does nothing."""
        self.is_open = False
        self._clock.close()
        given = _Given()
        for stack in (self._performing, self._whole):
            # What fails at that has no connection any more: then the database rolls back by itself.
            with suppress(Exception):
                stack.__exit__(_Given, given, None)

    def _open(self) -> None:
        with ExitStack() as whole, ExitStack() as performing:
            whole.enter_context(self._store.reserving())
            opened = self._opens()
            if not hasattr(opened, "__exit__"):
                raise ConfigurationError(f"{self._name}.transaction is no context manager: decorate it @contextmanager")
            self._connection = whole.enter_context(opened)
            performing.enter_context(self._store.joining(self._connection))
            self._clock.enter_context(self._limit(self._store.longest_hold))
            self._whole, self._performing = whole.pop_all(), performing.pop_all()
            self.is_open = True


def no_limit(_: float | None) -> AbstractContextManager[None]:
    """Return a block that may take as long as it likes."""
    return nullcontext()
