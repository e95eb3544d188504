"""Files of web servers, to be read: `http://` and `https://`, by the standard library."""

import base64
import contextlib
import errno
import io
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

from penstock.errors import ConfigurationError
from penstock.streams.places import without_credentials
from penstock.streams.schemes.filesystem import FileSystem

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

WEB_OPTIONS = ("username", "password", "hosts", "max_size", "timeout")
_REDIRECTS = 10
_REDIRECTED = (301, 302, 303, 307, 308)
_GONE = (404, 410)
_DENIED = (401, 403)
_BLOCK = 1 << 18


class WebFiles(FileSystem):
    """Files that are fetched with GET.

    Options: `username` and `password` for basic authentication, unless the URL has them, sent to the URL's own
    origin only; `hosts`, the names that may be asked, redirects included (`None`: all); `max_size` in bytes (`None`:
    any); `timeout` in seconds without an answer (60).
    """

    def __init__(self, place: str, options: Mapping[str, Any]) -> None:
        """`place`: a URL of the server."""
        parts = _split(place)
        self._origin = _origin(parts)
        user, password = parts.username or options.get("username"), parts.password or options.get("password")
        login = f"{unquote(user or '')}:{unquote(password or '')}" if parts.username else f"{user}:{password or ''}"
        self._login = base64.b64encode(login.encode()).decode() if user else None
        hosts = options.get("hosts")
        self._hosts = None if hosts is None else {hosts} if isinstance(hosts, str) else set(hosts)
        self._max_size = options.get("max_size")
        self._timeout = options.get("timeout", 60)

    def open_source(self, place: str) -> IO[bytes]:
        """One request, and one more for each redirect."""
        answer = self._asked("GET", place)
        length = _length(answer)
        if self._max_size is not None and length is not None and length > self._max_size:
            answer.close()
            raise _too_large(self._max_size)
        return io.BufferedReader(_Body(answer, length, self._max_size), _BLOCK)

    def exists(self, place: str) -> bool:
        """Asked with HEAD."""
        try:
            self._asked("HEAD", place).close()
        except FileNotFoundError:
            return False
        return True

    def size(self, place: str) -> int:
        """Asked with HEAD; an `OSError` where the server does not tell."""
        with self._asked("HEAD", place) as answer:
            length = _length(answer)
        if length is None:
            raise OSError(None, "the server does not tell its size")
        return length

    def _asked(self, method: str, place: str) -> Any:
        """The answer, redirects followed."""
        from urllib import request

        opener = request.build_opener(_no_redirects(request))
        url = place
        for _ in range(_REDIRECTS + 1):
            parts = _split(url)
            self._refuse_host(parts)
            host = parts.netloc.rpartition("@")[2]
            asking = request.Request(  # noqa: S310 (schemes are checked here)
                urlunsplit((parts.scheme, host, parts.path or "/", parts.query, "")), method=method
            )
            asking.add_header("User-Agent", "penstock")
            if self._login and _origin(parts) == self._origin:
                asking.add_unredirected_header("Authorization", f"Basic {self._login}")
            with telling():
                answer = opener.open(asking, timeout=self._timeout)
            if answer.status not in _REDIRECTED:
                return _accepted(answer)
            url = _target(answer, url)
        raise OSError(None, f"it was redirected more than {_REDIRECTS} times")

    def _refuse_host(self, parts: SplitResult) -> None:
        if self._hosts is not None and parts.hostname not in self._hosts:
            raise PermissionError(None, f"the host {parts.hostname} is not among the hosts that may be asked")


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """What goes wrong on the way, as an `OSError` that can be shown."""
    from http import client

    try:
        yield
    except TimeoutError:
        raise OSError(None, "the server does not answer in time") from None
    except client.IncompleteRead:
        raise OSError(None, "the answer is cut short; fetch it again") from None
    except client.HTTPException as error:
        raise OSError(None, f"this is no answer of a web server ({type(error).__name__})") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise OSError(None, f"the server cannot be reached: {getattr(reason, 'strerror', None) or reason}") from None


class _Body(io.RawIOBase):
    """The body of an answer, which must be as long as was said, and no longer than is allowed."""

    def __init__(self, answer: Any, length: int | None, max_size: int | None) -> None:
        super().__init__()
        self._answer = answer
        self._length = length
        self._max_size = max_size
        self._seen = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        with telling():
            got = int(self._answer.readinto(buffer))
        self._seen += got
        if self._max_size is not None and self._seen > self._max_size:
            raise _too_large(self._max_size)
        if not got and self._length is not None and self._seen < self._length:
            raise OSError(
                None, f"the answer is cut short after {self._seen:,} of {self._length:,} bytes; fetch it again"
            )
        return got

    def close(self) -> None:
        if not self.closed:
            self._answer.close()
            super().close()


def _no_redirects(request: Any) -> Any:
    """A handler that gives every answer as it is: who may be told what is decided here."""

    class AsTheyAre(request.HTTPErrorProcessor):  # type: ignore[misc]
        def http_response(self, _: Any, response: Any) -> Any:
            return response

        https_response = http_response

    return AsTheyAre


def _accepted(answer: Any) -> Any:
    status = answer.status
    if status == 200:
        return answer
    answer.close()
    if status in _GONE:
        raise FileNotFoundError(errno.ENOENT, "there is no such file")
    if status in _DENIED:
        raise PermissionError(None, f"the server says {status}: give a username and password, or others")
    raise OSError(None, f"the server says {status} {answer.reason}")


def _target(answer: Any, url: str) -> str:
    answer.close()
    target: str = urljoin(url, answer.headers.get("Location") or "")
    before, after = urlsplit(url).scheme, urlsplit(target).scheme
    if after not in ("http", "https") or (before, after) == ("https", "http"):
        raise PermissionError(None, f"it was redirected from {before} to {after or 'nowhere'}, which is refused")
    # Credentials that a server makes up are not sent anywhere.
    parts = urlsplit(target)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _origin(parts)
    except ValueError:
        raise ConfigurationError(f"{without_credentials(url)}: this is not a URL") from None
    if not parts.hostname:
        raise ConfigurationError(f"{without_credentials(url)}: this URL names no host")
    return parts


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _length(answer: Any) -> int | None:
    length = answer.headers.get("Content-Length")
    return int(length) if length is not None and length.isdecimal() else None


def _too_large(max_size: int) -> OSError:
    return OSError(None, f"it is larger than {max_size:,} bytes; raise max_size")
