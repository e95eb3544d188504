"""Performing one slice: every record through the job's `perform`, in order, up to the first that fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from penstock.batch.categories import OutputCategory, Result
from penstock.batch.job import BatchJob, Position
from penstock.errors import PenstockError, UnstorableValue
from penstock.model.failure import Failure, describe
from penstock.records import decode_records, encode_records, encode_text_records, position_of_unstorable
from penstock.store.rows import NewOutput


class UnknownCategory(PenstockError):
    """A `Result` names an output category that the job does not have."""


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


def perform_slice(job: BatchJob, work: SliceWork, *, worker_name: str | None = None) -> SliceOutcome:
    """Perform the records of a slice that are not done yet.

    Every exception of user code ends the slice at its record, `SystemExit` and `KeyboardInterrupt` too;
    what was performed before it counts.
    """
    records = decode_records(work.payload)
    if work.done:
        records = records[work.done :]
    results: list[Any] = []
    job.stand_at(Position(work.first_record + work.done, results))
    error = _perform_all(job, records, results)
    outputs, refused = _collect(results, job.collected_categories())
    while refused:
        # What can be no output ends the slice where it stands; something before it may be worse.
        position, error = refused
        del results[position:]
        outputs, refused = _collect(results, job.collected_categories())
    done = work.done + len(results)
    if error is None:
        return SliceOutcome(done, outputs)
    failure = describe(error, worker_name=worker_name, record_number=work.first_record + done)
    return SliceOutcome(done, outputs, failure, error)


def _perform_all(job: BatchJob, records: Sequence[Any], results: list[Any]) -> BaseException | None:
    """Append the result of each record, and return what ended it early. This loop is the hot one."""
    perform = job.perform
    keep = results.append
    try:
        for record in records:
            keep(perform(record))
    except BaseException as error:
        return error
    return None


def _collect(
    results: list[Any], categories: Sequence[OutputCategory]
) -> tuple[tuple[NewOutput, ...], tuple[int, BaseException] | None]:
    """Return the results as outputs, and the position and reason of the first that cannot be one."""
    if not categories or not results:
        return (), None
    text = encode_text_records(results)
    if text is not None:
        return (NewOutput(categories[0].name, len(results), text),), None
    return _sort_out(results, {category.name: category for category in categories})


def _sort_out(
    results: list[Any], categories: dict[str, OutputCategory]
) -> tuple[tuple[NewOutput, ...], tuple[int, BaseException] | None]:
    first = next(iter(categories))
    sorted_out: dict[str, list[Any]] = {}
    for position, result in enumerate(results):
        value, name = result if type(result) is Result else (result, first)
        category = categories.get(name)
        if category is None:
            known = ", ".join(categories)
            return (), (
                position,
                UnknownCategory(f"there is no output category {name!r}; the job has: {known}"),
            )
        if value is not None or category.nils:
            sorted_out.setdefault(name, []).append(value)
    try:
        return tuple(NewOutput(name, len(values), encode_records(values)) for name, values in sorted_out.items()), None
    except UnstorableValue as error:
        plain = [result.value if type(result) is Result else result for result in results]
        return (), position_of_unstorable(plain) or (0, error)
