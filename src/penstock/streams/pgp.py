"""pgp: OpenPGP by the program gpg, with the keys of its own keyring."""

import os
from io import RawIOBase
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigurationError, InputError, OutputError
from penstock.streams.chunks import Damaged
from penstock.streams.codecs import Abandonable, Codec, Layer
from penstock.streams.programs import Program

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_BLOCK = 1 << 16
_NOTHING = memoryview(b"")


class _Writer(Abandonable):
    """What gpg makes of what is written."""

    def __init__(self, sink: RawIOBase, file: str, program: Program) -> None:
        super().__init__()
        self._sink = sink
        self._file = file
        self._program = program
        self._abandoned = False

    def write(self, data: "ReadableBuffer", /) -> int:
        view = memoryview(data).cast("B")
        size = len(view)
        while view and not self._abandoned:
            if not self._program.takes_more:
                self._finish()
                break
            view = view[self._stepped(view) :]
        return size

    def close(self) -> None:
        if not self.closed:
            try:
                if not self._abandoned:
                    self._finish()
            finally:
                self.abandon()
                super().close()

    def abandon(self) -> None:
        self._abandoned = True
        self._program.close()

    def _stepped(self, feed: memoryview) -> int:
        taken, given = self._program.step(feed)
        if given:
            self._sink.write(given)
        return taken

    def _finish(self) -> None:
        self._program.end_feeding()
        while not self._program.ended:
            self._stepped(_NOTHING)
        status, told = self._program.result()
        if status or not _reports(told, "END_ENCRYPTION"):
            self._abandoned = True
            raise OutputError(f"{self._file}: gpg does not encrypt: {_last_word(told)}")


def _writer(sink: RawIOBase, layer: Layer) -> _Writer:
    # What fails here has made no writer yet that would have to be closed.
    return _Writer(sink, layer.file, _started(layer, [*_whom(layer), *_compression(layer)]))


class _Reader:
    """What gpg makes of a stream."""

    def __init__(self, encoded: RawIOBase, layer: Layer) -> None:
        self._encoded = encoded
        self._file = layer.file
        self._program = _started(layer, ["--decrypt"])
        self._feed = _NOTHING
        self._text = _NOTHING
        self._fed_any = False
        self._checked = False

    def read(self, size: int, /) -> bytes | None:
        """Up to `size` bytes; empty at the end, `None` when none are there yet."""
        while not self._text and not self._program.ended:
            if not self._feed and self._program.takes_more and not self._refill():
                return None
            taken, given = self._program.step(self._feed)
            self._feed, self._text = self._feed[taken:], memoryview(given)
        if not self._text and not self._checked:
            self._check()
        data, self._text = self._text[:size], self._text[size:]
        return bytes(data)

    def close(self) -> None:
        """Ends gpg where it is."""
        self._program.close()

    def _refill(self) -> bool:
        """Fetch more to feed; `False` when none is there yet."""
        block = self._encoded.read(_BLOCK)
        if block is None:
            return False
        self._fed_any = self._fed_any or bool(block)
        self._feed = memoryview(block)
        if not block:
            self._program.end_feeding()
        return True

    def _check(self) -> None:
        """See that gpg found all of it sound: of a header cut short it says nothing by its exit status."""
        status, told = self._program.result()
        self._checked = True
        if not self._fed_any:
            raise EOFError
        if status or not _reports(told, "DECRYPTION_OKAY"):
            raise self._reason(told)

    def _reason(self, told: str) -> Exception:
        if _reports(told, "NODATA", "BADMDC", "UNEXPECTED"):
            return Damaged(_last_word(told))
        if _reports(told, "BAD_PASSPHRASE", "MISSING_PASSPHRASE") or "Bad session key" in told:
            return InputError(
                f"{self._file}: the passphrase does not open it; give the right one, as "
                'stream_options={"pgp": {"passphrase": …}}'
            )
        if _reports(told, "NO_SECKEY") and not _reports(told, "DECRYPTION_OKAY"):
            return InputError(f"{self._file}: gpg has no secret key that opens it; import it, or set GNUPGHOME")
        return Damaged(_last_word(told))


def _reports(told: str, *words: str) -> bool:
    """Whether one of these is among the reports of gpg, each of which is a line of its own."""
    return any(line.startswith(tuple(f"[GNUPG:] {word}" for word in words)) for line in told.splitlines())


def _started(layer: Layer, arguments: list[str]) -> Program:
    command = ["gpg", "--batch", "--no-tty", "--status-fd", "2", "--no-symkey-cache"]
    home, passphrase = layer.options.get("home"), layer.options.get("passphrase")
    if home is not None:
        command += ["--homedir", os.fspath(home)]
    if passphrase is not None:
        if not isinstance(passphrase, str) or not passphrase or "\n" in passphrase:
            raise ConfigurationError(f"{layer.file}: passphrase of pgp is one line of text that is not empty")
        command += ["--pinentry-mode", "loopback"]
    try:
        secret = None if passphrase is None else passphrase.encode()
        return Program([*command, *arguments], secret, "--passphrase-fd")
    except OSError as error:
        raise ConfigurationError(
            f"{layer.file}: pgp needs the program gpg ({error.strerror}); install GnuPG 2.2.8 or newer"
        ) from error


def _whom(layer: Layer) -> list[str]:
    """To whom it is encrypted. Who names a key trusts it."""
    given = layer.options.get("recipients")
    recipients: list[Any] = [given] if isinstance(given, str | os.PathLike) else list(given or ())
    if not recipients:
        if layer.options.get("passphrase") is None:
            raise ConfigurationError(f"{layer.file}: pgp needs the option recipients or passphrase to encrypt")
        return ["--symmetric"]
    # What is not in the keyring is not to be looked for on the network.
    options = ["--encrypt", "--trust-model", "always", "--no-auto-key-locate"]
    for recipient in recipients:
        if isinstance(recipient, os.PathLike):
            options += ["--recipient-file", os.fspath(recipient)]
        elif isinstance(recipient, str) and recipient:
            options += ["--recipient", recipient]
        else:
            raise ConfigurationError(f"{layer.file}: recipients of pgp are key ids or addresses, or paths of key files")
    return options


def _compression(layer: Layer) -> list[str]:
    """What a codec inside has made cannot be compressed again, only slowly."""
    return ["--compress-algo", "none"] if layer.inside else []


def _last_word(told: str) -> str:
    said = [line.removeprefix("gpg: ") for line in told.splitlines() if line.startswith("gpg: ")]
    return said[-1] if said else "it is cut short"


def _damage() -> tuple[type[Exception], ...]:
    return (Damaged,)


PGP = Codec("pgp", ("pgp", "gpg"), _Reader, _writer, _damage, ("passphrase", "recipients", "home"))
