"""Where log lines go: the console, a file that others write to as well, and syslog."""

import contextlib
import errno
import logging
import os
import select
import socket
import time
from logging.handlers import SysLogHandler

from penstock.errors import ConfigurationError
from penstock.server.log_formats import line_of_json

SYSLOG_PORT = 514
SYSLOG_LINE = 8_192
"""Bytes of the longest line to syslog: what rsyslog takes by default."""
FILE_MODE = 0o640


class Console(logging.Handler):
    """Whole lines to a descriptor, standard error by default. Where nobody reads any more, they are dropped."""

    def __init__(self, form: logging.Formatter, *, as_json: bool = False, descriptor: int = 2) -> None:
        super().__init__()
        self.setFormatter(form)
        self._as_json = as_json
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            self._write(self.format(record))
        except Exception:
            self.handleError(record)

    def relay(self, worker: str, line: str) -> None:
        """Write a line of a worker's output: unchanged, or wrapped where everything is to be lines of JSON."""
        self._write(line_of_json(line, worker, time.time()) if self._as_json else line)

    def _write(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            write_all(self._descriptor, f"{line}\n".encode("utf-8", "backslashreplace"))


class SharedFile(logging.Handler):
    """Whole lines at the end of a file that other processes append to as well; opened anew when it was rotated away."""

    def __init__(self, path: str, form: logging.Formatter) -> None:
        """Open the file.

        Raises:
            ConfigurationError: it cannot be written.
        """
        super().__init__()
        self.setFormatter(form)
        # User code may change the working directory.
        self._path = os.path.abspath(path)
        try:
            self._descriptor: int | None = self._open()
        except OSError as error:
            raise ConfigurationError(f"setting log_file: {self._path}: {error.strerror}") from None

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record."""
        try:
            write_all(self._current(), f"{self.format(record)}\n".encode("utf-8", "backslashreplace"))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the file; what is logged later opens it again, as `logging.config` may close handlers in use."""
        self.acquire()
        try:
            self._let_go()
        finally:
            self.release()
        super().close()

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)

    def _current(self) -> int:
        """Return the descriptor of the file that has the path now."""
        if self._descriptor is not None and not self._is_in_place(self._descriptor):
            self._let_go()
        if self._descriptor is None:
            self._descriptor = self._open()
        return self._descriptor

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Syslog(SysLogHandler):
    """Syslog over a local socket or UDP, one datagram for each record (RFC 3164)."""

    priority_map = {**SysLogHandler.priority_map, "TRACE": "debug"}  # noqa: RUF012 - as the base class has it

    def __init__(self, address: str, form: logging.Formatter) -> None:
        """Find the daemon.

        Raises:
            ConfigurationError: the address is none, or nobody is there.
        """
        try:
            super().__init__(_syslog_address(address))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"setting syslog: {address}: {error}") from None
        self.setFormatter(form)
        self.ident = f"penstock[{os.getpid()}]: "


def _syslog_address(text: str) -> str | tuple[str, int]:
    """Read `/dev/log`, `host`, `host:514` or `[::1]:514`."""
    if text.startswith("/"):
        _knock(text)
        return text
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        return text.strip("[]"), SYSLOG_PORT
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError("write it as /dev/log or host:port")
    return host.strip("[]"), int(port)


def _knock(path: str) -> None:
    """Raise OSError when nobody listens at a local socket: `logging` would say nothing, and lose every line."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:  # Somebody is there, who wants no datagrams.
                raise


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes, in one call where the system takes them so."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            # Somebody who shares the terminal has made it so.
            select.select([], [descriptor], [], 1.0)
