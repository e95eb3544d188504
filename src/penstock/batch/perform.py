"""Performing one slice: every record through the job's `perform`, in order, up to the first that fails."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from penstock import faults
from penstock.batch.job import BatchJob
from penstock.batch.payloads import place_of_input
from penstock.batch.positions import Position
from penstock.batch.rejects import Places, Rejected, places_of
from penstock.batch.shape import Shape
from penstock.errors import PenstockError
from penstock.model.attempt import Stopped, Verdict, around, held_back, perform_with_hooks, run_hooks
from penstock.model.failure import Failure
from penstock.records import decode_records
from penstock.store.rows import NewOutput

_SLICE_HOOKS = frozenset({"before_slice", "around_slice", "after_slice"})


class UnevenSlice(PenstockError):
    """`perform_slice` did not return one result for each record."""


class SliceWork(NamedTuple):
    """A slice to perform."""

    number: int
    first_record: int
    done: int
    """Records at its start that an earlier attempt has already processed."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class SliceOutcome:
    """What became of a slice."""

    done: int
    """Records processed, those of earlier attempts included."""
    outputs: tuple[NewOutput, ...]
    """Results of the records processed now."""
    failure: Failure | None = None
    """Why it stopped at record `done` + 1; None when it is through."""
    error: BaseException | None = None
    """The exception itself, for those who perform in their own process."""
    verdict: Verdict | None = None
    """What the slice decided about the job; then what is left of it is to be performed later."""
    rejected: int = 0
    """How many of those processed now were rejected."""
    statistics: dict[str, int] = field(default_factory=dict)
    """What was counted for those processed now."""


def perform_slice(
    job: BatchJob, work: SliceWork, *, worker_name: str | None = None, asks_throttles: bool = True
) -> SliceOutcome:
    """Perform the records of a slice that are not done yet.

    Every exception of user code ends the slice at its record, `SystemExit` and `KeyboardInterrupt` too, unless the
    job rejects records; what was performed before it counts.

    Raises:
        SealError: the slice does not open.
    """
    return _Performance(job, work).run(worker_name=worker_name, asks_throttles=asks_throttles)


class _Performance:
    """The performing of one slice."""

    def __init__(self, job: BatchJob, work: SliceWork) -> None:
        self._job = job
        self._done = work.done
        self._shape: Shape = job.slice_shape
        payload = self._shape.payloads.open(work.payload, place_of_input(work.first_record))
        self._places: Places = places_of(payload, work.number, work.first_record)
        records = self._places.records if self._places.records is not None else decode_records(payload)
        self._records = records[work.done :] if work.done else records
        self._results: list[Any] = []
        self._position = Position(self._places.first_record, self._results)

    def run(self, *, worker_name: str | None, asks_throttles: bool) -> SliceOutcome:
        """Perform it, and return what came of it."""
        job = self._job
        numbers = self._places.numbers
        first_record = self._places.first_record + self._done
        self._position = Position(first_record, self._results, numbers and numbers[self._done :])
        job.stand_at(self._position)
        decided = job.begin_attempt(stops=True)
        try:
            held = held_back(job, job.throttles, slices=True) if asks_throttles and job.throttles_slices else None
            error = self._perform_all() if held is None else None
        except BaseException as raised:  # A throttle.
            held, error = None, raised
        finally:
            job.end_attempt()
        outputs, refused = self._collect()
        while refused is not None:
            # What can be no output ends the slice where it stands; something before it may be worse.
            error = self._cut_off(*refused) or error
            outputs, refused = self._collect()
        done = self._done + len(self._results)
        if error is not None and job.whole_slices:
            done_now, outputs = self._done, ()
        else:
            done_now = done
        rejected = sum(map(_is_rejected, self._results)) if job.rejects_records and outputs else 0
        counted = job.take_statistics(len(self._results) if done_now == done else 0, through=error is None)
        told = partial(SliceOutcome, done_now, outputs, rejected=rejected, statistics=counted)
        if error is None:
            return told(verdict=held or (decided.verdict() if decided.move else None))
        if isinstance(error, Stopped):
            return told(verdict=decided.verdict())
        # Behind the last record a hook of the slice has failed, and no record.
        number = self._places.record_number(done) if len(self._results) < len(self._records) else None
        return told(job.describe(error, worker_name=worker_name, record_number=number), error)

    def _perform_all(self) -> BaseException | None:
        """Add the result of each record between the hooks of the slice, and return what ended it early."""
        job = self._job
        if _SLICE_HOOKS.isdisjoint(job.hooks):
            return self._perform_accepted()
        stopped_by = None
        outside = self._position._replace(in_record=False)
        job.stand_at(outside)
        try:
            run_hooks(job, "before_slice")
            with around(job, "around_slice"):
                job.stand_at(self._position)
                stopped_by = self._perform_accepted() or self._refusal()
                job.stand_at(outside)
                if stopped_by is not None:
                    raise stopped_by
            if stopped_by is None:
                run_hooks(job, "after_slice")
        except BaseException as error:
            return error
        return stopped_by  # Also where a hook swallowed it: the records behind it are not done.

    def _refusal(self) -> BaseException | None:
        """Cut results off at the first that can be no output, and return why it cannot."""
        error = None
        while error is None and (refused := self._collect()[1]) is not None:
            error = self._cut_off(*refused)
        return error

    def _cut_off(self, position: int, error: BaseException) -> BaseException | None:
        """End the results before one that can be no output, or reject its record; then there is no error."""
        if self._job.rejects_record(error):
            self._results[position] = self._rejected(position, error)
            return None
        del self._results[position:]
        return error

    def _perform_accepted(self) -> BaseException | None:
        """Perform the records; one that raises becomes a rejected one where the job rejects records."""
        error = self._perform_from(0)
        while error is not None and self._job.rejects_record(error):
            position = len(self._results)
            if position >= len(self._records):
                break
            self._results.append(self._rejected(position, error))
            error = self._perform_from(position + 1)
        return error

    def _rejected(self, position: int, error: BaseException) -> Rejected:
        self._job.forget_counted(position)
        number = self._places.record_number(self._done + position)
        return Rejected.of(number, self._records[position], error)

    def _perform_from(self, position: int) -> BaseException | None:
        records = self._records[position:] if position else self._records
        rows = records if self._shape.read is None else self._shape.read(records)
        return self._performing(rows)

    def _performing(self, rows: Iterable[Any]) -> BaseException | None:
        if self._job.perform_slice is not None:
            return self._perform_together(rows)
        if self._job.is_async:
            from penstock.batch.concurrently import perform_concurrently

            keep = self._job.rejects_record if self._job.rejects_records else None
            return perform_concurrently(self._job, rows, self._results, self._rejected, keep)
        return _perform_each(self._job, rows, self._results)

    def _perform_together(self, rows: Iterable[Any]) -> BaseException | None:
        """Have all records performed at once that can be read, up to the first that cannot.

        One that fails fails them all. Where the job rejects records, which one it is is found by halves.
        """
        given: list[Any] = []
        unreadable: BaseException | None = None
        try:
            given.extend(rows)
        except BaseException as error:
            unreadable = error
        if self._job.is_alone:  # So that the one is found that kills the process.
            errors = map(self._perform_run, ([row] for row in given))
            return next(filter(None, errors), None) or unreadable
        return (self._perform_run(given) if given else None) or unreadable

    def _perform_run(self, given: list[Any]) -> BaseException | None:
        begun = len(self._results)
        try:
            results = self._shape.perform_together(given)
            if len(results) != len(given):
                raise UnevenSlice(f"perform_slice was given {len(given)} records and returned {len(results)} results")
        except BaseException as error:
            self._job.forget_counted(begun)
            if len(given) == 1 or not self._job.rejects_record(error):
                return error
            middle = len(given) // 2
            return self._perform_run(given[:middle]) or self._perform_run(given[middle:])
        self._results += results
        return None

    def _collect(self) -> tuple[tuple[NewOutput, ...], tuple[int, BaseException] | None]:
        """Return the results as outputs, and the position and reason of the first that cannot be one."""
        if not self._results:
            return (), None
        if self._places.scattered or self._job.rejects_records:
            return self._shape.scatter(self._results, self._places, self._done)
        return self._shape.collect(self._results, *self._places.place(self._done))


def _perform_each(job: BatchJob, rows: Iterable[Any], results: list[Any]) -> BaseException | None:
    """Add the result of each record, and return what ended it early. This loop is the hot one."""
    perform = faults.before_each("in_slice", job.perform if not job.has_perform_hooks else _between_hooks(job))
    keep = results.append
    try:
        for row in rows:
            keep(perform(row))
    except BaseException as error:
        return error
    return None


def _between_hooks(job: BatchJob) -> Callable[[Any], Any]:
    perform = job.perform
    return lambda row: perform_with_hooks(job, partial(perform, row))


def _is_rejected(result: Any) -> bool:
    return type(result) is Rejected


__all__: Sequence[str] = ["SliceOutcome", "SliceWork", "UnevenSlice", "perform_slice"]
