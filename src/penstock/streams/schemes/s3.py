"""S3, and what speaks like it: `s3://bucket/key`, by obstore."""

import contextlib
import errno
import io
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from penstock.errors import ConfigurationError
from penstock.streams.codecs import library
from penstock.streams.places import without_credentials
from penstock.streams.schemes.filesystem import Entry, FileSystem
from penstock.streams.schemes.globs import glob_of, path_of_pattern
from penstock.streams.sinks import Sink

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

S3_OPTIONS = ("endpoint", "region", "access_key_id", "secret_access_key", "session_token", "anonymous")
_PART = 16 << 20
"""Bytes of one part of an upload. S3 takes 10,000 of them: 160 GB. Two or three are in memory at a time."""
_BLOCK = 1 << 20
_DENIED = ("PermissionDeniedError", "UnauthenticatedError")
_RETRIES = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}


class S3Files(FileSystem):
    """One bucket. What is not given as an option is taken from `AWS_ACCESS_KEY_ID` and the like."""

    shows_partial_files = False

    def __init__(self, place: str, options: Mapping[str, Any]) -> None:
        """`place`: a URL in the bucket."""
        self._obstore = library("obstore", use="s3://", extra="s3")
        parts = urlsplit(place)
        if not parts.netloc or "@" in parts.netloc:
            raise ConfigurationError(
                f"{without_credentials(place)}: write s3://bucket/key; credentials go to scheme_options"
            )
        settings = {name: value for name, value in options.items() if name != "anonymous" and value is not None}
        if options.get("anonymous"):
            settings["skip_signature"] = True
        if str(settings.get("endpoint", "")).startswith("http://"):
            settings["client_options"] = {"allow_http": True}
        self._bucket = parts.netloc
        store = library("obstore.store", use="s3://", extra="s3").S3Store
        with self._telling():
            self._store = store(self._bucket, retry_config=_RETRIES, **settings)

    def open_source(self, place: str) -> IO[bytes]:
        """One request, read as it comes."""
        with self._telling():
            return io.BufferedReader(_Source(self, self._obstore.get(self._store, _key(place))), _BLOCK)

    def open_sink(self, place: str) -> Sink:
        """One request, or an upload in parts above 16 MiB."""
        with self._telling():
            writer = self._obstore.open_writer(self._store, _key(place), buffer_size=_PART, max_concurrency=2)
        return _Sink(without_credentials(place), self, writer)

    def exists(self, place: str) -> bool:
        """Whether there is such a key."""
        try:
            self.size(place)
        except FileNotFoundError:
            return False
        return True

    def size(self, place: str) -> int:
        """As the object has it."""
        with self._telling():
            return int(self._obstore.head(self._store, _key(place))["size"])

    def entry(self, place: str) -> Entry:
        """As the object has it."""
        with self._telling():
            found = self._obstore.head(self._store, _key(place))
        return Entry(place, int(found["size"]), found["last_modified"])

    def delete(self, place: str) -> None:
        """Remove the key."""
        with self._telling(), contextlib.suppress(FileNotFoundError):
            self._obstore.delete(self._store, _key(place))

    def move(self, place: str, target: str) -> None:
        """Copied by the server, which takes up to 5 GB, and then deleted: for a moment both are there."""
        if urlsplit(target).netloc != self._bucket:
            raise ConfigurationError(f"{without_credentials(target)}: files are moved within their bucket only")
        with self._telling():
            self._obstore.copy(self._store, _key(place), _key(target))
            self._obstore.delete(self._store, _key(place))

    def children(self, pattern: str, *, case_sensitive: bool = False, hidden: bool = False) -> Iterator[Entry]:
        """The keys below the folder of the pattern are listed, all of them."""
        glob = glob_of(path_of_pattern(pattern), case_sensitive=case_sensitive, hidden=hidden)
        with self._telling():
            for run in self._obstore.list(self._store, glob.folder or None):
                for found in run:
                    # The library gives what is in the folder, whatever the folder is called by.
                    if glob.fits(found["path"]):
                        yield Entry(
                            f"s3://{self._bucket}/{quote(found['path'])}", found["size"], found["last_modified"]
                        )

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """The library's errors in one line. They show addresses and keys of objects, and no credentials."""
        try:
            yield
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "there is no such object, or no such bucket") from None
        except Exception as error:
            if isinstance(error, OSError) and error.strerror:  # our own
                raise
            denied = isinstance(error, PermissionError) or type(error).__name__ in _DENIED
            first = str(error).partition("\n")[0].partition(": <?xml")[0]
            raise (PermissionError if denied else OSError)(None, f"S3 says: {first}") from None


class _Source(io.RawIOBase):
    """The answer to one request, read as it comes."""

    def __init__(self, files: S3Files, answer: Any) -> None:
        super().__init__()
        self._files = files
        self._answer = iter(answer.stream(min_chunk_size=_BLOCK))
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if not self._left:
            with self._files._telling():
                self._left = memoryview(bytes(next(self._answer, b"")))
        view = memoryview(buffer).cast("B")
        data, self._left = self._left[: len(view)], self._left[len(view) :]
        view[: len(data)] = data
        return len(data)


class _Sink(Sink):
    """An upload in parts: the object is there when all of them are, and not before."""

    aftermath = "; nothing was left behind"

    def __init__(self, name: str, files: S3Files, writer: Any) -> None:
        super().__init__(name, io.BytesIO())
        self._files = files
        self._writer = writer

    def _write_all(self, view: memoryview) -> None:
        with self._files._telling():
            for start in range(0, len(view), _PART):
                self._writer.write(view[start : start + _PART])

    def _publish(self) -> None:
        with self._files._telling():
            self._writer.close()

    def _retract(self) -> None:
        # Only leaving its block by an exception makes it abort; to forget it would leave the parts, and their bill.
        with contextlib.suppress(Exception):
            self._writer.__exit__(InterruptedError, InterruptedError(), None)


def _key(place: str) -> str:
    return unquote(urlsplit(place).path).lstrip("/")
