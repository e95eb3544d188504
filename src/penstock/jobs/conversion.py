"""`Conversion`: a file of any format becomes one of any other."""

from typing import Any, ClassVar

from pydantic import PrivateAttr

from penstock.batch.categories import InputCategory, OutputCategory
from penstock.batch.job import BatchJob
from penstock.errors import BadRow, ConfigurationError
from penstock.hooks import after_batch, before_batch, before_validation
from penstock.model.fields import field
from penstock.streams import open_reader
from penstock.streams.places import name_of
from penstock.tabular import TableFormat, TextFormat, format_named, format_of


class Conversion(BatchJob):
    """Convert a file into another format, compression or place, as their names say: `a.csv` into `a.jsonl.gz`.

    Rows keep their order, and as much of their types as the target can tell. Where neither name tells a format, lines
    are copied. Rows that are blank are left out.
    """

    slice_size = 1000

    path_fields: ClassVar[tuple[str, ...]] = ("source", "target")

    source: str = field(description="The file to read, as a path or URL.")
    target: str = field(description="The file to write; it is there when it is whole.")
    source_format: str | None = field(None, description="The format of the source; None: by its name.")
    target_format: str | None = field(None, description="The format of the target; None: by its name.")
    source_options: dict[str, Any] = field(default_factory=dict, description="Options of the source's format.")
    target_options: dict[str, Any] = field(default_factory=dict, description="Options of the target's format.")
    columns: list[str] | None = field(
        None, description="The columns to write, in their order; None: those of the source's header, or first row."
    )

    _names: frozenset[str] | None = PrivateAttr(None)

    @before_validation
    def refuse_impossible(self) -> None:
        """Refuse formats that there are not, and pairs that make no sense, before anything is stored."""
        if not self.is_stored:
            self._formats()

    @before_batch
    def read_source(self) -> None:
        """Upload the source."""
        read, written = self._formats()
        self.input_category = InputCategory(
            format=None if read is None else read.name, format_options=self.source_options, header_cleanser="none"
        )
        if self.columns is None and isinstance(read, TextFormat) and not read.has_header and _needs_columns(written):
            self.columns = self._columns_of_first_row(read)
        columns: list[str | None] | None = None if self.columns is None else [*self.columns]
        self.output_categories = [
            OutputCategory(
                format=None if written is None else written.name,
                format_options=self.target_options,
                columns=columns if written is not None else None,
                nils=False,
            )
        ]
        self.upload(self.source)

    @after_batch
    def write_target(self) -> None:
        """Write the target."""
        self.download(self.target)

    def perform(self, record: Any) -> Any:  # type: ignore[override]
        """Return the record as it is; the formats do the rest.

        Raises:
            BadRow: it has columns that would be lost, as those of the first row are written.
        """
        if self.columns is not None and isinstance(record, dict) and self.input_category.format == "jsonl":
            if self._names is None:
                self._names = frozenset(self.columns)
            if unknown := record.keys() - self._names:
                raise BadRow(
                    f"it has columns that are not written: {', '.join(sorted(unknown))}; name all in `columns`"
                )
        return record

    def _formats(self) -> tuple[TextFormat | TableFormat | None, TextFormat | TableFormat | None]:
        read = _format(self.source, self.source_format, self.source_options)
        written = _format(self.target, self.target_format, self.target_options)
        if (read is None) != (written is None):
            unknown, which = (self.source, "source") if read is None else (self.target, "target")
            raise ConfigurationError(f"{name_of(unknown)}: its name tells no format; give {which}_format")
        if isinstance(written, TableFormat) and not written.writable:
            raise ConfigurationError(f"{name_of(self.target)}: {written.name} files are only read")
        return read, written

    def _columns_of_first_row(self, form: TextFormat) -> list[str] | None:
        with open_reader(self.source) as reader:
            for line in reader:
                for row in form.parse([str(line, "utf-8").rstrip("\r\n")], None):
                    if isinstance(row, dict):
                        return list(row)
        return None


def _format(place: str, named: str | None, options: dict[str, Any]) -> TextFormat | TableFormat | None:
    name = named or format_of(place)
    return None if name is None else format_named(name, options)


def _needs_columns(form: TextFormat | TableFormat | None) -> bool:
    return isinstance(form, TableFormat) or (form is not None and form.has_header)
