"""Text in another encoding, read as UTF-8 in bounded memory."""

import codecs

from penstock.errors import ConfigurationError, EncodingError
from penstock.streams.stages import Stage

HANDLERS = {"refuse": "strict", "replace": "replace", "clean": "ignore"}
"""What `encoding_errors` is called by the codecs of the standard library."""

_MARK = codecs.BOM_UTF8


def refuse_unknown_encoding(encoding: str, encoding_errors: str) -> None:
    """Refuse settings that no text can be read with.

    Raises:
        ConfigurationError: There is no such text encoding, or no such way to treat errors.
    """
    refuse_unknown_handling(encoding_errors)
    try:
        " ".encode(encoding)  # unlike codecs.lookup, this refuses codecs that are not for text (hex, zip)
        known = codecs.lookup(encoding).incrementaldecoder is not None
    except (LookupError, ValueError):
        known = False
    if not known:
        raise ConfigurationError(f"there is no text encoding {encoding!r}; try utf-8, utf-8-sig, cp1252 or utf-16")


def refuse_unknown_handling(encoding_errors: str) -> None:
    """Refuse a way to treat undecodable bytes that there is not.

    Raises:
        ConfigurationError: It is not one of `HANDLERS`.
    """
    if encoding_errors not in HANDLERS:
        raise ConfigurationError(f"encoding_errors is one of {', '.join(HANDLERS)}; not {encoding_errors!r}")


def recode(stage: Stage, encoding: str, encoding_errors: str) -> Stage:
    """The text of `stage` as UTF-8; `stage` itself when it is declared to be just that."""
    canonical = codecs.lookup(encoding).name
    if canonical == "utf-8":
        return stage
    if canonical == "utf-8-sig":
        return _Unmarked(stage)
    return _Transcoded(stage, canonical, encoding_errors)


class _Unmarked(Stage):
    """Bytes less a byte order mark at their start; they are not decoded."""

    def __init__(self, marked: Stage) -> None:
        super().__init__(marked.name)
        self._marked = marked
        self._head: bytes | None = None

    def fetch(self, size: int) -> bytes | None:
        if self._head is None:
            self._head = self._start().removeprefix(_MARK)
        if not self._head:
            return self._marked.read(size)
        data, self._head = self._head[:size], self._head[size:]
        return data

    def release(self) -> None:
        self._marked.close()

    def _start(self) -> bytes:
        """The first bytes, as many as a mark has: a pipe may give fewer at once."""
        start = b""
        while len(start) < len(_MARK) and (more := self._marked.read(len(_MARK) - len(start))):
            start += more
        return start


class _Transcoded(Stage):
    """Decoded by one encoding, block by block, and encoded as UTF-8."""

    def __init__(self, encoded: Stage, encoding: str, encoding_errors: str) -> None:
        super().__init__(encoded.name)
        self._encoded = encoded
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)(HANDLERS[encoding_errors])
        self._ready = memoryview(b"")
        self._ended = False

    def fetch(self, size: int) -> bytes | None:
        while not self._ready and not self._ended:
            block = self._encoded.read(size)
            if block is None:
                return None
            self._ended = not block
            self._ready = memoryview(self._utf8(block))
        data, self._ready = self._ready[:size], self._ready[size:]
        return bytes(data)

    def release(self) -> None:
        self._encoded.close()

    def _utf8(self, block: bytes) -> bytes:
        try:
            return self._decoder.decode(block, final=self._ended).encode()
        except UnicodeDecodeError as error:
            # The decoder may have held back bytes of the block before, so count from the end.
            at = self._encoded.seen - len(error.object) + error.start
            what = f"byte {at + 1:,} (0x{error.object[error.start]:02x})"
            raise self._refusal(what) from error
        except UnicodeError as error:
            raise self._refusal(f"something before byte {self._encoded.seen:,}") from error

    def _refusal(self, what: str) -> EncodingError:
        return EncodingError(
            f"{self.name}: {what} is not {self._encoding}; name the true encoding with encoding=..., "
            "or set encoding_errors to 'replace' or 'clean'"
        )
