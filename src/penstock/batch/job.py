"""`BatchJob`: a job whose input is many records."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, ClassVar, Self, cast, overload

from pydantic import PrivateAttr

from penstock.batch.positions import Position
from penstock.batch.record import BatchRecord
from penstock.batch.statistics import Counted, nested
from penstock.model.job import Job
from penstock.model.metaclass import JobMeta
from penstock.model.storing import joined
from penstock.store import current_store

if TYPE_CHECKING:
    from penstock.batch.download import Output
    from penstock.batch.repair import FailedRecord
    from penstock.batch.shape import Shape
    from penstock.batch.upload import RecordWriter
    from penstock.streams import SchemeOptions, StreamOptions, Streams

Source = str | PathLike[str] | IO[bytes] | IO[str] | Iterable[Any]
"""Where records come from: a path, an open file, or any iterable of storable values."""


class BatchJob(BatchRecord, abstract=True):
    """A job whose input is many records: `perform(record)` is called for each of them.

    Records are stored, claimed and finished in slices. Results come out in the order of the input.
    """

    everything: ClassVar[bool] = True

    _is_alone: bool = PrivateAttr(False)
    _position: Position | None = PrivateAttr(None)
    _shape: "Shape | None" = PrivateAttr(None)
    _counted: "Counted | None" = PrivateAttr(None)

    @property
    def record_number(self) -> int:
        """The number in the job of the record being performed, from 1. Only `perform` may ask."""
        if self._position is None:
            raise AttributeError("record_number is known only while perform runs")
        return self._position.record_number

    def stand_at(self, position: Position | None) -> None:
        """Say where `perform` is."""
        self._position = position

    @property
    def throttles_slices(self) -> bool:
        """Whether anything is asked before a slice."""
        return bool(self.throttles) or type(self).slices_closed_until is not Job.slices_closed_until

    @property
    def is_alone(self) -> bool:
        """Whether records are performed one by one, to find which of them kills the process."""
        return self._is_alone

    @property
    def records_at_once(self) -> int:
        """How many records of a slice may be under way at once."""
        return 1 if self._is_alone else max(1, self.concurrency)

    @property
    def slice_shape(self) -> "Shape":
        """How its slices are read and its results written, as it was when first asked."""
        if self._shape is None:
            from penstock.batch.shape import Shape

            self._shape = Shape(self)
        return self._shape

    # Figures -------------------------------------------------------------------------------------

    def add_statistic(self, key: str, number: int = 1) -> None:
        """Add to one of the job's `statistics`; it counts when the record being performed has succeeded.

        Dots in `key` nest: `errors.address`.
        """
        if self._counted is None:
            self._counted = Counted()
        self._counted.add(key, number, self._position)

    def forget_counted(self, position: int) -> None:
        """Drop what was counted for a record of the slice that is performed now."""
        if self._counted is not None:
            self._counted.forget(position)

    def take_statistics(self, succeeded: int, *, through: bool) -> dict[str, int]:
        """Return what was counted for the first records of the slice, as many as succeeded, and forget the rest.

        What its hooks counted is with it where the slice is `through`.
        """
        counted, self._counted = self._counted, None
        return {} if counted is None else counted.sum(succeeded, through=through)

    @property
    def statistics(self) -> dict[str, Any]:
        """What `add_statistic` added up so far, over all slices that are stored; keys with dots are nested."""
        return nested(current_store().statistics(self.id))

    def watch_records(
        self,
        note: Callable[[int], None],
        limit: "Callable[[], AbstractContextManager[None]]" = nullcontext,
        *,
        alone: bool = False,
    ) -> None:
        """Tell `note` the number of each record before it is performed, to name the one that kills the process.

        Each is performed inside what `limit` gives, and `alone` where several could be at once. A second call takes
        the place of the first.
        """
        self._is_alone = alone
        self.__dict__.pop("perform", None)
        perform = self.perform

        def watched(record: Any) -> Any:
            note(self.record_number)
            with limit():
                return perform(record)

        async def watched_alone(record: Any) -> Any:
            # What takes too long is cancelled on the event loop.
            note(self.record_number)
            return await perform(record)

        self.__dict__["perform"] = watched_alone if self.is_async else watched
        self.__dict__.pop("perform_slice", None)
        perform_slice = self.perform_slice
        if perform_slice is not None:

            def watched_slice(records: Any) -> Any:
                note(self.record_number)
                with limit():
                    return perform_slice(records)

            self.__dict__["perform_slice"] = watched_slice

    def perform(self, record: Any) -> Any:  # type: ignore[override]
        """Do the work for one record and return its result. Every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no perform method")

    def perform_now(self) -> Self:
        """Perform all slices here and now, one after another, in this process.

        The first exception of `perform` comes out; called again, it goes on at the record that raised.
        """
        from penstock.batch.inline import perform_here

        with self.performed_here():
            perform_here(self)
        return self

    @overload
    def upload(self, source: Source, **options: Any) -> int: ...

    @overload
    def upload(self, source: None = None, **options: Any) -> "AbstractContextManager[RecordWriter]": ...

    def upload(self, source: Source | None = None, **options: Any) -> "int | AbstractContextManager[RecordWriter]":
        """Store records; several uploads add up. Whatever goes wrong, nothing of them stays stored.

        Args:
            source: A path, an open file, or an iterable of records. None gives a context manager
                that yields a writer with `write(record)`.
            options: As `penstock.batch.upload.UploadOptions` says.

        Returns:
            The number of records.

        Raises:
            InputError: the input is missing, unreadable, broken or too large; file and line are named.
        """
        from penstock.batch.sources import upload_source
        from penstock.batch.upload import UploadOptions, writing_records

        chosen = UploadOptions(**options)
        if source is None:
            return writing_records(self, chosen)
        with joined(current_store(), chosen.connection):
            return upload_source(self, source, chosen)

    def download(
        self,
        target: "str | PathLike[str] | IO[bytes] | None" = None,
        category: str | None = None,
        *,
        partial: bool = False,
        streams: "Streams | None" = None,
        stream_options: "StreamOptions | None" = None,
        scheme_options: "SchemeOptions | None" = None,
    ) -> int:
        """Write an output, a line for each record, in input order; rows as its format, or the file's name, asks for.

        Args:
            target: A path, written under a temporary name and renamed when whole, or an open binary file.
                None takes the category's `file_name`.
            category: The output; None takes the first.
            partial: Write what there is of a job that is not completed, instead of refusing.
            streams: The codecs of the file, outermost last. None: those that its name asks for.
            stream_options: Options of the codecs, as `{"age": {"recipients": [...]}}`.
            scheme_options: Options of the scheme of a URL, as credentials.

        Returns:
            The number of records written.

        Raises:
            JobIncomplete: the job is not completed, or was destroyed on completion.
            OutputError: the target cannot be written; nothing is left of it.
        """
        from penstock.batch.download import download_output

        options = {"streams": streams, "stream_options": stream_options, "scheme_options": scheme_options}
        return download_output(self, target, category, partial=partial, options=options)

    def each_failed_record(self) -> "Iterator[FailedRecord]":
        """Yield the record at which each failed slice stopped, in input order."""
        from penstock.batch.repair import each_failed_record

        return each_failed_record(self)

    def edit_record(self, record_number: int, record: Any) -> Self:
        """Put another record in the place of one that a failed slice has not done; `retry` then performs it.

        Raises:
            InputError: no failed slice holds it, or it is done.
            JobChanged: the slice was retried or edited meanwhile.
        """
        from penstock.batch.repair import edit_record

        edit_record(self, record_number, lambda _: record)
        return self

    def reject_failed(self, record_number: int) -> Self:
        """Reject the record at which a slice stopped: its slice goes on behind it, at once or when the job is retried.

        Raises:
            InputError: no failed slice stopped at it.
            JobChanged: the slice was retried or edited meanwhile.
        """
        from penstock.batch.repair import reject_failed

        reject_failed(self, record_number)
        return self

    def delete_failed(self, record_number: int) -> Self:
        """Drop the record at which a slice stopped, for good: its slice goes on behind it, as after `reject_failed`.

        Nothing of it is kept, in no output. It counts among those processed.

        Raises:
            InputError: no failed slice stopped at it.
            JobChanged: the slice was retried or edited meanwhile.
        """
        from penstock.batch.repair import delete_failed

        delete_failed(self, record_number)
        return self

    def resubmit(self, source: "str | PathLike[str] | Mapping[int, Any]") -> int:
        """Perform rejected records again, corrected; each result goes to its numbered place in the output.

        A job that is completed or failed runs again for them. What is rejected once more is among the rejects again.

        Args:
            source: The file that `download(path, "rejects")` wrote, after its `record` column was corrected: csv, jsonl
                or another format that its name tells. Rows that were taken out stay rejected. Or records by number.

        Returns:
            The number of records that come back.

        Raises:
            InputError: a record is not among those that are rejected now, or the file cannot be read.
            InvalidMove: the job is aborted, or in its own hooks.
        """
        from penstock.batch.resubmit import corrected_in, resubmit_records

        corrected = source if isinstance(source, Mapping) else corrected_in(source)
        return resubmit_records(self, corrected)

    @property
    def output(self) -> "Output":
        """The first output, to iterate: slices, and in them records. `job.output["invalid"]` gives another."""
        from penstock.batch.download import Output

        return Output(self, self.output_category())


def batch_job_of(function: Any, *, kind: str) -> type[BatchJob]:
    """Return a batch job class whose `perform` is a plain function of one record."""
    body = {
        "__module__": function.__module__,
        "__qualname__": f"{function.__qualname__}.<locals>.job",
        "__doc__": function.__doc__,
        "collect_output": True,
        # A static method: the function itself is called for each record, with nothing in between.
        "perform": staticmethod(function),
    }
    return cast("type[BatchJob]", JobMeta(function.__name__, (BatchJob,), body, kind=kind))
