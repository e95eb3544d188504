"""`BatchJob`: a job whose input is many records."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, cast, overload

from pydantic import PrivateAttr

from penstock.batch.categories import InputCategory, OutputCategories, OutputCategory
from penstock.model.fields import field
from penstock.model.job import Job
from penstock.model.metaclass import JobMeta
from penstock.store.protocol import Store

if TYPE_CHECKING:
    from penstock.batch.download import Output
    from penstock.batch.upload import RecordWriter

Source = str | PathLike[str] | IO[bytes] | IO[str] | Iterable[Any]
"""Where records come from: a path, an open file, or any iterable of storable values."""


class Position(NamedTuple):
    """Where `perform` is: the record it was called with follows those that have results."""

    first_record: int
    results: list[Any]

    @property
    def record_number(self) -> int:
        """The number in the job of the record being performed, from 1."""
        return self.first_record + len(self.results)


class BatchJob(Job, abstract=True):
    """A job whose input is many records: `perform(record)` is called for each of them.

    Records are stored, claimed and finished in slices. Results come out in the order of the input.
    """

    batch: ClassVar[bool] = True
    everything: ClassVar[bool] = True

    slice_size: int = field(
        100,
        ge=1,
        le=1_000_000,
        copy_on_restart=True,
        description="Records that are claimed and finished as one.",
    )
    input_category: InputCategory = field(default_factory=InputCategory, description="The input.")
    output_categories: OutputCategories = field(
        default_factory=list,
        copy_on_restart=True,
        description="The outputs; results are dropped where there is none.",
    )

    _position: Position | None = PrivateAttr(None)

    @property
    def record_count(self) -> int | None:
        """Records uploaded, as last read; None before the first upload has ended."""
        return self.row.record_count

    @property
    def record_number(self) -> int:
        """The number in the job of the record being performed, from 1. Only `perform` may ask."""
        if self._position is None:
            raise AttributeError("record_number is known only while perform runs")
        return self._position.record_number

    def stand_at(self, position: Position | None) -> None:
        """Say where `perform` is."""
        self._position = position

    def forget_unfinished_upload(self, store: Store, record_count: int) -> None:
        """Drop what was uploaded beyond a number of records: it never came to count."""
        store.drop_unfinished_upload(self.id)
        self.row.record_count = record_count or None
        self.input_category = self.input_category.up_to(record_count)

    def watch_records(self, note: Callable[[int], None]) -> None:
        """Tell `note` the number of each record before it is performed, to name the one that kills the process."""
        perform = self.perform

        def watched(record: Any) -> Any:
            note(self.record_number)
            return perform(record)

        self.__dict__["perform"] = watched

    def collected_categories(self) -> list[OutputCategory]:
        """Return the output categories that results go to; the first takes those that name none."""
        return self.output_categories or ([OutputCategory()] if self.collect_output else [])

    def output_category(self, name: str | None = None) -> OutputCategory:
        """Return an output category by name, or the first.

        Raises:
            KeyError: the job has no such output.
        """
        categories = self.collected_categories()
        for category in categories:
            if name in (None, category.name):
                return category
        known = ", ".join(category.name for category in categories) or "none; set collect_output = True"
        raise KeyError(f"{type(self).__name__} has no output category {name!r}; it has: {known}")

    def perform(self, record: Any) -> Any:  # type: ignore[override]
        """Do the work for one record and return its result. Every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no perform method")

    def perform_now(self) -> Self:
        """Perform all slices here and now, one after another, in this process.

        The first exception of `perform` comes out; called again, it goes on at the record that raised.
        """
        from penstock.batch.inline import perform_here

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
        from penstock.batch.upload import UploadOptions, upload_source, writing_records

        chosen = UploadOptions(**options)
        return writing_records(self, chosen) if source is None else upload_source(self, source, chosen)

    def download(
        self,
        target: "str | PathLike[str] | IO[bytes] | None" = None,
        category: str | None = None,
        *,
        partial: bool = False,
    ) -> int:
        """Write an output, a line for each record, in input order.

        Args:
            target: A path, written under a temporary name and renamed when whole, or an open binary file.
                None takes the category's `file_name`.
            category: The output; None takes the first.
            partial: Write what there is of a job that is not completed, instead of refusing.

        Returns:
            The number of records written.

        Raises:
            JobIncomplete: the job is not completed, or was destroyed on completion.
            OutputError: the target cannot be written; nothing is left of it.
        """
        from penstock.batch.download import download_output

        return download_output(self, target, category, partial=partial)

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
