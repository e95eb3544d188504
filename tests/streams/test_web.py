import base64
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from penstock.errors import ConfigurationError, InputError
from penstock.streams import file_system, open_reader, open_writer

TEXT = b"".join(b"%d,some text\n" % number for number in range(50_000))
LOGIN = "Basic " + base64.b64encode(b"me:s3cret/").decode()


class Handler(BaseHTTPRequestHandler):
    """Answers by what the path asks for."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization")))  # type: ignore[attr-defined]
        kind, _, rest = self.path.removeprefix("/").replace("?signature=hidden", "").partition("/")
        if kind == "to":
            return self.answer(302, b"", Location=rest)
        if kind == "loop":
            return self.answer(302, b"", Location=f"/loop/{int(rest or 0) - 1}" if rest != "0" else "/a.csv")
        if kind == "private.csv" and self.headers.get("Authorization") != LOGIN:
            return self.answer(401, b"")
        if kind == "gone.csv":
            return self.answer(404, b"no")
        if kind == "broken.csv":
            return self.answer(500, b"oh")
        if kind == "short.csv":
            return self.answer(200, TEXT[:1000], length=len(TEXT))
        if kind == "endless.csv":
            return self.answer(200, TEXT, length=None)
        return self.answer(200, gzip.compress(TEXT) if kind.startswith("a.csv.gz") else TEXT)

    def answer(self, status: int, body: bytes, length: int | None = -1, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("no_proxy", "*")
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.seen = []  # type: ignore[attr-defined]
    made.url = f"http://127.0.0.1:{made.server_port}"  # type: ignore[attr-defined]
    made.other = f"http://localhost:{made.server_port}"  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def read(url: str, **options: Any) -> bytes:
    with open_reader(url, scheme_options=options) as reader:
        return reader.read()


def test_a_file_is_read_and_its_codecs_are_those_of_the_path(server: Any):
    assert read(f"{server.url}/a.csv") == TEXT
    assert read(f"{server.url}/a.csv.gz?version=2") == TEXT
    assert server.seen[-1] == ("/a.csv.gz?version=2", None)
    assert read(f"{server.url}/endless.csv") == TEXT


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/gone.csv", "there is no such file"),
        ("/private.csv", "the server says 401: give a username and password, or others"),
        ("/broken.csv", "reading failed: the server says 500"),
        ("/short.csv", "the answer is cut short after 1,000 of"),
        ("/loop/-1", "it was redirected more than 10 times"),
        ("/to/file:///etc/passwd", "redirected from http to file, which is refused"),
        ("/to/ftp://localhost/x", "redirected from http to ftp, which is refused"),
    ],
)
def test_what_the_server_refuses_is_told_in_one_line_without_credentials(server: Any, path: str, told: str):
    url = f"{server.url.replace('//', '//you:hidden@')}{path}?signature=hidden"
    with pytest.raises(InputError, match=told) as refusal:
        read(url)
    assert str(refusal.value).startswith(f"{server.url}{path}: ")
    assert "hidden" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_up_to_ten_redirects_are_followed(server: Any):
    assert read(f"{server.url}/loop/9") == TEXT
    assert len(server.seen) == 11
    with pytest.raises(InputError, match="more than 10 times"):
        read(f"{server.url}/loop/10")


def test_credentials_go_to_their_own_origin_only(server: Any):
    with_login = server.url.replace("//", "//me:s3cret%2F@")
    assert read(f"{with_login}/private.csv") == TEXT
    assert read(f"{server.url}/private.csv", username="me", password="s3cret/") == TEXT
    assert read(f"{with_login}/to//private.csv") == TEXT
    server.seen.clear()
    assert read(f"{with_login}/to/{server.other}/a.csv") == TEXT
    assert server.seen == [(f"/to/{server.other}/a.csv", LOGIN), ("/a.csv", None)]


def test_only_hosts_that_may_be_asked_are_asked(server: Any):
    assert read(f"{server.url}/a.csv", hosts=["127.0.0.1"]) == TEXT
    server.seen.clear()
    for url in (f"{server.other}/a.csv", f"{server.url}/to/{server.other}/a.csv"):
        with pytest.raises(InputError, match="the host localhost is not among the hosts that may be asked"):
            read(url, hosts="127.0.0.1")
    assert len(server.seen) == 1


@pytest.mark.parametrize("path", ["/a.csv", "/endless.csv"])
def test_a_file_larger_than_allowed_is_refused(server: Any, path: str):
    assert read(f"{server.url}{path}", max_size=len(TEXT)) == TEXT
    with pytest.raises(InputError, match=r"it is larger than 1,000 bytes; raise max_size"):
        read(f"{server.url}{path}", max_size=1000)


def test_a_server_that_is_not_there_is_told(server: Any):
    with pytest.raises(InputError, match="the server cannot be reached: Connection refused"):
        read("http://127.0.0.1:1/a.csv")


def test_existence_and_size_are_asked_for(server: Any):
    with file_system(server.url) as files:
        assert files.exists(f"{server.url}/a.csv")
        assert not files.exists(f"{server.url}/gone.csv")
        assert files.size(f"{server.url}/a.csv") == len(TEXT)
        for call in (files.delete, files.children, files.open_sink):
            with pytest.raises(ConfigurationError, match="files of this scheme can"):
                call(f"{server.url}/a.csv")


def test_nothing_can_be_written_there_and_options_are_known_by_name(server: Any):
    with pytest.raises(ConfigurationError, match="can only be read"):
        open_writer(f"{server.url}/a.csv")
    with pytest.raises(ConfigurationError, match="http has no option 'pasword'; known are: username, password"):
        read(f"{server.url}/a.csv", pasword="x")
    for wrong in ("http:///a", "http://h:x/a", "https://[::/a"):
        with pytest.raises(ConfigurationError, match=r"this is not a URL|names no host"):
            read(wrong)
