"""Records that were rejected: what is kept of them, and where they, or what they become, belong in the output.

An output slice has parts, named by the offset in the input slice of the first record they cover. A rejected record
leaves its own offset free. When it was corrected and is performed again (`resubmit`), its result becomes the part at
that offset: so the output is in order again, and nothing that was stored is rewritten.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.batch.payloads import RESUBMITTED
from penstock.errors import InputError, JobTimeout, PenstockError, UnstorableValue
from penstock.model.failure import describe
from penstock.records import decode_records, encode_records

if TYPE_CHECKING:
    from penstock.batch.job import BatchJob

_OF_RECORD = (InputError, JobTimeout, UnstorableValue)
"""Those of our own errors that are about the record."""


def is_of_record(error: BaseException) -> bool:
    """Tell whether an exception is about the record that was performed, as far as can be known."""
    ours = isinstance(error, PenstockError) and not isinstance(error, _OF_RECORD)
    return isinstance(error, Exception) and not ours and not isinstance(error, MemoryError)


class Rejected(NamedTuple):
    """What stands in the place of a result."""

    record_number: int
    reason: str
    record: Any

    @classmethod
    def of(cls, record_number: int, record: Any, error: BaseException) -> "Rejected":
        """Return the rejection of a record for an exception.

        The reason stands in clear text: what is rejected is sealed as a whole where anything of the job is.
        """
        failure = describe(error)
        return cls(record_number, ": ".join(filter(None, (failure.class_name, failure.message))), record)

    def value(self, job: "BatchJob") -> dict[str, Any]:
        """Return what is stored in the output of rejected records."""
        file_name, line = job.input_category.locate(self.record_number)
        return {
            "record_number": self.record_number,
            "line": line if file_name else None,
            "reason": self.reason,
            "record": self.record,
        }


@dataclass(frozen=True, slots=True)
class Places:
    """Where the records of a slice belong."""

    number: int
    first_record: int
    records: list[Any] | None = None
    """Of a slice of records that come back: they themselves, for each of which there is one of `entries`."""
    entries: Sequence[tuple[int, int, int]] = ()
    """Of each the number of its slice, its offset in that, and its number in the job."""

    @property
    def scattered(self) -> bool:
        """Whether each record has a place of its own."""
        return self.records is not None

    @property
    def numbers(self) -> list[int] | None:
        """The numbers in the job of records that come back."""
        return [number for *_, number in self.entries] if self.scattered else None

    def place(self, offset: int) -> tuple[int, int]:
        """Return the number of the slice and the offset in it at which the result of a record belongs."""
        return self.entries[offset][:2] if self.scattered else (self.number, offset)

    def record_number(self, offset: int) -> int:
        """Return the number in the job of a record."""
        return self.entries[offset][2] if self.scattered else self.first_record + offset


def reject_budget(most: float | None, record_count: int | None) -> int | None:
    """Return how many records of a job may be rejected; None for any number, or where it is not known yet.

    Args:
        most: A number, or a share of all below 1.
        record_count: How many records there are; None while more may come.
    """
    if most is None or most >= 1 or most == 0:
        return None if most is None else int(most)
    # As it is written: 0.29 of 100 is 29, which it is not in binary.
    return None if record_count is None else int(Decimal(repr(most)) * record_count)


def over_budget(rejected: int, budget: int) -> str | None:
    """Return in words that too many records were rejected; None where they were not."""
    if rejected <= budget:
        return None
    return f"{rejected:,} records were rejected, and max_rejects allows {budget:,}"


def places_of(payload: bytes, number: int, first_record: int) -> Places:
    """Return where the records of an opened payload belong."""
    if payload[:1] != RESUBMITTED:
        return Places(number, first_record)
    entries = decode_records(payload[1:])
    return Places(number, first_record, [entry[3] for entry in entries], [tuple(entry[:3]) for entry in entries])


def payload_of_resubmitted(entries: Sequence[tuple[int, int, int, Any]]) -> bytes:
    """Return the payload of records that come back: a list of `(slice, offset, record number, record)`."""
    return RESUBMITTED + encode_records(list(entries))


def runs_of(results: Sequence[Any], *, scattered: bool) -> Iterator[tuple[int, list[Any]]]:
    """Yield results that are stored together, with the position of the first.

    A rejected one is alone; so are all where each has a place of its own.
    """
    begin = 0
    for position, result in enumerate(results):
        if scattered or type(result) is Rejected:
            if begin < position:
                yield begin, list(results[begin:position])
            yield position, [result]
            begin = position + 1
    if begin < len(results):
        yield begin, list(results[begin:])
