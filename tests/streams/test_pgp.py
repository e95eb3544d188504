import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.streams.cases import STREAMS, encoded, gpg_home

from penstock.errors import ConfigurationError, InputError, OutputError
from penstock.streams import open_reader, open_writer

if "pgp" not in STREAMS:
    pytest.skip("gpg is not installed", allow_module_level=True)

OURS: dict[str, Any] = STREAMS["pgp"][1]
THEIRS = gpg_home("b@example.org")
TEXT = b"".join(b"%d,some text\n" % number for number in range(100_000))


def gpg(home: str, *arguments: str, data: bytes = b"") -> bytes:
    command = ["gpg", "--homedir", home, "--batch", "--quiet", *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def sealed(data: bytes, **options: Any) -> bytes:
    target = io.BytesIO()
    with open_writer(target, streams=[("pgp", options)]) as writer:
        writer.write(data)
    return target.getvalue()


def opened(data: bytes, **options: Any) -> bytes:
    with open_reader(io.BytesIO(data), streams=[("pgp", options)]) as reader:
        return reader.read()


@pytest.mark.parametrize("data", [b"", b"a", TEXT, os.urandom(300_000)])
def test_gpg_opens_ours_and_we_open_its(data: bytes):
    home = str(OURS["home"])
    assert gpg(home, "--decrypt", data=sealed(data, **OURS)) == data
    for form in ([], ["--armor"]):
        theirs = gpg(home, *form, "--recipient", "a@example.org", "--encrypt", data=data)
        assert opened(theirs, home=home) == data


@pytest.mark.parametrize("extension", ["pgp", "gpg"])
def test_both_extensions_are_its_own_and_the_home_may_be_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str
):
    monkeypatch.setenv("GNUPGHOME", str(OURS["home"]))
    path = tmp_path / f"a.csv.gz.{extension}"
    with open_writer(path, stream_options={"pgp": {"recipients": ["a@example.org"]}}) as writer:
        writer.write(TEXT)
    with open_reader(path) as reader:
        assert reader.read() == TEXT


def test_a_passphrase_seals_and_opens():
    data = sealed(TEXT, passphrase="käse", home=OURS["home"])
    assert opened(data, passphrase="käse", home=THEIRS) == TEXT
    with pytest.raises(InputError, match=r"the passphrase does not open it; give the right one, as stream_options"):
        opened(data, passphrase="butter", home=THEIRS)


def test_a_file_may_be_sealed_to_several_and_to_a_key_that_is_not_in_the_keyring(tmp_path: Path):
    (tmp_path / "b.key").write_bytes(gpg(THEIRS, "--export", "b@example.org"))
    data = sealed(TEXT, home=OURS["home"], recipients=["a@example.org", tmp_path / "b.key"])
    assert opened(data, home=THEIRS) == opened(data, home=OURS["home"]) == TEXT


def test_whom_it_is_not_for_is_told_what_is_missing():
    with pytest.raises(InputError, match="gpg has no secret key that opens it; import it, or set GNUPGHOME"):
        opened(sealed(TEXT, **OURS), home=THEIRS)


@pytest.mark.parametrize("data", [b"", TEXT * 3])
def test_a_key_that_there_is_not_is_refused_and_leaves_nothing(tmp_path: Path, data: bytes):
    options = {"pgp": {"recipients": "nobody@example.org", "home": OURS["home"]}}
    with (
        pytest.raises(OutputError, match=r"a\.pgp: gpg does not encrypt: .*No public key"),
        open_writer(tmp_path / "a.pgp", stream_options=options) as writer,
    ):
        writer.write(data)
    assert os.listdir(tmp_path) == []


def test_what_a_codec_inside_has_packed_is_not_packed_again():
    plain, packed = encoded(bytes(1_000_000), "pgp"), encoded(os.urandom(100_000), "gz", "pgp")
    assert len(plain) < 10_000
    listed = gpg(str(OURS["home"]), "--list-packets", data=packed)
    assert b":compressed packet:" not in listed
    assert b":literal data packet:" in listed


@pytest.mark.parametrize(
    "options", [{}, {"recipients": []}, {"recipients": [1]}, {"passphrase": ""}, {"passphrase": "a\nb"}]
)
def test_options_without_sense_are_refused(options: dict[str, Any]):
    with pytest.raises(ConfigurationError, match=r"of pgp|pgp needs"):
        sealed(b"", **options)


def test_without_the_program_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"pgp needs the program gpg .*install GnuPG"):
        sealed(b"", **OURS)


def test_what_is_not_encrypted_is_refused_although_gpg_would_take_it():
    stored = gpg(str(OURS["home"]), "--store", data=TEXT)
    with pytest.raises(InputError, match="the pgp data is damaged"):
        opened(stored, **OURS)


def test_a_good_signature_is_fine_and_one_whose_key_is_not_there_is_refused():
    home = str(OURS["home"])
    signed = gpg(home, "--sign", "--recipient", "a@example.org", "--encrypt", data=TEXT)
    assert opened(signed, home=home) == TEXT
    key = gpg(home, "--export", "a@example.org")
    gpg(THEIRS, "--import", data=key)
    strange = gpg(THEIRS, "--sign", "--trust-model", "always", "--recipient", "a@example.org", "--encrypt", data=TEXT)
    with pytest.raises(InputError, match=r"the pgp data is damaged .*No public key"):
        opened(strange, home=home)


def test_damage_in_the_middle_of_a_long_file_is_refused():
    data = sealed(os.urandom(2_000_000), **OURS)
    for at in (500_000, 1_900_000, len(data) - 3):
        broken = bytearray(data)
        broken[at] ^= 1
        with pytest.raises(InputError, match="the pgp data is damaged"):
            opened(bytes(broken), **OURS)
        with pytest.raises(InputError, match="the pgp data is damaged"):
            opened(data[:at], **OURS)


def test_a_forked_child_that_forgets_its_copy_leaves_the_parents_gpg(tmp_path: Path):
    program = """
import os, sys
from penstock.streams import open_reader, open_writer
options = {"pgp": {"recipients": "a@example.org", "home": sys.argv[2]}}

def forget(stream):
    child = os.fork()
    if not child:
        stream.close()
        os._exit(0)
    os.waitpid(child, 0)

with open_writer(sys.argv[1], stream_options=options) as writer:
    writer.write(b"whole")
    forget(writer)
with open_reader(sys.argv[1], stream_options=options) as reader:
    forget(reader)
    print(reader.read().decode())
forgotten = [open_reader(sys.argv[1], stream_options=options), open_writer(sys.argv[1], stream_options=options)]
"""
    command = [sys.executable, "-W", "error", "-c", program, str(tmp_path / "a.pgp"), str(OURS["home"])]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    assert (told.stdout, told.stderr) == ("whole\n", "")
    assert os.listdir(tmp_path) == ["a.pgp"]
