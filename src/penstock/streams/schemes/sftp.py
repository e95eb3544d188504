"""Files behind SSH: `sftp://user@host:port/path`, by paramiko.

The path is absolute; one that begins with `/~/` is in the folder of the user. A server whose host key is not known is
refused: no key is ever learned from the server itself.
"""

import contextlib
import io
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from penstock.errors import ConfigurationError
from penstock.streams.codecs import library
from penstock.streams.places import without_credentials
from penstock.streams.schemes.filesystem import Entry, FileSystem
from penstock.streams.schemes.globs import glob_of, path_of_pattern
from penstock.streams.sinks import Sink

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SFTP_OPTIONS = ("username", "password", "identity", "passphrase", "host_key", "known_hosts", "timeout")
_PORT = 22
_REQUEST = 1 << 15
_WINDOW = 64
"""Requests of 32 KiB that are under way at a time: one after the other, each would wait for the last."""


class SftpFiles(FileSystem):
    """One server, one connection.

    Options: `username` and `password`, unless the URL has them; `identity`, the path of a private key, and its
    `passphrase`; `host_key`, the one key that the server must have, as `ssh-ed25519 AAAA…`, or `known_hosts`, a file of
    keys (`None`: `~/.ssh/known_hosts` and `/etc/ssh/ssh_known_hosts`); `timeout` in seconds (60). Without password and
    identity, the agent and the keys in `~/.ssh` are tried.
    """

    def __init__(self, place: str, options: Mapping[str, Any]) -> None:
        """`place`: a URL of the server."""
        self._paramiko = library("paramiko", use="sftp://", extra="sftp")
        try:
            parts = urlsplit(place)
            host, port = parts.hostname or "", parts.port or _PORT
        except ValueError:
            raise ConfigurationError(f"{without_credentials(place)}: this is not a URL") from None
        if not host:
            raise ConfigurationError(f"{without_credentials(place)}: this URL names no host")
        self._base = (parts.scheme, parts.netloc)
        self._client = self._paramiko.SSHClient()
        try:
            with self._telling():
                self._know_hosts(host if port == _PORT else f"[{host}]:{port}", options, place)
                self._connect(host, port, unquote(parts.username or ""), unquote(parts.password or ""), options)
                self._sftp = self._client.open_sftp()
        except BaseException:
            self.close()
            raise

    def open_source(self, place: str) -> IO[bytes]:
        """Read by windows of requests; as long as it is when it is opened."""
        with self._telling():
            return io.BufferedReader(_Source(self, self._sftp.open(_path(place), "rb")), _REQUEST * _WINDOW)

    def open_sink(self, place: str) -> Sink:
        """Under a temporary name beside it until it is committed."""
        target = _path(place)
        folder, base = posixpath.split(target)
        if not base:
            raise IsADirectoryError(21, "is a directory")
        part = posixpath.join(folder, f".{base[:100]}.{os.urandom(6).hex()}.part")
        with self._telling():
            file = self._sftp.open(part, "wx")
        return _Sink(without_credentials(place), self, file, part, target)

    def exists(self, place: str) -> bool:
        """Whether there is a regular file, links followed."""
        try:
            with self._telling():
                return stat.S_ISREG(self._sftp.stat(_path(place)).st_mode or 0)
        except FileNotFoundError:
            return False

    def size(self, place: str) -> int:
        """As the server tells it."""
        with self._telling():
            return int(self._sftp.stat(_path(place)).st_size)

    def entry(self, place: str) -> Entry:
        """As the server tells it."""
        with self._telling():
            found = self._sftp.stat(_path(place))
        return Entry(place, found.st_size or 0, datetime.fromtimestamp(found.st_mtime or 0, UTC))

    def delete(self, place: str) -> None:
        """Remove the name."""
        with self._telling(), contextlib.suppress(FileNotFoundError):
            self._sftp.remove(_path(place))

    def move(self, place: str, target: str) -> None:
        """Renamed by the server (`posix-rename@openssh.com`), so at once."""
        if (urlsplit(target).scheme, urlsplit(target).netloc) != self._base:
            raise ConfigurationError(f"{without_credentials(target)}: files are moved within their server only")
        with self._telling():
            self._make_folder(posixpath.dirname(_path(target)))
            self._sftp.posix_rename(_path(place), _path(target))

    def real_place(self, place: str) -> str:
        """A URL without `~`, as the server resolves it."""
        path, below = _path(place), ""
        while True:
            try:
                with self._telling():
                    real = self._sftp.normalize(path) or "/"
                return urlunsplit((*self._base, quote(posixpath.join(real, below).rstrip("/") or "/"), "", ""))
            except FileNotFoundError:
                path, name = posixpath.split(path.rstrip("/"))
                if name in ("", ".", ".."):
                    raise
                below = posixpath.join(name, below)

    def children(self, pattern: str, *, case_sensitive: bool = False, hidden: bool = False) -> Iterator[Entry]:
        """Folders are walked; links are not followed."""
        path = "/" + path_of_pattern(pattern)
        glob = glob_of(
            path.removeprefix("/~/") if path.startswith("/~/") else path, case_sensitive=case_sensitive, hidden=hidden
        )
        in_home = urlsplit(pattern).path.startswith("/~/")
        folders = [(glob.folder, 0)]
        while folders:
            folder, depth = folders.pop()
            for each in self._listed(folder):
                path = folder + each.filename
                if stat.S_ISDIR(each.st_mode or 0):
                    if glob.depth is None or depth < glob.depth:
                        folders.append((path + "/", depth + 1))
                elif stat.S_ISREG(each.st_mode or 0) and glob.fits(path):
                    url = urlunsplit((*self._base, quote(f"/~/{path}" if in_home else path), "", ""))
                    yield Entry(url, each.st_size or 0, datetime.fromtimestamp(each.st_mtime or 0, UTC))

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def _know_hosts(self, name: str, options: Mapping[str, Any], place: str) -> None:
        key = options.get("host_key")
        if key is not None:
            words = key.split() if isinstance(key, str) else []
            try:
                known = self._paramiko.hostkeys.HostKeyEntry.from_line(" ".join([name, *words[:2]]))
            except Exception:
                known = None
            if known is None or known.key is None:
                raise ConfigurationError(f"{without_credentials(place)}: host_key is text as ssh-ed25519 AAAA…")
            self._client.get_host_keys().add(name, known.key.get_name(), known.key)
        elif (known_hosts := options.get("known_hosts")) is not None:
            try:
                self._client.load_system_host_keys(os.fspath(known_hosts))
            except OSError as error:
                raise ConfigurationError(f"known_hosts {known_hosts} cannot be read: {error.strerror}") from None
        else:
            for file in (os.path.expanduser("~/.ssh/known_hosts"), "/etc/ssh/ssh_known_hosts"):
                with contextlib.suppress(FileNotFoundError):
                    self._client.load_system_host_keys(file)
        self._client.set_missing_host_key_policy(self._paramiko.RejectPolicy())

    def _connect(self, host: str, port: int, user: str, password: str, options: Mapping[str, Any]) -> None:
        identity, secret = options.get("identity"), password or options.get("password")
        given = identity is not None or secret is not None
        timeout = options.get("timeout", 60)
        self._client.connect(
            host,
            port,
            username=user or options.get("username"),
            password=secret,
            key_filename=None if identity is None else os.fspath(identity),
            passphrase=options.get("passphrase"),
            allow_agent=not given,
            look_for_keys=not given,
            timeout=timeout,
            banner_timeout=timeout,
            auth_timeout=timeout,
        )

    def _make_folder(self, folder: str) -> None:
        try:
            self._sftp.stat(folder or ".")
        except FileNotFoundError:
            self._make_folder(posixpath.dirname(folder))
            self._sftp.mkdir(folder)

    def _listed(self, folder: str) -> list[Any]:
        try:
            with self._telling():
                return list(self._sftp.listdir_iter(folder or "."))
        except FileNotFoundError:
            return []

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """What goes wrong on the way, as an `OSError` that can be shown."""
        errors = self._paramiko.ssh_exception
        try:
            yield
        except errors.BadHostKeyException:
            raise PermissionError(None, "the server has another host key than the one that is known") from None
        except errors.AuthenticationException:
            raise PermissionError(None, "the server does not accept this user, password or identity") from None
        except errors.NoValidConnectionsError as error:
            raise OSError(None, f"the server cannot be reached: {error.strerror}") from None
        except TimeoutError:
            raise OSError(None, "the server does not answer in time") from None
        except EOFError:
            raise OSError(None, "the server has closed the connection") from None
        except errors.SSHException as error:
            if "not found in known_hosts" in str(error):
                raise PermissionError(
                    None, "the server's host key is not known; give it as host_key, or add it to known_hosts"
                ) from None
            raise OSError(None, f"SSH failed: {type(error).__name__}: {error}") from None


class _Source(io.RawIOBase):
    """A file read by windows of requests: all of it asked for at once would pile up in memory."""

    def __init__(self, files: SftpFiles, file: Any) -> None:
        super().__init__()
        self._files = files
        self._file = file
        self._size = int(file.stat().st_size)
        self._asked = 0
        self._answers: Iterator[bytes] = iter(())
        self._left = memoryview(b"")
        self._expected: list[int] = []

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if not self._left:
            with self._files._telling():
                self._left = memoryview(self._next())
        view = memoryview(buffer).cast("B")
        data, self._left = self._left[: len(view)], self._left[len(view) :]
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            try:
                with contextlib.suppress(OSError), self._files._telling():
                    self._file.close()
            finally:
                super().close()

    def _next(self) -> bytes:
        """The next answer; the rest of a window whose reader has gone is not asked for."""
        if not self._expected:
            self._ask()
        if not self._expected:
            return b""
        data = next(self._answers, b"")
        if len(data) != self._expected.pop(0):
            raise OSError(None, "the file became shorter while it was read; fetch it again")
        return data

    def _ask(self) -> None:
        end = min(self._size, self._asked + _REQUEST * _WINDOW)
        chunks = [(start, min(_REQUEST, end - start)) for start in range(self._asked, end, _REQUEST)]
        self._asked = end
        self._expected = [size for _, size in chunks]
        if chunks:
            self._answers = iter(self._file.readv(chunks))


class _Sink(Sink):
    """A file under a temporary name in the target's folder, renamed over the target on commit."""

    aftermath = "; nothing was left behind"

    def __init__(self, name: str, files: SftpFiles, file: Any, part: str, target: str) -> None:
        super().__init__(name, file)
        self._files = files
        self._part = part
        self._target = target
        self._written = 0
        file.set_pipelined(True)

    def _write_all(self, view: memoryview) -> None:
        with self._files._telling():
            self._file.write(view)
        self._written += len(view)

    def flush(self) -> None:
        if not self.settled:
            with self._files._telling():
                self._file.flush()

    def _publish(self) -> None:
        sftp = self._files._sftp
        with self._files._telling():
            self._file.close()
            # Answers to what was sent ahead may have been refusals.
            if sftp.stat(self._part).st_size != self._written:
                raise OSError(None, "the server did not take all of it")
            sftp.posix_rename(self._part, self._target)

    def _retract(self) -> None:
        with contextlib.suppress(Exception):
            self._file.close()
        with contextlib.suppress(Exception):
            self._files._sftp.remove(self._part)


def _path(place: str) -> str:
    path = unquote(urlsplit(place).path)
    return path.removeprefix("/~/") or "." if path.startswith("/~/") else path or "/"
