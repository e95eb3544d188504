import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock
from penstock.errors import InputError, KeyringError, NoKeyring, RetiredKey, UnknownKey
from penstock.keyring import Keyring
from penstock.streams import open_reader, open_writer

KEYRING = Keyring.generate()
CHUNK, HEAD = 65536 + 16, 40
TEXT = b"".join(b"%d,some text\n" % number for number in range(30_000))


def sealed(data: bytes, keyring: Any = KEYRING) -> bytes:
    target = io.BytesIO()
    with open_writer(target, streams=[("enc", {"keyring": keyring})]) as writer:
        writer.write(data)
    return target.getvalue()


def opened(data: bytes, keyring: Any = KEYRING) -> bytes:
    with open_reader(io.BytesIO(data), streams=[("enc", {"keyring": keyring})]) as reader:
        return reader.read()


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131_072, 200_000])
def test_a_sealed_file_is_as_much_longer_as_it_is_said_to_be(size: int):
    chunks = max(1, -(-size // 65536))
    assert len(sealed(bytes(size))) == size + HEAD + 16 * chunks
    assert opened(sealed(bytes(size))) == bytes(size)


def test_no_two_files_are_alike_and_no_text_shows():
    first, second = sealed(TEXT), sealed(TEXT)
    assert first[8:] != second[8:]
    assert b"some" not in first


@settings(max_examples=200)
@given(at=st.integers(0, 3 * CHUNK - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_wherever_it_is(at: int, bit: int):
    broken = bytearray(WHOLE)
    broken[at] ^= 1 << bit
    with pytest.raises((InputError, UnknownKey)):
        opened(bytes(broken))


WHOLE = sealed(TEXT[: 3 * 65536])


@pytest.mark.parametrize("length", [0, 1, 39, 40, 41, HEAD + 15, HEAD + CHUNK, HEAD + 2 * CHUNK, HEAD + 2 * CHUNK + 15])
def test_a_cut_is_told_as_one(length: int):
    with pytest.raises(InputError, match="the enc data is cut short"):
        opened(WHOLE[:length])


def test_chunks_moved_left_out_doubled_or_of_another_file_are_refused():
    head, *chunks = WHOLE[:HEAD], *(WHOLE[HEAD + n * CHUNK : HEAD + (n + 1) * CHUNK] for n in range(3))
    other = sealed(TEXT[: 3 * 65536])
    assert opened(head + b"".join(chunks)) == TEXT[: 3 * 65536]
    one, two, three = chunks
    for wrong in ([two, one, three], [one, three], [one, one, two, three], [three], [one, two, three, three]):
        with pytest.raises(InputError, match="the enc data is damaged"):
            opened(head + b"".join(wrong))
    with pytest.raises(InputError, match="from byte 1 of the text on it does not open"):
        opened(other[:HEAD] + b"".join(chunks))


def test_files_stay_readable_when_the_key_is_rotated_until_it_is_retired():
    data = sealed(TEXT)
    rotated = KEYRING.rotate()
    assert opened(data, rotated) == TEXT
    assert int.from_bytes(sealed(TEXT, rotated)[4:8]) == 2
    with pytest.raises(RetiredKey, match="<stream>: sealed under key 1, which is retired"):
        opened(data, rotated.retire(1))
    with pytest.raises(UnknownKey, match="<stream>: sealed under key 2"):
        opened(sealed(TEXT, rotated))


def test_another_keyring_does_not_open_it():
    with pytest.raises(InputError, match="does not open"):
        opened(sealed(TEXT), Keyring.generate())


def test_a_format_to_come_is_told_as_such():
    with pytest.raises(InputError, match="in format 2 by a newer Penstock: upgrade"):
        opened(WHOLE[:3] + b"\2" + WHOLE[4:])


def test_the_keyring_is_that_of_the_settings_or_a_file_or_a_function(tmp_path: Path):
    with pytest.raises(NoKeyring, match="penstock keys generate"):
        open_writer(tmp_path / "a.enc")
    with pytest.raises(NoKeyring, match="there is no key file"):
        open_reader(io.BytesIO(), streams=[("enc", {"keyring": str(tmp_path / "gone")})])
    with pytest.raises(KeyringError, match="gave a int"):
        opened(b"", lambda: 1)
    KEYRING.save(tmp_path / "keys.toml")
    penstock.configure(keyring=tmp_path / "keys.toml")
    with open_writer(tmp_path / "a.csv.gz.enc") as writer:
        writer.write(TEXT)
    assert (tmp_path / "a.csv.gz.enc").read_bytes().startswith(b"\xc1PF\1")
    for keyring in (str(tmp_path / "keys.toml"), lambda: KEYRING, None):
        with open_reader(tmp_path / "a.csv.gz.enc", stream_options={"enc": {"keyring": keyring}}) as reader:
            assert reader.read() == TEXT
