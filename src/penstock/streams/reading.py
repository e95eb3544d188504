"""Opening an input: the file, its codecs undone, its text as UTF-8."""

import io
import os
from collections.abc import Sequence
from typing import IO, BinaryIO

from penstock.errors import InputError
from penstock.streams.places import Place, name_of, refuse_text
from penstock.streams.registry import Codec, pipeline_of
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
    streams: Sequence[str] | None = None,
    encoding: str = "utf-8",
    encoding_errors: str = "refuse",
) -> BinaryIO:
    """Open an input for reading its decoded bytes, buffered; a context manager.

    Args:
        source: A path, or a binary file object, which is read from where it is and not closed.
        streams: Codecs to undo, outermost last; `[]` for none. `None`: those a path's extensions name
            (`a.csv.gz`), none for a file object.
        encoding: What the decoded bytes are. UTF-8 passes through unlooked at, anything else is
            converted to UTF-8. Only `utf-8-sig` drops a byte order mark of UTF-8.
        encoding_errors: For bytes that are not text in another encoding than UTF-8: `refuse`,
            `replace` (by U+FFFD) or `clean` (drop).

    Raises:
        InputError: The input is missing, a directory, unreadable, truncated or damaged; also from reads.
        EncodingError: From reads, when bytes are refused.
        ConfigurationError: An unknown stream or encoding.
    """
    refuse_text(source)
    refuse_unknown_encoding(encoding, encoding_errors)
    pipeline = pipeline_of(source, streams)
    stage: Stage = _Opened(source)
    try:
        for codec in reversed(pipeline):
            stage = _Decoded(stage, codec.reader(stage), codec)
    except BaseException:
        stage.close()
        raise
    return io.BufferedReader(recode(stage, encoding, encoding_errors), BUFFER)


class _Opened(Stage):
    """The bytes of the file itself; what the system refuses becomes an `InputError`."""

    def __init__(self, source: Place) -> None:
        super().__init__(name_of(source))
        self._owned = False
        try:
            if isinstance(source, str | os.PathLike):
                self._file: IO[bytes] = io.FileIO(os.fspath(source))
                self._owned = True
            else:
                self._file = source
        except OSError as error:
            raise self._refusal(error) from error
        except ValueError as error:  # a NUL in the path
            raise InputError(f"{self.name!r}: this is not a path ({error})") from error

    def fetch(self, size: int) -> bytes | None:
        try:
            return self._file.read(size)
        except OSError as error:
            raise self._refusal(error) from error

    def release(self) -> None:
        if self._owned:
            self._file.close()

    def _refusal(self, error: OSError) -> InputError:
        trouble = _TROUBLE.get(type(error)) or f"reading failed: {error.strerror or error}"
        return InputError(f"{self.name}: {trouble}")


class _Decoded(Stage):
    """One codec undone; bytes that are not whole and sound become an `InputError`."""

    def __init__(self, encoded: Stage, decoded: io.BufferedIOBase, codec: Codec) -> None:
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
        except EOFError as error:
            raise InputError(f"{self.name}: the {self._codec.name} data is cut short; fetch it again") from error
        except self._damage as error:
            raise InputError(
                f"{self.name}: the {self._codec.name} data is damaged ({error}); "
                "fetch it again, or name its true streams"
            ) from error
        return data

    def release(self) -> None:
        self._decoded.close()
        self._encoded.close()
