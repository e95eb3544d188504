"""The shape of a batch job: how its slices are read and its results written, worked out once for all of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.batch.categories import REJECTS, OutputCategory, Result
from penstock.batch.payloads import Payloads, place_of_output
from penstock.batch.rejects import Places, Rejected, runs_of
from penstock.batch.rows import as_stored, reader_of, renderer_of
from penstock.batch.vectors import perform_together
from penstock.errors import PenstockError, UnstorableValue
from penstock.records import encode_records, encode_text_records, position_of_unstorable
from penstock.store.rows import NewOutput

if TYPE_CHECKING:
    from penstock.batch.job import BatchJob

Refused = tuple[int, BaseException] | None
"""The position of the first result that can be no output, and why."""


class UnknownCategory(PenstockError):
    """A `Result` names an output category that the job does not have."""


@dataclass(frozen=True, slots=True)
class _Output:
    category: OutputCategory
    render: Callable[[Sequence[Any]], list[Any]] | None
    wraps: dict[str, bool]

    @property
    def is_plain(self) -> bool:
        """Whether lines of text are stored as they are."""
        return not (self.wraps or self.render)


class Shape:
    """See the module. It belongs to one instance of a job, in one thread."""

    def __init__(self, job: "BatchJob") -> None:
        self._job = job
        self.payloads = Payloads(job.id)
        self.read: Callable[[Sequence[Any]], Iterable[Any]] | None = reader_of(job)
        """Turns stored records into what `perform` is given; None where they are that already."""
        self._outputs = {category.name: self._output(category) for category in job.stored_categories()}
        self._first = next((name for name in self._outputs if name != REJECTS), None)

    def perform_together(self, rows: list[Any]) -> list[Any]:
        """Have `perform_slice` called, and return its results."""
        return perform_together(self._job, rows)

    def collect(self, results: list[Any], number: int, part: int) -> tuple[tuple[NewOutput, ...], Refused]:
        """Return results that follow each other as outputs; `number` and `part` are the place of the first."""
        if self._first is None:
            return (), None
        first = self._outputs[self._first]
        if first.is_plain:
            text = encode_text_records(results)
            if text is not None:
                return (NewOutput(self._first, len(results), text),), None
        return self._sort_out(results, number, part)

    def scatter(self, results: list[Any], places: Places, done: int) -> tuple[tuple[NewOutput, ...], Refused]:
        """Return results as outputs in places of their own, rejected ones apart."""
        outputs: list[NewOutput] = []
        for position, run in runs_of(results, scattered=places.scattered):
            number, part = places.place(done + position)
            found, refused = self._sort_out(run, number, part)
            if refused is not None:
                return (), (position + refused[0], refused[1])
            outputs += [output._replace(place=(number, part)) for output in found]
        return tuple(outputs), None

    def _sort_out(self, results: list[Any], number: int, part: int) -> tuple[tuple[NewOutput, ...], Refused]:
        sorted_out: dict[str, list[Any]] = {}
        positions: dict[str, list[int]] = {}
        name: str | None
        for position, result in enumerate(results):
            if type(result) is Rejected:
                value, name = result.value(self._job), REJECTS
            elif type(result) is not Result:
                value, name = result, self._first
            elif result.category == REJECTS:
                return (), (
                    position,
                    UnknownCategory("no result goes to rejects: raise an exception to reject a record"),
                )
            else:
                value, name = result
            if name is None:
                continue  # Nothing is collected but what is rejected.
            output = self._outputs.get(name)
            if output is None:
                known = ", ".join(self._outputs)
                wrong = UnknownCategory(f"there is no output category {name!r}; the job has: {known}")
                return (), (position, wrong)
            if value is not None or output.category.nils:
                sorted_out.setdefault(name, []).append(value)
                positions.setdefault(name, []).append(position)
        outputs = []
        for name, values in sorted_out.items():
            try:
                outputs.append(NewOutput(name, len(values), self._payload(name, values, number, part)))
            except _AtRow as error:
                return (), (positions[name][error.position], error.reason)
        return tuple(outputs), None

    def _payload(self, name: str, values: list[Any], number: int, part: int) -> bytes:
        output = self._outputs[name]
        records = _rendered(output.render, values) if output.render else as_stored(values)
        try:
            payload = encode_records(records)
        except UnstorableValue as error:
            raise _AtRow(*(position_of_unstorable(records) or (0, error))) from None
        if not output.wraps:
            return payload
        return self.payloads.wrap(payload, place_of_output(name, number, part), **output.wraps)

    def _output(self, category: OutputCategory) -> _Output:
        job = self._job
        wraps = job.payload_wrapping(category)
        if category.name != REJECTS:
            return _Output(category, renderer_of(job, category), wraps)
        # What is rejected quotes the input, or what was sealed beside it.
        return _Output(category, None, {"compress": False, "encrypt": True} if job.seals_anything else wraps)


class _AtRow(Exception):
    """One of several values cannot be stored."""

    def __init__(self, position: int, reason: BaseException) -> None:
        super().__init__(position)
        self.position = position
        self.reason = reason


def _rendered(render: Callable[[Sequence[Any]], list[Any]], values: list[Any]) -> list[Any]:
    """Return values as records of a format; where that fails, it is found out for which of them."""
    try:
        return render(values)
    except Exception:
        for position, value in enumerate(values):
            try:
                render([value])
            except Exception as error:
                raise _AtRow(position, error) from None
        raise
