"""Opening an input: the file, its codecs undone, its text as UTF-8."""

import io
import os
from typing import IO, BinaryIO

from penstock.errors import InputError, PenstockError
from penstock.streams.codecs import Codec, Decoder
from penstock.streams.pipelines import StreamOptions, Streams, pipeline_of
from penstock.streams.places import Place, name_of, refuse_text
from penstock.streams.schemes.filesystem import FileSystem
from penstock.streams.schemes.table import SchemeOptions, file_system, refuse_options
from penstock.streams.stages import Stage
from penstock.streams.transcoding import recode, refuse_unknown_encoding

BUFFER = 1 << 20
"""Bytes: decompressors are up to twice as fast behind a buffer this large."""

_TROUBLE: dict[type[OSError], str] = {
    FileNotFoundError: "there is no such file; check the path",
    IsADirectoryError: "this is a directory; name a file in it",
    PermissionError: "there is no permission to read it; check its owner and mode",
}


def open_reader(
    source: Place,
    *,
    streams: Streams | None = None,
    stream_options: StreamOptions | None = None,
    scheme_options: SchemeOptions | None = None,
    encoding: str = "utf-8",
    encoding_errors: str = "refuse",
) -> BinaryIO:
    """Open an input for reading its decoded bytes, buffered; a context manager.

    Args:
        source: A path, a URL, or a binary file object, which is read from where it is and not closed.
        streams: Codecs to undo, outermost last, each a name or a pair of name and options; `[]` for none.
            `None`: those that a path's or URL's extensions name (`a.csv.gz`), none for a file object.
        stream_options: Options of the codecs that are used, by name: `{"zip": {"entry": "a.csv"}}`.
        scheme_options: Options of the scheme of a URL: credentials, an endpoint. `None`: none.
        encoding: What the decoded bytes are. UTF-8 passes through unlooked at, anything else is
            converted to UTF-8. Only `utf-8-sig` drops a byte order mark of UTF-8.
        encoding_errors: For bytes that are not text in another encoding than UTF-8: `refuse`,
            `replace` (by U+FFFD) or `clean` (drop).

    Raises:
        InputError: The input is missing, a directory, unreadable, truncated or damaged; also from reads.
        EncodingError: From reads, when bytes are refused.
        ConfigurationError: An unknown stream, option or encoding.
        MissingExtra: A library is not installed; the message says how to install it.
    """
    refuse_text(source)
    refuse_unknown_encoding(encoding, encoding_errors)
    pipeline = pipeline_of(source, streams, stream_options)
    stage: Stage = _Opened(source, scheme_options)
    try:
        for codec, layer in reversed(pipeline):
            stage = _Decoded(stage, codec.reader(stage, layer), codec)
    except BaseException:
        stage.close()
        raise
    return io.BufferedReader(recode(stage, encoding, encoding_errors), BUFFER)


class _Opened(Stage):
    """The bytes of the file itself; what the system refuses becomes an `InputError`."""

    def __init__(self, source: Place, scheme_options: SchemeOptions | None) -> None:
        super().__init__(name_of(source))
        self._files: FileSystem | None = None
        try:
            if isinstance(source, str | os.PathLike):
                self._file = self._opened(os.fsdecode(source), file_system(source, scheme_options))
            else:
                refuse_options(self.name, scheme_options)
                self._file = source
        except OSError as error:
            raise self._refusal(error) from error
        except ValueError as error:  # a NUL in the path
            raise InputError(f"{self.name!r}: this is not a path ({error})") from error
        self._start = _place_in(self._file)

    def _opened(self, place: str, files: FileSystem) -> IO[bytes]:
        try:
            file = files.open_source(place)
        except BaseException:
            files.close()
            raise
        self._files = files
        return file

    def fetch(self, size: int) -> bytes | None:
        try:
            return self._file.read(size)
        except OSError as error:
            raise self._refusal(error) from error

    def seekable(self) -> bool:
        return self._start is not None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Where a file object was when it was given is the start."""
        assert self._start is not None
        if whence == os.SEEK_SET:
            offset += self._start
        return self._file.seek(offset, whence) - self._start

    def tell(self) -> int:
        assert self._start is not None
        return self._file.tell() - self._start

    def release(self) -> None:
        if self._files is not None:
            try:
                self._file.close()
            finally:
                self._files.close()

    def _refusal(self, error: OSError) -> InputError:
        trouble = (_TROUBLE.get(type(error)) if error.errno else None) or f"reading failed: {error.strerror or error}"
        return InputError(f"{self.name}: {trouble}")


def _place_in(file: IO[bytes]) -> int | None:
    """Where a file stands; `None` when it cannot seek."""
    try:
        return file.tell() if file.seekable() else None
    except (AttributeError, OSError):
        return None


class _Decoded(Stage):
    """One codec undone; bytes that are not whole and sound become an `InputError`."""

    def __init__(self, encoded: Stage, decoded: Decoder, codec: Codec) -> None:
        super().__init__(encoded.name)
        self._encoded = encoded
        self._decoded = decoded
        self._codec = codec
        self._damage = codec.damage()

    def fetch(self, size: int) -> bytes | None:
        try:
            data = self._decoded.read(size)
            if not data and not self._encoded.seen:
                # The libraries take an empty file for empty text, but no codec writes one.
                raise EOFError
        except PenstockError:
            raise
        except EOFError as error:
            raise InputError(f"{self.name}: the {self._codec.name} data is cut short; fetch it again") from error
        except self._damage as error:
            raise InputError(
                f"{self.name}: the {self._codec.name} data is damaged ({error}); "
                "fetch it again, or name its true streams"
            ) from error
        return data

    def release(self) -> None:
        try:
            self._decoded.close()
        finally:
            self._encoded.close()
