"""Writing the finished prefix of an output while the rest is still being processed."""

import sys
import threading
from typing import IO, Any

from penstock.batch.categories import OutputCategory
from penstock.batch.download import write_outputs
from penstock.batch.job import BatchJob
from penstock.batch.rendering import rendering_of
from penstock.store.protocol import Store
from penstock.store.rows import OutputRow
from penstock.streams import open_writer

LOOK_SECONDS = 0.05


class PrefixWriter:
    """Follows one output in a thread of its own. The file is in place only after `finish`."""

    def __init__(self, store: Store, job: BatchJob, category: OutputCategory, target: str) -> None:
        self.category = category
        self.count = 0
        self._store = store
        self._job_id = job.id
        self._rendering = rendering_of(job, category, target)
        where: str | IO[bytes] = sys.stdout.buffer if target == "-" else target
        self._stream: Any = open_writer(where)
        self._after = (0, 0)
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="penstock-writer", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Write what is left and put the file in place.

        Raises:
            OutputError: the file could not be written.
        """
        self._join()
        if self._error is not None:
            raise self._error
        self._write(None)
        self._stream.write(self._rendering.end())
        self._stream.commit()

    def discard(self) -> None:
        """Leave no file behind, unless it is finished."""
        self._join()
        self._stream.discard()

    def _join(self) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        try:
            while not self._ended.wait(LOOK_SECONDS):
                first = self._store.first_unfinished(self._job_id)
                if first is not None:
                    self._write(first)
        except BaseException as error:
            self._error = error

    def _write(self, before: int | None) -> None:
        self.count += write_outputs(
            self._stream,
            map(
                self._note,
                self._store.outputs(self._job_id, self.category.name, after=self._after, before=before),
            ),
            self._rendering,
        )

    def _note(self, row: OutputRow) -> OutputRow:
        self._after = (row.number, row.part)
        return row
