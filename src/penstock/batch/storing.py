"""Storing slices beside cutting them: a thread that writes one batch while the next is read.

Measured with `--overlap`, where both wait for the dispatcher's turns: an eighth off the whole run.
"""

import queue
import threading
from uuid import UUID

from penstock.batch.categories import MAIN
from penstock.store.protocol import Store
from penstock.store.rows import NewSlice

Batch = list[NewSlice]


class Storer:
    """Appends batches of slices to a job, in order. At most one batch waits, so memory stays bounded."""

    def __init__(self, store: Store, job_id: UUID) -> None:
        self._store = store
        self._job_id = job_id
        self._batches: queue.Queue[Batch | None] = queue.Queue(maxsize=1)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="penstock-storer", daemon=True)
        self._thread.start()

    def put(self, batch: Batch) -> None:
        """Hand over a batch.

        Raises:
            StoreError: an earlier batch could not be stored.
        """
        self._raise_error()
        self._batches.put(batch)

    def finish(self) -> None:
        """Wait until all batches are stored.

        Raises:
            StoreError: one could not be.
        """
        self.stop()
        self._raise_error()

    def stop(self) -> None:
        """Wait for the batches that were handed over, and end. A second call does nothing."""
        if self._thread.is_alive():
            self._batches.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            if self._error is None:
                try:
                    self._store.append_slices(self._job_id, MAIN, batch)
                except BaseException as error:
                    self._error = error

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
