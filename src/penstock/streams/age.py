"""age: files sealed to recipients, by pyrage, or under a passphrase, by ourselves (age_passphrase.py).

The library pulls from one stream and pushes into another until it is done, so it runs as an errand.
"""

import os
from collections.abc import Callable
from io import RawIOBase
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigurationError, InputError
from penstock.streams import age_keys, age_passphrase
from penstock.streams.chunks import Damaged
from penstock.streams.codecs import Abandonable, Codec, Decoder, Encoder, Layer, library
from penstock.streams.errands import Errand, Turn

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_PIECE = 1 << 18
"""Bytes that are handed over at once: the library itself deals in 8 KiB."""


def _pyrage() -> Any:
    return library("pyrage", use="the age codec")


class _Streams:
    """What the library reads and writes. What a stream of ours raises is kept, since the library wraps it."""

    def __init__(self, more: Callable[[], bytes], put: Callable[[bytes], object]) -> None:
        """`more`: gives the next piece, empty at the end. `put`: takes one."""
        self._more = more
        self._put = put
        self._piece = memoryview(b"")
        self._ended = False
        self._error: BaseException | None = None

    def run(self, call: Callable[..., object], *arguments: object, **options: object) -> None:
        """Let the library work from one end to the other."""
        try:
            call(self, self, *arguments, **options)
        except BaseException:
            if self._error is not None:
                raise self._error from None
            raise

    def read(self, size: int) -> bytes:
        """Up to `size` bytes."""
        if not self._piece and not self._ended:
            self._piece = memoryview(self._kept(self._more))
            self._ended = not self._piece
        data, self._piece = self._piece[:size], self._piece[size:]
        return bytes(data)

    def write(self, data: bytes) -> int:
        """Write all of `data`."""
        self._kept(lambda: self._put(data))
        return len(data)

    def flush(self) -> None:
        """The library asks for it."""

    def _kept(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except BaseException as error:
            self._error = error
            raise


class _Writer(Abandonable):
    """Seals to recipients."""

    def __init__(self, sink: RawIOBase, recipients: list[Any], *, armored: bool) -> None:
        super().__init__()
        encrypt = _pyrage().encrypt_io  # there, since it has read the recipients

        def work(turn: Turn) -> None:
            _Streams(lambda: turn(None), sink.write).run(encrypt, recipients, armored=armored)

        self._errand = Errand(work, "penstock-age")
        self._errand.send(None)  # until it asks for the first piece

    def write(self, data: "ReadableBuffer", /) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _PIECE):
            self._errand.send(bytes(view[start : start + _PIECE]))
        return len(view)

    def close(self) -> None:
        if not self.closed:
            try:
                self._errand.send(b"")
            finally:
                self._errand.abandon()
                super().close()

    def abandon(self) -> None:
        self._errand.abandon()


class _Reader:
    """Opens what was sealed to one of the identities."""

    def __init__(self, encoded: RawIOBase, identities: list[Any], file: str) -> None:
        decrypt = _pyrage().decrypt_io

        def work(turn: Turn) -> None:
            opened = _Pieces(turn)

            def more() -> bytes:
                while (block := encoded.read(_PIECE)) is None:
                    turn(None)
                return block

            _Streams(more, opened.put).run(decrypt, identities)
            opened.flush()

        self._file = file
        self._errand = Errand(work, "penstock-age")
        self._piece = memoryview(b"")

    def read(self, size: int, /) -> bytes | None:
        """Up to `size` bytes; empty at the end, `None` when none are there yet."""
        if not self._piece and not self._errand.done:
            piece = self._next()
            if piece is None and not self._errand.done:
                return None
            self._piece = memoryview(piece or b"")
        data, self._piece = self._piece[:size], self._piece[size:]
        return bytes(data)

    def close(self) -> None:
        self._errand.abandon()

    def _next(self) -> bytes | None:
        try:
            piece: bytes | None = self._errand.send(None)
        except (_pyrage().DecryptError, OSError) as error:
            raise self._told(error) from error
        return piece

    def _told(self, error: Exception) -> Exception:
        message = str(error)
        if "No matching keys" in message:
            return InputError(
                f"{self._file}: none of the identities opens it; name the right one, as "
                'stream_options={"age": {"identities": "key.txt"}}, or in PENSTOCK_AGE_IDENTITY'
            )
        if any(sign in message for sign in ("truncated", "fill whole buffer", "Incomplete header")):
            return EOFError()
        return Damaged(message)


class _Pieces:
    """What was opened, handed over when it has become a piece."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._pending: list[bytes] = []
        self._size = 0

    def put(self, data: bytes) -> None:
        self._pending.append(data)
        self._size += len(data)
        if self._size >= _PIECE:
            self.flush()

    def flush(self) -> None:
        if self._pending:
            piece, self._pending, self._size = b"".join(self._pending), [], 0
            self._turn(piece)


def _writer(sink: RawIOBase, layer: Layer) -> Encoder:
    passphrase, recipients = _passphrase(layer), layer.options.get("recipients")
    if passphrase is not None:
        if recipients is not None or layer.options.get("armor"):
            raise ConfigurationError(f"{layer.file}: an age file has a passphrase, or recipients and perhaps armor")
        return age_passphrase.writer(sink, passphrase)
    found = age_keys.recipients_of(_given(recipients, "PENSTOCK_AGE_RECIPIENTS"), layer.file)
    if not found:
        raise ConfigurationError(
            f"{layer.file}: age needs the option recipients or passphrase, or PENSTOCK_AGE_RECIPIENTS"
        )
    return _Writer(sink, found, armored=bool(layer.options.get("armor")))


def _reader(encoded: RawIOBase, layer: Layer) -> Decoder:
    passphrase = _passphrase(layer)
    if passphrase is not None:
        return age_passphrase.reader(encoded, passphrase, layer.file)
    found = age_keys.identities_of(_given(layer.options.get("identities"), "PENSTOCK_AGE_IDENTITY"), layer.file)
    if not found:
        raise ConfigurationError(
            f"{layer.file}: age needs the option identities or passphrase, or PENSTOCK_AGE_IDENTITY"
        )
    return _Reader(encoded, found, layer.file)


def _passphrase(layer: Layer) -> bytes | None:
    given = layer.options.get("passphrase")
    if given is None or isinstance(given, bytes):
        return given
    if not isinstance(given, str) or not given:
        raise ConfigurationError(f"{layer.file}: passphrase of age is text that is not empty")
    return given.encode()


def _given(option: Any, variable: str) -> list[Any]:
    """What was given by an option, or, where it was not, by the environment, separated by commas."""
    if option is None:
        return [item.strip() for item in os.environ.get(variable, "").split(",") if item.strip()]
    return [option] if isinstance(option, str | os.PathLike) else list(option)


def _damage() -> tuple[type[Exception], ...]:
    return (Damaged,)


AGE = Codec("age", ("age",), _reader, _writer, _damage, ("passphrase", "identities", "recipients", "armor"))
