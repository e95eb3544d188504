"""Categories: named streams of slices of one job, and results that say into which they go."""

from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict

MAIN = "main"


class Result(NamedTuple):
    """What `perform` returns to choose the output category: `Result(line, "invalid")`."""

    value: Any
    category: str = MAIN


class Uploaded(BaseModel):
    """One upload into an input category, so that a record's number leads back to its file and line."""

    file_name: str | None = None
    first_record: int
    record_count: int


class InputCategory(BaseModel):
    """An input of a job."""

    model_config = ConfigDict(extra="forbid")

    name: str = MAIN
    file_name: str | None = None
    """The file that the job is about, noted before its upload begins."""
    uploads: list[Uploaded] = []

    def with_upload(self, file_name: str | None, first_record: int, record_count: int) -> "InputCategory":
        """Return the category with one more upload noted."""
        upload = Uploaded(file_name=file_name, first_record=first_record, record_count=record_count)
        return self.model_copy(update={"uploads": [*self.uploads, upload]})

    def up_to(self, record_count: int) -> "InputCategory":
        """Return the category without uploads beyond a number of records."""
        kept = [upload for upload in self.uploads if upload.first_record <= record_count]
        return self.model_copy(update={"uploads": kept})

    def locate(self, record_number: int) -> tuple[str | None, int]:
        """Return the file of a record and its number in that file, from 1.

        The file is None where the records did not come from one; then the number is that in the job.
        """
        for upload in self.uploads:
            if 0 <= record_number - upload.first_record < upload.record_count and upload.file_name:
                return upload.file_name, record_number - upload.first_record + 1
        return None, record_number


class OutputCategory(BaseModel):
    """An output of a job."""

    model_config = ConfigDict(extra="forbid")

    name: str = MAIN
    nils: bool = True
    """Whether a result of None is kept, as an empty line, so that line n out belongs to line n in."""
    file_name: str | None = None
    """Where the last download went; the next one goes there when it names no target."""


def _from_name(value: Any) -> Any:
    return OutputCategory(name=value) if isinstance(value, str) else value


OutputCategories = list[Annotated[OutputCategory, BeforeValidator(_from_name)]]
"""Output categories; a bare name stands for one with default settings."""
