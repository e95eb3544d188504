"""What is declared of a batch job: its settings, its categories, and what they mean for what is stored."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import field_validator

from penstock.batch.cannot import cannot_reject, refuse_impossible
from penstock.batch.categories import REJECTS, Category, InputCategory, OutputCategories, OutputCategory
from penstock.batch.rejects import is_of_record
from penstock.model.failure import Failure, describe
from penstock.model.fields import field
from penstock.model.job import Job
from penstock.store.protocol import Store


class BatchRecord(Job, abstract=True):
    """See the module. Nobody subclasses it but `BatchJob`."""

    batch: ClassVar[bool] = True
    whole_slices: ClassVar[bool] = False
    """Whether a slice that fails is performed again from its first record, its results so far given up."""
    encrypt: ClassVar[bool] = False
    """Whether records and results are stored sealed, under the keyring; a category may say otherwise."""
    compress: ClassVar[bool] = False
    """Whether records and results are stored compressed; a category may say otherwise."""
    concurrency: ClassVar[int] = 1
    """How many records of one slice an `async` perform has under way at once."""
    rate_limit: ClassVar[str | None] = None
    """How many records may begin in all workers together: `500/minute`, per `second`, `minute`, `hour` or `day`."""
    slice_as: ClassVar[Literal["list", "arrow", "pandas", "polars"]] = "list"
    """What `perform_slice` is given: a list of records, or a table of them."""
    perform_slice: ClassVar[Callable[..., Any] | None] = None
    """A method that is given all records of a slice at once, and returns as many results, in their order. Where there
    is one, `perform` is not called."""

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

    on_record_error: Literal["fail", "reject"] = field(
        "fail",
        copy_on_restart=True,
        user_editable=True,
        description="What an exception means: that the slice fails at its record, or that the record is rejected.",
    )
    max_rejects: int | float | None = field(
        None,
        ge=0,
        copy_on_restart=True,
        user_editable=True,
        description="Rejected records beyond which the job fails: a number, or a share of all below 1. None: no limit.",
    )
    throttle_running_workers: int | None = field(
        None,
        ge=1,
        copy_on_restart=True,
        user_editable=True,
        description="Slices of the job that may be worked on at once; None: any number.",
    )

    @property
    def record_count(self) -> int | None:
        """Records uploaded, as last read; None before the first upload has ended."""
        return self.row.record_count

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Refuse a class whose settings cannot be, or cannot go together.

        Raises:
            ConfigurationError: they cannot.
        """
        super().__pydantic_init_subclass__(**options)
        refuse_impossible(cls)

    @field_validator("on_record_error")
    @classmethod
    def _refuse_rejects_in_transactions(cls, value: str) -> str:
        wrong = cannot_reject(cls, value)
        if wrong is not None:
            raise ValueError(wrong)
        return value

    @property
    def rejects_records(self) -> bool:
        """Whether a record whose `perform` raises is rejected, and the slice goes on."""
        return self.on_record_error == "reject"

    def rejects_record(self, error: BaseException) -> bool:
        """Tell whether an exception rejects its record. A subclass may let some fail the slice instead.

        What is no `Exception` never does, as a move that the job makes of itself; nor does trouble that the record has
        no part in: with the store, the keyring, or the memory.
        """
        return self.rejects_records and is_of_record(error)

    def encrypts(self, category: Category) -> bool:
        """Tell whether a category is stored sealed."""
        return self.encrypt if category.encrypt is None else category.encrypt

    def compresses(self, category: Category) -> bool:
        """Tell whether a category is stored compressed."""
        return self.compress if category.compress is None else category.compress

    def payload_wrapping(self, category: Category) -> dict[str, bool]:
        """Return how payloads of a category are wrapped; nothing where they are stored as they are."""
        chosen = {"compress": self.compresses(category), "encrypt": self.encrypts(category)}
        return chosen if any(chosen.values()) else {}

    @property
    def seals_anything(self) -> bool:
        """Whether any field, input or output of the job is sealed: then its errors are too."""
        categories: list[Category] = [self.input_category, *self.output_categories]
        return bool(self.sealed_fields.names) or any(map(self.encrypts, categories))

    def describe(
        self, error: BaseException, *, worker_name: str | None = None, record_number: int | None = None
    ) -> Failure:
        """Return an exception of this job as data; its message sealed where anything of the job is."""
        failure = describe(error, worker_name=worker_name, record_number=record_number)
        return self.sealed_fields.seal_failure(self.id, failure, always=self.seals_anything)

    def forget_unfinished_upload(self, store: Store, record_count: int) -> None:
        """Drop what was uploaded beyond a number of records: it never came to count."""
        store.drop_unfinished_upload(self.id)
        self.row.record_count = record_count or None
        self.input_category = self.input_category.up_to(record_count)

    def collected_categories(self) -> list[OutputCategory]:
        """Return the output categories that results go to; the first takes those that name none."""
        return self.output_categories or ([OutputCategory()] if self.collect_output else [])

    def stored_categories(self) -> list[OutputCategory]:
        """Return the output categories that there may be anything in, that of rejected records too."""
        found = self.collected_categories()
        declared = any(category.name == REJECTS for category in found)
        return found if declared or not self.rejects_records else [*found, OutputCategory(name=REJECTS)]

    def output_category(self, name: str | None = None) -> OutputCategory:
        """Return an output category by name, or the first.

        Raises:
            KeyError: the job has no such output.
        """
        categories = self.stored_categories()
        if name == REJECTS and all(category.name != REJECTS for category in categories):
            return OutputCategory(name=REJECTS)  # A person may have rejected records too.
        for category in categories:
            if name in (None, category.name):
                return category
        known = ", ".join(category.name for category in categories) or "none; set collect_output = True"
        raise KeyError(f"{type(self).__name__} has no output category {name!r}; it has: {known}")
