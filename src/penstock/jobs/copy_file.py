"""`CopyFile`: a file is copied, from any place to any other."""

from collections.abc import Mapping
from typing import IO, Any, ClassVar

from penstock import clock
from penstock.errors import ConfigurationError
from penstock.model.failure import Failure, describe
from penstock.model.fields import field
from penstock.model.job import Job
from penstock.plugins.retry import Retry
from penstock.streams import file_system, open_reader, open_writer
from penstock.streams.places import without_credentials

BLOCK = 1 << 20
TELL_SECONDS = 2.0
"""How often the progress is stored."""


class CopyFile(Retry, Job):
    """Copy a file byte for byte, from and to a path, S3, SFTP or a web server; what is there is replaced, at once.

    With `convert` what the names say of compression and encryption is undone and done: `a.gz` to `a.zst`.
    """

    priority = 30
    retry_limit = 10
    destroy_on_complete = False
    retry_rules: ClassVar[Mapping[type[BaseException], int]] = {ConfigurationError: 0}

    path_fields: ClassVar[tuple[str, ...]] = ("source", "target")

    source: str = field(description="The file to read, as a path or URL.")
    target: str = field(description="The file to write, as a path or URL.")
    convert: bool = field(
        False, description="Whether to decode what the source's name asks for, and encode the target's."
    )
    source_options: dict[str, Any] | None = field(
        None, encrypted=True, description="Options of the source's scheme, as credentials."
    )
    target_options: dict[str, Any] | None = field(
        None, encrypted=True, description="Options of the target's scheme, as credentials."
    )
    bytes_copied: int = field(0, description="Bytes that were written, before any encoding.")

    def describe(
        self, error: BaseException, *, worker_name: str | None = None, record_number: int | None = None
    ) -> Failure:
        """Return an exception as data; its message is sealed where there are credentials that it might tell."""
        if self.source_options is None and self.target_options is None:
            return describe(error, worker_name=worker_name, record_number=record_number)
        return super().describe(error, worker_name=worker_name, record_number=record_number)

    def perform(self) -> None:
        """Copy the file."""
        if self.description is None:
            self.description = f"Copying to {without_credentials(self.target)}"
        streams: list[str] | None = None if self.convert else []
        total = self._size()
        with (
            open_reader(self.source, streams=streams, scheme_options=self.source_options) as reader,
            open_writer(self.target, streams=streams, scheme_options=self.target_options) as writer,
        ):
            self._copy(reader, writer, total)

    def _copy(self, reader: IO[bytes], writer: IO[bytes], total: int | None) -> None:
        self.bytes_copied, told = 0, clock.monotonic()
        while block := reader.read(BLOCK):
            writer.write(block)
            self.bytes_copied += len(block)
            if total and self.is_kept and clock.monotonic() - told >= TELL_SECONDS:
                told = clock.monotonic()
                self.percent_complete = min(99, 100 * self.bytes_copied // total)
                self.save()

    def _size(self) -> int | None:
        """Return the bytes of the source, as far as they tell the progress."""
        if self.convert:
            return None
        try:
            with file_system(self.source, self.source_options) as files:
                return files.size(self.source)
        except OSError:
            return None  # To open it will tell why, or that it can be read all the same.
