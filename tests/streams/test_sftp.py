import io
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("paramiko")
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
if SSHD is None or not sys.platform.startswith("linux"):
    pytest.skip("there is no sshd", allow_module_level=True)

from tests.streams.cases import peaks  # noqa: E402

from penstock.errors import ConfigurationError, InputError, OutputError  # noqa: E402
from penstock.streams import file_system, open_reader, open_writer  # noqa: E402

TEXT = b"".join(b"%d,some text\n" % number for number in range(200_000))
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/id.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""


class Server:
    """A real sshd for this test run, with keys of its own."""

    def __init__(self, folder: Path) -> None:
        for name in ("host", "id", "other"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "config").write_text(CONFIG.format(port=self.port, folder=folder))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        command = [str(SSHD), "-D", "-e", "-f", str(folder / "config")]
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(command, stderr=self.log)
        self.keys = folder
        self.user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        self.url = f"sftp://{self.user}@127.0.0.1:{self.port}"
        self.options: dict[str, Any] = {"identity": folder / "id", "host_key": (folder / "host.pub").read_text()}

    def wait(self) -> None:
        for _ in range(200):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, (self.keys / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("sshd"))
    try:
        made.wait()
        yield made
    finally:
        made.stop()


def write(server: Server, path: Path, data: bytes, error: Exception | None = None) -> None:
    with open_writer(f"{server.url}{path}", scheme_options=server.options) as writer:
        writer.write(data)
        if error:
            raise error


def read(server: Server, path: Path, **options: Any) -> bytes:
    with open_reader(f"{server.url}{path}", scheme_options={**server.options, **options}) as reader:
        return reader.read()


@pytest.mark.parametrize("data", [b"", b"a", TEXT, os.urandom(5_000_000)], ids=len)
def test_what_is_written_is_read_back(server: Server, tmp_path: Path, data: bytes):
    for name in ("a.csv", "a.csv.gz"):
        write(server, tmp_path / name, data)
        assert read(server, tmp_path / name) == data
    assert (tmp_path / "a.csv").read_bytes() == data


def test_a_file_is_in_place_on_commit_and_an_error_leaves_the_old_one(server: Server, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        write(server, path, TEXT, ZeroDivisionError())
    open_writer(f"{server.url}{path}", scheme_options=server.options).write(TEXT)  # and forgotten
    assert os.listdir(tmp_path) == ["a.csv"]
    with open_writer(f"{server.url}{path}", scheme_options=server.options) as writer:
        writer.write(TEXT)
        writer.flush()
        assert path.read_bytes() == b"old"
        assert len(os.listdir(tmp_path)) == 2
    assert path.read_bytes() == TEXT
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_server_with_another_host_key_is_refused(server: Server, tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(TEXT)
    with pytest.raises(InputError, match="the server has another host key than the one that is known"):
        read(server, tmp_path / "a.csv", host_key=(server.keys / "other.pub").read_text())
    with pytest.raises(ConfigurationError, match="host_key is text as ssh-ed25519 AAAA"):
        read(server, tmp_path / "a.csv", host_key="nonsense")


def test_host_keys_are_looked_up_in_known_hosts_and_never_learned(server: Server, tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(TEXT)
    known = tmp_path / "known_hosts"
    known.touch()
    for _ in range(2):
        with pytest.raises(InputError, match="host key is not known; give it as host_key, or add it to known_hosts"):
            read(server, tmp_path / "a.csv", host_key=None, known_hosts=known)
    assert known.read_bytes() == b""
    known.write_text(f"[127.0.0.1]:{server.port} {(server.keys / 'host.pub').read_text()}")
    assert read(server, tmp_path / "a.csv", host_key=None, known_hosts=known) == TEXT
    with pytest.raises(ConfigurationError, match=r"known_hosts .*gone cannot be read: No such file"):
        read(server, tmp_path / "a.csv", host_key=None, known_hosts=tmp_path / "gone")


def test_credentials_are_never_told(server: Server, tmp_path: Path):
    url = f"sftp://{server.user}:HIDDEN@127.0.0.1:{server.port}{tmp_path}/a.csv"
    with pytest.raises(InputError, match="does not accept this user, password or identity") as refusal:
        open_reader(url, scheme_options={"host_key": server.options["host_key"]})
    assert str(refusal.value).startswith(f"sftp://127.0.0.1:{server.port}{tmp_path}/a.csv: ")
    assert "HIDDEN" not in str(refusal.value)
    with pytest.raises(ConfigurationError, match="sftp has no option 'pasword'"):
        read(server, tmp_path / "a.csv", pasword="HIDDEN")


def test_what_is_not_there_is_told(server: Server, tmp_path: Path):
    with pytest.raises(InputError, match=r"gone\.csv: there is no such file"):
        read(server, tmp_path / "gone.csv")
    with pytest.raises(OutputError, match="its folder does not exist"):
        write(server, tmp_path / "gone" / "a.csv", b"")
    with pytest.raises(InputError, match="the server cannot be reached"):
        open_reader("sftp://me@127.0.0.1:1/a", scheme_options=server.options)
    with pytest.raises(ConfigurationError, match="names no host"):
        open_reader("sftp:///a", scheme_options=server.options)


def test_a_stream_left_in_the_middle_is_closed(server: Server, tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(os.urandom(5_000_000))
    for end in ("close", "forget"):
        reader = open_reader(f"{server.url}{tmp_path}/a.csv", scheme_options=server.options)
        assert len(reader.read(10)) == 10
        if end == "close":
            reader.close()
    assert isinstance(reader, io.BufferedReader)


def test_any_file_that_is_found_can_be_opened(server: Server, tmp_path: Path):
    names = ["50% off?.csv", "a#b c+d.csv", "ä.csv"]
    for name in names:
        (tmp_path / name).write_text(name)
    with file_system(server.url, server.options) as files:
        places = [entry.place for entry in files.children(f"{server.url}{tmp_path}/*.csv")]
    found = []
    for place in places:
        with open_reader(place, scheme_options=server.options) as reader:
            found.append(reader.read().decode())
    assert sorted(found) == sorted(names)


def test_the_folder_of_the_user_is_written_as_a_tilde(server: Server, tmp_path: Path):
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)  # Of the user who logs in, whatever HOME says here.
    name = f".penstock-{tmp_path.name}.csv"
    try:
        with open_writer(f"{server.url}/~/{name}", scheme_options=server.options) as writer:
            writer.write(TEXT)
        assert (home / name).read_bytes() == TEXT
        with file_system(server.url, server.options) as files:
            (entry,) = files.children(f"{server.url}/~/{name}")
            assert entry.place == f"{server.url}/~/{name}"
    finally:
        (home / name).unlink(missing_ok=True)


def test_files_are_found_moved_and_deleted(server: Server, tmp_path: Path):
    for name in ("a.csv", "B.CSV", "c.txt", ".d.csv", "x/e.csv", "x/y/f.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"text")
    base = f"{server.url}{tmp_path}"
    with file_system(base, server.options) as files:

        def found(pattern: str) -> list[str]:
            return sorted(entry.place.removeprefix(f"{base}/") for entry in files.children(f"{base}/{pattern}"))

        assert found("*.csv") == ["B.CSV", "a.csv"]
        assert found("**/*.csv") == ["B.CSV", "a.csv", "x/e.csv", "x/y/f.csv"]
        assert found("*/*.csv") == ["x/e.csv"]
        assert found("?.csv") == ["B.CSV", "a.csv"]
        assert found("gone/*") == []
        assert next(files.children(f"{base}/a.csv")).size == files.size(f"{base}/a.csv") == 4
        (tmp_path / "link").symlink_to(tmp_path / "x")
        assert files.real_place(f"{base}/link/y") == f"{base}/x/y"
        assert files.real_place(f"{base}/link/new/file") == f"{base}/x/new/file"
        files.move(f"{base}/a.csv", f"{base}/done/today/a.csv")
        assert files.exists(f"{base}/done/today/a.csv")
        assert not files.exists(f"{base}/a.csv")
        assert not files.exists(base)
        files.delete(f"{base}/done/today/a.csv")
        files.delete(f"{base}/done/today/a.csv")
        with pytest.raises(FileNotFoundError):
            files.size(f"{base}/a.csv")
        with pytest.raises(ConfigurationError, match="within their server only"):
            files.move(f"{base}/c.txt", "sftp://elsewhere/c.txt")


@pytest.mark.process
@pytest.mark.linux
def test_memory_does_not_grow_with_the_file(server: Server, tmp_path: Path):
    few, many = (peaks(f"{server.url}{tmp_path}/large", megabytes, server.options) for megabytes in (10, 60))
    assert all(large - small < 20_000 for small, large in zip(few, many, strict=True))
