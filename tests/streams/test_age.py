import base64
import gc
import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyrage
import pytest

from penstock.errors import ConfigurationError, InputError, MissingExtra, OutputError
from penstock.streams import age_passphrase, open_reader, open_writer

IDENTITY = pyrage.x25519.Identity.generate()
OTHER = pyrage.x25519.Identity.generate()
PUBLIC = IDENTITY.to_public()
TEXT = b"".join(b"%d,some text\n" % number for number in range(30_000))
LENGTHS = [0, 1, 65535, 65536, 65537, 131_072, 300_000]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Any:
    yield
    gc.collect()
    assert [thread.name for thread in threading.enumerate() if thread.name == "penstock-age"] == []


@pytest.fixture(autouse=True)
def _cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(age_passphrase, "WORK_FACTOR", 3)


def sealed(data: bytes, **options: Any) -> bytes:
    target = io.BytesIO()
    with open_writer(target, streams=[("age", options)]) as writer:
        writer.write(data)
    return target.getvalue()


def opened(data: bytes, **options: Any) -> bytes:
    with open_reader(io.BytesIO(data), streams=[("age", options)]) as reader:
        return reader.read()


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("armor", [False, True])
def test_the_library_opens_ours_and_we_open_its(length: int, armor: bool):
    data = TEXT[:length]
    assert pyrage.decrypt(sealed(data, recipients=str(PUBLIC), armor=armor), [IDENTITY]) == data
    assert opened(pyrage.encrypt(data, [PUBLIC], armored=armor), identities=str(IDENTITY)) == data


@pytest.mark.parametrize("length", LENGTHS)
def test_files_under_a_passphrase_are_those_of_the_library(length: int):
    data = TEXT[:length]
    assert pyrage.passphrase.decrypt(sealed(data, passphrase="käse"), "käse") == data
    assert opened(sealed(data, passphrase="käse"), passphrase="käse".encode()) == data


OF_THE_LIBRARY = (
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBZOVM1c1RwcllEZ2tGVkN0alRCM0VBIDE2CkFpRVZxT20xT1lEamdVclJx"
    "cmJ6TTZUUWxBcktrSVBJdFAyRmQxbDdZOFEKLS0tIHVkNTVRbkpoeG14b1VuS05tUGVjM3F3L1ZQS2RLeHRodW1rd0txMjVVRDgK"
    "sE22QvqbEOWcpUP9pyU5QFgq5eLJw1f12daEv4xYAehtJttCJnPqGQFXLdwqtLdE"
)
"""Made by `pyrage.passphrase.encrypt`, which takes some seconds."""


def test_a_file_of_the_library_under_a_passphrase_is_opened():
    assert opened(base64.b64decode(OF_THE_LIBRARY), passphrase="pass") == b"from the library"


def test_any_of_several_recipients_opens_with_any_of_several_identities():
    data = sealed(TEXT, recipients=[str(PUBLIC), str(OTHER.to_public())])
    for identity in (IDENTITY, OTHER):
        strangers = pyrage.x25519.Identity.generate()
        assert opened(data, identities=[str(strangers), str(identity)]) == TEXT


def test_keys_may_stand_in_files_and_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "key.txt").write_text(f"# created: today\n# public key: {PUBLIC}\n{IDENTITY}\n")
    (tmp_path / "to.txt").write_text(f"# all of us\n\n{PUBLIC}\n{OTHER.to_public()}\n")
    assert opened(sealed(TEXT, recipients=tmp_path / "to.txt"), identities=str(tmp_path / "key.txt")) == TEXT
    monkeypatch.setenv("PENSTOCK_AGE_RECIPIENTS", f"{OTHER.to_public()}, {tmp_path / 'to.txt'}")
    monkeypatch.setenv("PENSTOCK_AGE_IDENTITY", str(tmp_path / "key.txt"))
    with open_writer(tmp_path / "a.csv.gz.age") as writer:
        writer.write(TEXT)
    with open_reader(tmp_path / "a.csv.gz.age") as reader:
        assert reader.read() == TEXT


def test_keys_of_openssh_do(tmp_path: Path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id"], check=True)
    data = sealed(TEXT, recipients=(tmp_path / "id.pub").read_text())
    assert opened(data, identities=tmp_path / "id") == opened(data, identities=(tmp_path / "id").read_text()) == TEXT


@pytest.mark.parametrize("options", [{}, {"recipients": []}, {"passphrase": ""}, {"passphrase": 1}])
def test_whom_to_seal_to_must_be_said(tmp_path: Path, options: dict[str, Any]):
    for opening in (open_writer, open_reader):
        with pytest.raises(ConfigurationError, match=r"a\.age: (age needs the option|passphrase of age)"):
            opening(tmp_path / "a.age", stream_options={"age": options})
        assert os.listdir(tmp_path) in ([], ["a.age"])
        (tmp_path / "a.age").touch()


def test_a_passphrase_and_recipients_do_not_go_together():
    with pytest.raises(ConfigurationError, match="a passphrase, or recipients"):
        sealed(b"", passphrase="a", recipients=str(PUBLIC))


@pytest.mark.parametrize(
    "wrong", ["AGE-SECRET-KEY-1SECRET", "-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET", "# SECRET\nx"]
)
def test_a_key_that_is_none_is_refused_and_not_shown(wrong: str):
    with pytest.raises(ConfigurationError, match="an identity of age is no key") as refusal:
        opened(b"", identities=wrong)
    assert "SECRET" not in str(refusal.value)
    with pytest.raises(ConfigurationError, match=r"the key file gone cannot be read: No such file"):
        opened(b"", identities="gone")
    with pytest.raises(ConfigurationError, match="a recipient of age is no key"):
        sealed(b"", recipients="age1x")
    with pytest.raises(ConfigurationError, match="not int"):
        sealed(b"", recipients=[1])


def test_the_wrong_key_or_passphrase_is_told_as_such():
    with pytest.raises(InputError, match=r"none of the identities opens it; name the right one, as stream_options"):
        opened(sealed(TEXT, recipients=str(PUBLIC)), identities=str(OTHER))
    with pytest.raises(InputError, match="the passphrase does not open it"):
        opened(sealed(TEXT, passphrase="a"), passphrase="b")
    with pytest.raises(InputError, match="was not sealed with a passphrase; give the option identities"):
        opened(sealed(TEXT, recipients=str(PUBLIC)), passphrase="b")


def test_a_file_that_asks_for_too_much_memory_is_refused():
    data = sealed(b"", passphrase="a").replace(b" 3\n", b" 30\n", 1)
    with pytest.raises(InputError, match="a work factor of 30; 22 is the limit"):
        opened(data, passphrase="a")


def test_damage_under_a_passphrase_is_refused_wherever_it_is():
    data = sealed(TEXT[:70_000], passphrase="a")
    for at in [*range(0, 180, 3), 65_700, 65_800, len(data) - 1]:
        broken = bytearray(data)
        broken[at] ^= 1
        with pytest.raises(InputError):
            opened(bytes(broken), passphrase="a")
    for length in [*range(0, 180, 3), 65_700, 65_800, len(data) - 1]:
        with pytest.raises(InputError, match=r"the age data is (cut short|damaged)"):
            opened(data[:length], passphrase="a")
    with pytest.raises(InputError, match="its header does not end"):
        opened(b"age-encryption.org/v1\n" + bytes(100_000), passphrase="a")


def test_a_failure_of_the_sink_comes_out_as_it_is_and_ends_the_thread(tmp_path: Path):
    with (
        pytest.raises(OutputError, match="/dev/full: the disk is full"),
        open_writer("/dev/full", streams=[("age", {"recipients": str(PUBLIC)})]) as writer,
    ):
        writer.write(TEXT * 10)


def test_a_failure_of_the_source_comes_out_as_it_is():
    whole = sealed(TEXT, recipients=str(PUBLIC))

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 100_000:
                raise OSError(5, "Input/output error")
            return super().read(50_000)

    with (
        pytest.raises(InputError, match="reading failed: Input/output error"),
        open_reader(Broken(whole), streams=[("age", {"identities": str(IDENTITY)})]) as reader,
    ):
        reader.read()


def test_without_the_library_the_line_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyrage", None)
    for call in (lambda: sealed(b"", recipients=str(PUBLIC)), lambda: opened(b"", identities=str(IDENTITY))):
        with pytest.raises(MissingExtra, match=r"the age codec needs .*: pip install 'penstock\[files\]'"):
            call()


def test_neither_a_fork_nor_the_end_of_the_program_hangs_on_an_open_stream(tmp_path: Path):
    program = """
import os, sys
import pyrage
from penstock.streams import open_reader, open_writer
identity = pyrage.x25519.Identity.generate()
options = [("age", {"recipients": str(identity.to_public()), "identities": str(identity)})]
with open_writer(sys.argv[1], streams=options) as writer:
    writer.write(b"whole")
    writer.flush()
    child = os.fork()
    if not child:
        writer.close()
        os._exit(0)
    os.waitpid(child, 0)
with open_reader(sys.argv[1], streams=options) as reader:
    print(reader.read().decode())
forgotten = [open_reader(sys.argv[1], streams=options), open_writer(sys.argv[1] + "b", streams=options)]
print(len(forgotten[0].read(2)))
"""
    told = subprocess.run(
        # Later Pythons warn of any fork beside a thread.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, str(tmp_path / "a")],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert (told.stdout, told.stderr) == ("whole\n2\n", "")
    assert os.listdir(tmp_path) == ["a"]
