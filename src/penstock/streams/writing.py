"""Opening an output: encoded by its codecs, in place at once or not at all."""

import io
from types import TracebackType
from typing import TYPE_CHECKING

from penstock.errors import OutputError
from penstock.streams.codecs import Abandonable, Encoder
from penstock.streams.pipelines import StreamOptions, Streams, pipeline_of
from penstock.streams.places import Place, refuse_text
from penstock.streams.schemes.table import SchemeOptions
from penstock.streams.sinks import Sink
from penstock.streams.targets import sink_for

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

BUFFER = 1 << 20
"""Bytes: encoders are 3 to 7 times slower when they are given single lines."""


def open_writer(
    target: Place,
    *,
    streams: Streams | None = None,
    stream_options: StreamOptions | None = None,
    scheme_options: SchemeOptions | None = None,
) -> "Writer":
    """Open an output for writing bytes that its codecs encode; a context manager.

    A path is written under a temporary name beside it and renamed into place when the `with` block ends
    without an exception; else the old file stays as it was. What is there and is no regular file
    (`/dev/null`, a named pipe) is written as it is. A replaced file keeps its mode.

    Args:
        target: A path, a URL, or a binary file object, which is written through, flushed and not closed.
        streams: Codecs to apply, outermost last, each a name or a pair of name and options; `[]` for none.
            `None`: those that a path's or URL's extensions name (`a.csv.gz`), none for a file object.
        stream_options: Options of the codecs that are used, by name: `{"gz": {"level": 9}}`.
        scheme_options: Options of the scheme of a URL: credentials, an endpoint. `None`: none.

    Raises:
        OutputError: It cannot be written; also from `write` and `commit`.
        BrokenPipeError: From `write` and `commit`, as a file object raised it.
        ConfigurationError: An unknown stream or option.
        MissingExtra: A library is not installed; the message says how to install it.
    """
    refuse_text(target)
    pipeline = pipeline_of(target, streams, stream_options)
    sink = sink_for(target, scheme_options)
    top: Sink | _Encoder = sink
    try:
        for codec, layer in reversed(pipeline):
            top = _Encoder(codec.writer(top, layer), top)
    except BaseException:
        top.discard()
        top.close()
        raise
    return Writer(sink, top)


class Writer(io.BufferedWriter):
    """A buffered binary file that counts only once it is committed.

    `with` commits on a clean exit and discards on an exception. Without `with`, call `commit()` or
    `discard()`; `close()` without either discards, and so does forgetting the object.
    """

    def __init__(self, sink: Sink, top: "Sink | _Encoder") -> None:
        super().__init__(top, BUFFER)
        self._sink = sink
        self._top = top

    def flush(self) -> None:
        """Hand what was written to the operating system, but for what an encoder holds back."""
        super().flush()
        if not self._sink.settled:
            self._sink.flush()

    def commit(self) -> None:
        """End the encoding, sync, put the output in place and close this.

        Raises:
            OutputError: That failed, or this was closed or discarded before. Nothing is in place then.
        """
        if self.closed:
            raise OutputError(f"{self._sink.name}: the output was closed before it was committed; write it anew")
        try:
            super().flush()
            self._top.commit()
        finally:
            self.close()

    def discard(self) -> None:
        """Forget what was written; the old target stays. Does nothing once committed or closed."""
        if not self.closed:
            self._top.discard()
            super().close()

    def close(self) -> None:
        """Discard, unless committed: a program that breaks off must not publish half a file."""
        self.discard()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


class _Encoder(io.RawIOBase):
    """One codec applied on the way down to the sink."""

    def __init__(self, encoder: Encoder, beneath: "Sink | _Encoder") -> None:
        super().__init__()
        self._encoder = encoder
        self._beneath = beneath

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer") -> int:
        self._encoder.write(data)
        return memoryview(data).nbytes

    def commit(self) -> None:
        self._encoder.close()
        self._beneath.commit()

    def discard(self) -> None:
        """Outermost last: what still runs must not meet a sink that is closed."""
        if isinstance(self._encoder, Abandonable):
            self._encoder.abandon()
        self._beneath.discard()

    def close(self) -> None:
        if not self.closed:
            try:
                self._encoder.close()
            finally:
                self._beneath.close()
                super().close()
