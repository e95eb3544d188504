"""Keys with versions: what they seal, what they refuse to open, and the file they live in."""

import base64
import fcntl
import os
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import keyring as module
from penstock.errors import (
    KeyringChanged,
    KeyringError,
    NoKeyring,
    NotSealed,
    RetiredKey,
    SealBroken,
    SealError,
    UnknownKey,
)
from penstock.keyring import MAGIC, OVERHEAD, Keyring, KeyState, KeyVersion, current_keyring, key_version

JOB, OTHER_JOB = bytes(range(16)), bytes(range(1, 17))
MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
ENTRY = """
[[key]]
version = {version}
state = "{state}"
created = 2026-01-31T12:00:00Z
material = "{material}"
"""


def material(number):
    """Return 32 bytes that are told from others by every byte, as they stand in a file."""
    return base64.urlsafe_b64encode(bytes((number * 37 + place * 5) % 256 for place in range(32))).decode()


def text(*states, form="format = 1\n"):
    """Return a key file with a key of each state, numbered from 1."""
    entries = [
        ENTRY.format(version=number, state=state, material=material(number)) for number, state in enumerate(states, 1)
    ]
    return (form + "".join(entries)).encode()


def parsed(*states):
    return Keyring.parse(text(*states), "keys.toml")


def told(keyring):
    return [(key.number, str(key.state)) for key in keyring.versions]


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a key file."""

    def write(content, mode=0o600, name="keys.toml"):
        path = tmp_path / name
        path.write_bytes(content)
        path.chmod(mode)
        return path

    return write


# Sealing ------------------------------------------------------------------------------------------


class TestSealing:
    @given(data=st.binary(max_size=300), associated=st.binary(max_size=40), context=st.binary(max_size=40))
    def test_what_was_sealed_opens_in_its_place(self, data, associated, context):
        sealed = parsed("active").sealer(context).seal(data, associated)
        assert parsed("active").sealer(context).open(sealed, associated) == data
        assert len(sealed) == len(data) + OVERHEAD

    @given(
        context=st.binary(max_size=20),
        associated=st.binary(max_size=20),
        other=st.tuples(st.binary(max_size=20), st.binary(max_size=20)),
    )
    def test_another_context_or_associated_data_does_not_open_it(self, context, associated, other):
        ring = parsed("active")
        sealed = ring.sealer(context).seal(b"secret", associated)
        if other != (context, associated):
            with pytest.raises(SealBroken, match=r"belongs to another place"):
                ring.sealer(other[0]).open(sealed, other[1])

    def test_bytes_moved_between_context_and_associated_data_do_not_open(self):
        sealed = parsed("active").sealer(b"ab").seal(b"x", b"cd")
        with pytest.raises(SealBroken):
            parsed("active").sealer(b"abc").open(sealed, b"d")

    def test_every_single_flipped_bit_is_refused(self):
        sealer = parsed("active", "usable", "retired").sealer(JOB)
        sealed = sealer.seal(b"ten bytes!", b"main 7")
        for bit in range(len(sealed) * 8):
            flipped = bytearray(sealed)
            flipped[bit // 8] ^= 1 << bit % 8
            with pytest.raises(SealError):
                sealer.open(bytes(flipped), b"main 7")

    def test_every_cut_and_every_addition_is_refused(self):
        sealer = parsed("active").sealer(JOB)
        sealed = sealer.seal(b"ten bytes!", b"")
        for length in range(len(sealed)):
            with pytest.raises(SealError):
                sealer.open(sealed[:length], b"")
        with pytest.raises(SealBroken):
            sealer.open(sealed + b"\0", b"")

    @given(st.binary(max_size=100).filter(lambda data: not data.startswith(MAGIC)))
    def test_bytes_that_were_never_sealed_are_said_to_be_none(self, data):
        with pytest.raises(NotSealed, match="not sealed"):
            key_version(data)
        with pytest.raises(NotSealed):
            parsed("active").sealer(JOB).open(data, b"")

    @given(st.text())
    def test_no_text_is_taken_for_sealed_data(self, words):
        assert not words.encode().startswith(MAGIC[:1])

    @given(st.binary(max_size=100))
    def test_bytes_that_only_begin_as_sealed_data_are_refused_by_an_error_of_ours(self, data):
        with pytest.raises(SealError):
            parsed("active").sealer(JOB).open(MAGIC + data, b"")

    def test_a_format_of_the_future_is_told(self):
        sealed = parsed("active").sealer(JOB).seal(b"x", b"")
        with pytest.raises(SealBroken, match="format 2 by a newer Penstock"):
            key_version(sealed[:3] + b"\x02" + sealed[4:])

    def test_the_same_data_is_never_sealed_to_the_same_bytes(self):
        sealer = parsed("active").sealer(JOB)
        assert len({sealer.seal(b"same", b"") for _ in range(100)}) == 100

    def test_sealed_data_holds_nothing_of_what_was_sealed(self):
        assert b"plain" not in parsed("active").sealer(JOB).seal(b"plain" * 100, b"plain")

    def test_the_version_is_read_without_a_key(self):
        assert key_version(parsed("usable", "active").sealer(JOB).seal(b"", b"")) == 2

    def test_the_layout_is_the_one_that_is_documented(self):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        sealed = parsed("active").sealer(JOB).seal(b"data", b"place")
        header, nonce, rest = sealed[:8], sealed[8:20], sealed[20:]
        assert header == b"\xc1PS\x01\0\0\0\x01"
        secret = base64.urlsafe_b64decode(material(1))
        key = HKDF(SHA256(), 32, None, b"penstock seal 1\0" + JOB).derive(secret)
        assert AESGCM(key).decrypt(nonce, rest, header + b"place") == b"data"

    def test_a_sealer_derives_each_key_once(self, monkeypatch):
        sealer = parsed("usable", "active").sealer(JOB)
        old = parsed("active").sealer(JOB).seal(b"old", b"")
        assert [sealer.open(old, b""), sealer.open(sealer.seal(b"new", b""), b"")] == [b"old", b"new"]
        kept = dict(sealer._ciphers)
        sealer.open(old, b"")
        sealer.seal(b"", b"")
        assert sorted(kept) == [1, 2]
        assert all(sealer._ciphers[version] is cipher for version, cipher in kept.items())

    def test_threads_may_share_a_sealer(self):
        sealer, opened = parsed("active").sealer(JOB), []

        def work(number):
            for turn in range(50):
                place = b"%d %d" % (number, turn)
                opened.append(sealer.open(sealer.seal(place, place), place) == place)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert opened == [True] * 400


# Rotation -----------------------------------------------------------------------------------------


class TestRotation:
    def test_a_new_keyring_has_one_key_and_it_is_active(self):
        before = datetime.now(UTC).replace(microsecond=0)
        ring = Keyring.generate()
        (key,) = ring.versions
        assert (key.number, key.state, ring.active_version) == (1, KeyState.ACTIVE, 1)
        assert before <= key.created <= datetime.now(UTC)

    def test_no_two_new_keys_are_the_same(self):
        assert len({Keyring.generate()._material[1] for _ in range(20)}) == 20

    def test_old_data_opens_and_new_data_is_under_the_new_version(self):
        old = Keyring.generate()
        sealed = old.sealer(JOB).seal(b"old", b"")
        new = old.rotate()
        assert told(new) == [(1, "usable"), (2, "active")]
        assert new.sealer(JOB).open(sealed, b"") == b"old"
        assert key_version(new.sealer(JOB).seal(b"new", b"")) == 2

    def test_a_keyring_never_changes(self):
        ring = Keyring.generate()
        ring.rotate().rotate().activate(1).retire(2)
        assert told(ring) == [(1, "active")]

    def test_data_under_a_version_not_held_names_it_and_the_keyring(self):
        sealed = parsed("usable", "usable", "active").sealer(JOB).seal(b"", b"")
        with pytest.raises(UnknownKey, match=r"^sealed under key 3, which the keyring keys\.toml does not hold"):
            parsed("active").sealer(JOB).open(sealed, b"")

    def test_a_retired_key_refuses_to_open(self):
        ring = parsed("active", "usable")
        sealed = ring.sealer(JOB).seal(b"", b"")
        retired = ring.activate(2).retire(1)
        assert told(retired) == [(1, "retired"), (2, "active")]
        with pytest.raises(RetiredKey, match=r"^sealed under key 1, which is retired; .*keys\.toml"):
            retired.sealer(JOB).open(sealed, b"")

    def test_the_number_of_a_retired_key_is_not_used_again(self):
        assert told(parsed("active", "usable").retire(2).rotate())[-1] == (3, "active")

    def test_an_older_key_can_be_made_the_active_one(self):
        ring = parsed("usable", "active").activate(1)
        assert (told(ring), ring.active_version) == ([(1, "active"), (2, "usable")], 1)
        assert ring.activate(1) == ring
        assert told(ring.rotate()) == [(1, "usable"), (2, "usable"), (3, "active")]

    def test_the_active_key_cannot_be_retired(self):
        with pytest.raises(KeyringError, match=r"key 1 of the keyring keys\.toml is active"):
            parsed("active").retire(1)

    def test_a_retired_key_cannot_be_activated(self):
        with pytest.raises(KeyringError, match=r"key 1 of the keyring keys\.toml is retired"):
            parsed("retired", "active").activate(1)

    def test_to_retire_twice_is_to_retire(self):
        assert parsed("retired", "active").retire(1) == parsed("retired", "active")

    @pytest.mark.parametrize("change", ["activate", "retire"])
    @pytest.mark.parametrize("version", [0, 3, -1])
    def test_a_key_that_there_is_not_is_named_with_those_that_are(self, change, version):
        with pytest.raises(KeyringError, match=rf"keys\.toml has no key {version}; it has 1, 2$"):
            getattr(parsed("usable", "active"), change)(version)

    def test_numbers_end_where_the_header_ends(self):
        highest = text("active").replace(b"version = 1", b"version = 4294967295")
        ring = Keyring.parse(highest, "keys.toml")
        assert key_version(ring.sealer(JOB).seal(b"", b"")) == 4294967295
        with pytest.raises(KeyringError, match="no number above"):
            ring.rotate()

    @given(st.lists(st.tuples(st.sampled_from(["rotate", "activate", "retire"]), st.integers(1, 6)), max_size=12))
    def test_whatever_is_done_one_key_is_active_and_usable_keys_open_what_they_sealed(self, steps):
        ring = Keyring.generate()
        sealed = {1: ring.sealer(JOB).seal(b"1", b"")}
        for step, version in steps:
            try:
                ring = ring.rotate() if step == "rotate" else getattr(ring, step)(version)
            except KeyringError:
                continue
            sealed[ring.active_version] = ring.sealer(JOB).seal(b"%d" % ring.active_version, b"")
        assert [key.state for key in ring.versions].count(KeyState.ACTIVE) == 1
        for key in ring.versions:
            if key.state is not KeyState.RETIRED:
                assert ring.sealer(JOB).open(sealed[key.number], b"") == b"%d" % key.number


# What is told -------------------------------------------------------------------------------------


class TestSecrets:
    def test_repr_and_str_show_version_numbers_only(self):
        ring = parsed("retired", "active")
        assert repr(ring) == str(ring) == "Keyring(versions 1, 2; active 2)"

    def test_a_version_tells_its_number_state_and_moment_and_nothing_else(self):
        assert parsed("active").versions == (KeyVersion(1, KeyState.ACTIVE, MOMENT),)
        assert KeyVersion.__slots__ == ("number", "state", "created")

    def test_a_sealer_shows_no_key(self):
        sealer = parsed("active").sealer(JOB)
        sealer.seal(b"", b"")
        assert not leaks(repr(sealer) + str(sealer))

    def test_no_error_shows_a_key_however_a_file_is_broken(self):
        whole = text("usable", "active").decode()
        assert leaks(whole)
        letters = ['"', "=", "\\", "\n", "[", "\x00", ""]
        for place in range(len(whole)):
            for letter in letters:
                shown = answer(whole[:place] + letter + whole[place + 1 :])
                assert not leaks(shown)
                assert shown.startswith(("Keyring(", "keys.toml: "))
                assert "\n" not in shown


def answer(content):
    """Return what is shown of a keyring, or of why there is none."""
    try:
        return repr(Keyring.parse(content.encode(), "keys.toml"))
    except KeyringError as error:
        return f"{error} {error!r}"


def leaks(shown):
    """Say whether six letters of a secret in a row are in what was shown, as base64, as bytes or as hex."""
    secrets = [material(number) for number in (1, 2)]
    forms = [form for secret in secrets for form in (secret, base64.urlsafe_b64decode(secret).hex())]
    return any(form[start : start + 6] in shown for form in forms for start in range(len(form) - 6))


def test_cryptography_is_imported_on_first_use_only():
    script = """
import sys
import penstock.keyring
ring = penstock.keyring.Keyring.generate().rotate()
sealer = ring.sealer(b"job")
print("cryptography" in sys.modules)
sealer.seal(b"", b"")
print("cryptography" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


# What a key file may say --------------------------------------------------------------------------


class TestContent:
    def test_what_is_written_is_read_as_it_was(self, tmp_path):
        ring = Keyring.generate().rotate().rotate().retire(2)
        ring.save(tmp_path / "keys.toml")
        assert Keyring.load(tmp_path / "keys.toml") == ring

    def test_the_same_keyring_is_the_same_file(self, tmp_path):
        ring = parsed("retired", "usable", "active")
        ring.save(tmp_path / "a.toml")
        Keyring.load(tmp_path / "a.toml").save(tmp_path / "b.toml")
        assert (tmp_path / "a.toml").read_bytes() == (tmp_path / "b.toml").read_bytes()
        assert (tmp_path / "a.toml").read_text().endswith(text("retired", "usable", "active").decode())

    def test_entries_may_stand_in_any_order(self):
        first, second = text("usable", form=""), text("usable", "active").removeprefix(text("usable"))
        assert told(Keyring.parse(b"format = 1\n" + second + first, "x")) == [(1, "usable"), (2, "active")]

    def test_a_moment_keeps_its_zone(self, tmp_path):
        zone = timezone(timedelta(hours=5, minutes=30))
        content = text("active").replace(b"12:00:00Z", b"12:00:00+05:30")
        ring = Keyring.parse(content, "x").save(tmp_path / "keys.toml")
        assert Keyring.load(tmp_path / "keys.toml").versions[0].created == MOMENT.replace(tzinfo=zone)
        assert ring == Keyring.parse(content, "x")

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "not a key file with `format = 1`"),
            (b"format = 2\n", "not a key file with `format = 1`"),
            (b'format = "1"\n', "not a key file with `format = 1`"),
            (b"format = 1\n", r"entries \[\[key\]\]"),
            (b"format = 1\nkey = 3\n", r"entries \[\[key\]\]"),
            (b"format = 1\nkey = []\n", "exactly one key must be active, not 0"),
            (b"format = 1\nkey = [3]\n", "entry 1: it must have version, state, created, material"),
            (text("active", form="format = 1\ncolour = 1\n"), "and nothing else"),
            (text("usable", "retired"), "exactly one key must be active, not 0"),
            (text("active", "usable", "active"), "exactly one key must be active, not 2"),
            (text("active", "usable").replace(b"version = 2", b"version = 1"), "version 1 is there more than once"),
            (text("active").replace(b"version = 1", b"version = 0"), "entry 1: version must be a whole number"),
            (text("active").replace(b"version = 1", b"version = 4294967296"), "entry 1: version must be a whole"),
            (text("active").replace(b"version = 1", b"version = true"), "entry 1: version must be a whole number"),
            (text("active").replace(b"version = 1", b'version = "1"'), "entry 1: version must be a whole number"),
            (text("active", "sleeping"), "entry 2: state must be one of active, usable, retired"),
            (text("active").replace(b'"active"', b"[]"), "entry 1: state must be one of"),
            (text("active").replace(b"12:00:00Z", b"12:00:00"), "entry 1: created must be a moment with its zone"),
            (text("active").replace(b"2026-01-31T12:00:00Z", b"12"), "entry 1: created must be a moment"),
            (text("active") + b"colour = 3\n", "entry 1: it must have"),
            (text("active").replace(b'state = "active"\n', b""), "entry 1: it must have"),
            (text("active").replace(b"=" + b'"', b'"'), "entry 1: material must be 32 bytes"),
            (text("active").replace(material(1).encode(), b"A" * 40), "entry 1: material must be 32 bytes"),
            (text("active").replace(material(1).encode(), b"A" * 44), "entry 1: material must be 32 bytes"),
            (text("active").replace(material(1).encode(), b"A" * 42 + b"B="), "entry 1: material must be 32 bytes"),
            (text("active").replace(material(1).encode(), b"+" + b"A" * 42 + b"="), "entry 1: material must be 32"),
            (text("active").replace(b'"' + material(1).encode() + b'"', b"7"), "entry 1: material must be 32 bytes"),
            (b"format = 1\n]", "it is not TOML at line 2"),
            (b"format = 1\n" + b"\xff", "it is not TOML"),
            (b"format = " + b"1" * 5000, "it is not TOML"),
            (b"format = " + b"[" * 100_000, "it is not TOML"),
            (b"SQLite format 3\0" + b"x" * 100, "it is not TOML"),
        ],
        ids=str,
    )
    def test_a_broken_file_is_one_line_that_names_the_file_the_entry_and_what_to_do(self, file, content, said):
        path = file(content)
        with pytest.raises(KeyringError, match=said) as caught:
            Keyring.load(path)
        line = str(caught.value)
        assert line.startswith(f"{path}: ")
        assert "\n" not in line
        assert ("backup" in line) == ("not a key file" not in line)

    @settings(max_examples=50)
    @given(st.binary(min_size=32, max_size=32))
    def test_every_key_can_stand_in_a_file(self, secret):
        content = text("active").replace(material(1).encode(), base64.urlsafe_b64encode(secret))
        assert Keyring.parse(content, "x")._material == {1: secret}


# The file -----------------------------------------------------------------------------------------


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


class TestFile:
    @pytest.mark.parametrize("open_to", [0o640, 0o604, 0o644, 0o620, 0o602, 0o610, 0o601, 0o777, 0o440])
    def test_a_file_open_to_others_is_refused_with_the_line_to_type(self, file, open_to):
        path = file(text("active"), mode=open_to)
        for use in (Keyring.load, current_keyring_of, parsed("active").save, rotate):
            with pytest.raises(KeyringError, match=rf"mode {open_to:04o}.*: chmod 600 {path}$"):
                use(path)
        assert path.read_bytes() == text("active")

    def test_the_line_to_type_is_quoted_for_the_shell(self, file):
        path = file(text("active"), mode=0o644, name="my keys.toml")
        with pytest.raises(KeyringError, match=f"chmod 600 '{path}'$"):
            Keyring.load(path)

    @pytest.mark.parametrize("allowed", [0o600, 0o400])
    def test_a_file_for_its_owner_only_is_read(self, file, allowed):
        assert Keyring.load(file(text("active"), mode=allowed)) == parsed("active")

    def test_a_file_that_is_not_there_says_how_to_make_one(self, tmp_path):
        path = tmp_path / "keys.toml"
        for use in (Keyring.load, current_keyring_of, rotate):
            with pytest.raises(NoKeyring, match=rf"no key file {path}; .*penstock keys generate --file {path}$"):
                use(path)

    def test_a_folder_a_pipe_and_a_huge_file_are_refused_in_one_line(self, tmp_path, file):
        os.mkfifo(tmp_path / "pipe", 0o600)
        huge = file(b"#" * ((1 << 20) + 1))
        for path in (tmp_path, tmp_path / "pipe", huge):
            for use in (Keyring.load, current_keyring_of, rotate, parsed("active").save):
                with pytest.raises(KeyringError, match=f"^{path} (is not a key file|cannot be )"):
                    use(path)

    @pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
    def test_what_is_written_is_for_its_owner_only_whatever_the_umask(self, tmp_path, mask):
        path = tmp_path / "keys.toml"
        before = os.umask(mask)
        try:
            Keyring.generate().save(path)
            assert mode(path) == 0o600
            rotate(path)
            assert mode(path) == 0o600
        finally:
            os.umask(before)

    def test_a_new_keyring_never_replaces_a_file(self, file):
        path = file(text("active"))
        with pytest.raises(KeyringChanged, match=f"{path} is there already.*penstock keys rotate --file {path}$"):
            Keyring.generate().save(path)
        assert path.read_bytes() == text("active")

    def test_a_file_made_by_another_at_the_last_moment_is_not_replaced(self, file, tmp_path, monkeypatch):
        path = tmp_path / "keys.toml"
        link = os.link

        def too_late(*names):
            file(text("active"))
            link(*names)

        monkeypatch.setattr(os, "link", too_late)
        with pytest.raises(KeyringChanged, match="is there already"):
            Keyring.generate().save(path)
        assert path.read_bytes() == text("active")
        assert os.listdir(tmp_path) == ["keys.toml"]

    def test_an_update_of_what_was_read_is_written(self, file):
        path = file(text("active"))
        saved = Keyring.load(path).rotate().save(path)
        assert Keyring.load(path) == saved
        assert told(saved.rotate().save(path)) == [(1, "usable"), (2, "usable"), (3, "active")]
        assert Keyring.load(path).active_version == 3

    def test_a_file_changed_since_it_was_read_is_not_replaced(self, file):
        path = file(text("active"))
        mine, theirs = Keyring.load(path).rotate(), Keyring.load(path).rotate()
        theirs.save(path)
        with pytest.raises(KeyringChanged, match="changed since it was read"):
            mine.save(path)
        assert Keyring.load(path) == theirs

    def test_the_file_is_replaced_and_never_written_into(self, file):
        path = file(text("active"))
        with path.open("rb") as reader:
            rotate(path)
            assert reader.read() == text("active")

    def test_a_link_keeps_pointing_where_it_does(self, file, tmp_path):
        link = tmp_path / "link.toml"
        link.symlink_to(file(text("active")))
        rotate(link)
        assert link.is_symlink()
        assert Keyring.load(tmp_path / "keys.toml").active_version == 2

    @pytest.mark.parametrize("step", ["fsync", "replace", "link"])
    def test_a_write_that_fails_leaves_everything_as_it_was(self, file, tmp_path, monkeypatch, step):
        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, step, fail)
        if step != "link":
            path = file(text("active"))
            with pytest.raises(KeyringError, match=f"^{path} cannot be written: No space left on device$"):
                rotate(path)
            assert path.read_bytes() == text("active")
            path.unlink()
        if step != "replace":
            with pytest.raises(KeyringError, match=r"cannot be written: No space left on device$"):
                Keyring.generate().save(tmp_path / "keys.toml")
        assert os.listdir(tmp_path) == []

    def test_it_is_on_disk_before_it_is_in_place_and_then_its_name_is(self, file, tmp_path, monkeypatch):
        path, done = file(text("active")), []
        fsync, replace = os.fsync, os.replace

        def noted_fsync(descriptor):
            done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
            fsync(descriptor)

        def noted_replace(*names):
            done.append("replace")
            replace(*names)

        monkeypatch.setattr(os, "fsync", noted_fsync)
        monkeypatch.setattr(os, "replace", noted_replace)
        rotate(path)
        assert done == ["file", "replace", "folder"]
        assert os.listdir(tmp_path) == ["keys.toml"]

    def test_a_folder_that_is_not_there_is_one_line(self, tmp_path):
        with pytest.raises(KeyringError, match=r"/no/keys\.toml cannot be written: No such file or directory$"):
            Keyring.generate().save(tmp_path / "no" / "keys.toml")

    def test_a_change_that_is_refused_leaves_the_file_as_it_was(self, file):
        path = file(text("active"))
        with pytest.raises(KeyringError):
            Keyring.update(path, lambda ring: ring.retire(1))
        assert path.read_bytes() == text("active")
        assert rotate(path).active_version == 2

    def test_a_writer_waits_for_the_one_before_and_reads_what_it_wrote(self, file, monkeypatch):
        path = file(text("active"))
        flock, waits = fcntl.flock, threading.Event()
        with path.open("rb") as holder:
            flock(holder, fcntl.LOCK_EX)
            monkeypatch.setattr(fcntl, "flock", lambda *words: (waits.set(), flock(*words)))
            waiting = threading.Thread(target=rotate, args=(path,))
            waiting.start()
            assert waits.wait(60)
            # What the holder does: another file in the place of the one that is waited for.
            os.replace(file(text("usable", "active"), name="new.toml"), path)
            assert waiting.is_alive()
        waiting.join()
        assert told(Keyring.load(path)) == [(1, "usable"), (2, "usable"), (3, "active")]


ROTATE = """
import sys
from penstock.keyring import Keyring
print("ready", flush=True)
sys.stdin.readline()
print(Keyring.update(sys.argv[1], Keyring.rotate).active_version)
"""


@pytest.mark.process
def test_eight_processes_that_rotate_at_once_make_eight_keys(file, tmp_path):
    path = file(text("active"))
    command = [sys.executable, "-c", ROTATE, str(path)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in range(8)
    ]
    assert [process.stdout.readline() for process in running] == ["ready\n"] * 8
    for process in running:
        process.stdin.write("go\n")
    made = [int(process.communicate()[0]) for process in running]
    assert sorted(made) == list(range(2, 10))
    assert [process.returncode for process in running] == [0] * 8
    ring = Keyring.load(path)
    assert len(set(ring._material.values())) == 9
    assert ring.active_version == 9
    assert os.listdir(tmp_path) == ["keys.toml"]


def rotate(path):
    return Keyring.update(path, Keyring.rotate)


# The keyring in force -----------------------------------------------------------------------------


def current_keyring_of(path):
    return current_keyring(str(path))


class TestCurrent:
    def test_none_says_how_to_make_one_and_how_to_set_it(self):
        with pytest.raises(NoKeyring, match=r"penstock keys generate --file \S+; then set PENSTOCK_KEYRING="):
            current_keyring(None)

    def test_a_file_is_read_once(self, file, monkeypatch):
        path = file(text("active"))
        first = current_keyring_of(path)
        monkeypatch.setattr(module, "_load", None)
        assert current_keyring_of(path) is first

    def test_rotation_elsewhere_is_seen(self, file):
        path = file(text("active"))
        seen = [current_keyring_of(path).active_version]
        for _ in range(5):
            rotate(path)
            seen.append(current_keyring_of(path).active_version)
        assert seen == [1, 2, 3, 4, 5, 6]

    def test_a_file_edited_in_place_is_read_again(self, file):
        path = file(text("active"))
        current_keyring_of(path)
        file(text("usable", "active"))
        assert current_keyring_of(path).active_version == 2

    def test_a_file_that_was_opened_to_others_or_taken_away_is_refused_from_then_on(self, file):
        path = file(text("active"))
        current_keyring_of(path)
        path.chmod(0o644)
        with pytest.raises(KeyringError, match="chmod 600"):
            current_keyring_of(path)
        path.unlink()
        with pytest.raises(NoKeyring):
            current_keyring_of(path)

    def test_two_files_are_two_keyrings(self, file):
        one, two = file(text("active")), file(text("usable", "active"), name="two.toml")
        assert [current_keyring_of(path).active_version for path in (one, two, one)] == [1, 2, 1]

    def test_a_function_is_called_each_time(self):
        rings = [parsed("active"), parsed("usable", "active")]
        remaining = iter(rings)
        assert [current_keyring(lambda: next(remaining)) for _ in rings] == rings

    def test_a_function_that_gives_something_else_is_refused_without_showing_it(self):
        with pytest.raises(KeyringError, match=r"gave a str, not a Keyring$"):
            current_keyring(lambda: material(1))
