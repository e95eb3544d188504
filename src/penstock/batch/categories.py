"""Categories: named streams of slices of one job, and results that say into which they go."""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAIN = "main"
REJECTS = "rejects"
"""The output of records that were rejected, with why."""


class Result(NamedTuple):
    """What `perform` returns to choose the output category: `Result(line, "invalid")`."""

    value: Any
    category: str = MAIN


MOST_JUMPS = 1000
"""Places that are kept at which records and lines get out of step; behind more of them lines are not known."""


@dataclass(slots=True)
class Lines:
    """On which line of its file each record of an upload begins."""

    first: int = 1
    """The line of the first record: 2 behind a header."""
    jumps: list[tuple[int, int]] = field(default_factory=list)
    """Records that do not begin on the line behind that of the record before, from 1, each with its line."""
    known_to: int | None = None
    """The last record whose line is known; None: all are."""

    def jump(self, record: int, line: int) -> None:
        """Note on which line a record begins; where it follows the one before, nothing is kept."""
        if self.known_to is not None or self.of(record) == line:
            return
        if len(self.jumps) >= MOST_JUMPS:
            self.known_to = record - 1
        else:
            self.jumps.append((record, line))

    def of(self, record: int) -> int | None:
        """Return the line on which a record of the upload begins, from 1; None where it is not known."""
        if self.known_to is not None and record > self.known_to:
            return None
        behind = bisect_right(self.jumps, (record, 1 << 62)) - 1
        at, line = self.jumps[behind] if behind >= 0 else (1, self.first)
        return line + record - at


class Uploaded(BaseModel):
    """One upload into an input category, so that a record's number leads back to its file and line."""

    model_config = ConfigDict(defer_build=True)

    file_name: str | None = None
    first_record: int
    record_count: int
    lines: Lines = Field(default_factory=Lines)


class Category(BaseModel):
    """What inputs and outputs have in common."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    name: str = MAIN
    format: str | None = None
    """What a record is, as `csv`. None: the line as it stands, or the value that was uploaded; of an output what
    `perform` returned, told by the name of the file where it is rows. `auto`: by the name of the file."""
    format_options: dict[str, Any] = {}
    """For the format, as the layout of fixed-width lines."""
    columns: list[str | None] | None = None
    """The names of the columns, in their order; None in its place for one that is left out. None: of an input those of
    the file's header, of an output those of the first row."""
    encrypt: bool | None = None
    """Whether it is stored sealed. None: what the class says."""
    compress: bool | None = None
    """Whether it is stored compressed. None: what the class says."""
    file_name: str | None = None
    """Of an input, the file that the job is about, noted before its upload begins; of an output, where the last
    download went: the next one goes there when it names no target."""


class InputCategory(Category):
    """The input of a job."""

    header_cleanser: Literal["default", "none"] = "default"
    """What becomes of the names in a header: `default` makes `first_name` of ` First Name`."""
    allowed_columns: list[str] | None = None
    """The columns that there may be; None: any."""
    required_columns: list[str] = []
    """The columns that there must be."""
    skip_unknown: bool = False
    """Whether columns that are not allowed are left out, instead of the file being refused."""
    has_header: bool = False
    """Whether the columns were read from a header: then further files have one too."""
    format_by_name: bool = False
    """Whether the format was `auto`, and the name of a file told it: then further files must have it too."""
    uploads: list[Uploaded] = []

    def with_upload(self, upload: Uploaded) -> "InputCategory":
        """Return the category with one more upload noted."""
        return self.model_copy(update={"uploads": [*self.uploads, upload]})

    def up_to(self, record_count: int) -> "InputCategory":
        """Return the category without uploads beyond a number of records."""
        kept = [upload for upload in self.uploads if upload.first_record <= record_count]
        return self.model_copy(update={"uploads": kept})

    def locate(self, record_number: int) -> tuple[str | None, int | None]:
        """Return the file of a record and its line in that file, from 1, or None where that is not known.

        The file is None where the records did not come from one; then the number is that in the job.
        """
        for upload in self.uploads:
            if 0 <= record_number - upload.first_record < upload.record_count and upload.file_name:
                return upload.file_name, upload.lines.of(record_number - upload.first_record + 1)
        return None, record_number


class OutputCategory(Category):
    """An output of a job."""

    nils: bool = True
    """Whether a result of None is kept, as an empty line, so that line n out belongs to line n in."""


def _from_name(value: Any) -> Any:
    return OutputCategory(name=value) if isinstance(value, str) else value


OutputCategories = list[Annotated[OutputCategory, BeforeValidator(_from_name)]]
"""Output categories; a bare name stands for one with default settings."""
