"""`penstock keys`, called in this process as the command line is."""

import json
import os
import sys

import pytest

import penstock
from penstock.cli import COMMANDS, main
from penstock.cli.keys import keys
from penstock.errors import ConfigurationError
from penstock.keyring import Keyring, KeyringError, NoKeyring
from penstock.service.keys import list_keys, rotate_key


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """Return a function that runs `penstock keys` in an empty folder and returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(COMMANDS, "keys", "penstock.cli.keys:keys")

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["penstock", "keys", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def three(call, tmp_path):
    """Return a key file with a retired, a usable and an active key."""
    path = tmp_path / "keys.toml"
    Keyring.generate().rotate().rotate().retire(1).save(path)
    return path


def states(path):
    return [str(key.state) for key in Keyring.load(path).versions]


@pytest.mark.parametrize("name", sorted(keys.commands))
def test_the_help_of_every_command_has_an_example_that_parses(call, name):
    code, out, err = call(name, "--help")
    assert (code, err) == (0, "")
    line = next(line.strip() for line in out.splitlines() if line.strip().startswith("Example: "))
    words = line.removeprefix("Example: ").split()
    assert words[:3] == ["penstock", "keys", name]
    keys.commands[name].make_context(name, words[3:])


def test_generate_makes_a_file_and_says_how_to_use_it(call, tmp_path):
    code, out, err = call("generate", "--file", "my keys.toml")
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == [
        "my keys.toml: key 1 is active",
        "to use it: export PENSTOCK_KEYRING='my keys.toml'",
    ]
    assert "backup" in out
    assert states(tmp_path / "my keys.toml") == ["active"]


def test_generate_never_overwrites(call, three):
    before = three.read_bytes()
    code, out, err = call("generate", "--file", three)
    assert (code, out) == (2, "")
    assert err == (
        f"penstock: {three} is there already, or changed since it was read; "
        f"to add a key to it: penstock keys rotate --file {three}\n"
    )
    assert three.read_bytes() == before


def test_list_shows_number_state_and_moment_oldest_first(call, three):
    code, out, err = call("list", "--file", three)
    lines = [line.split() for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert lines[0] == ["version", "state", "created_at"]
    assert [line[:2] for line in lines[1:]] == [["1", "retired"], ["2", "usable"], ["3", "active"]]
    assert all(line[2] == Keyring.load(three).versions[0].created.isoformat() for line in lines[1:])


def test_list_as_json_is_what_the_service_says(call, three):
    code, out, _ = call("list", "--json", "--file", three)
    found = json.loads(out)
    assert code == 0
    assert [(key["version"], key["state"]) for key in found] == [(1, "retired"), (2, "usable"), (3, "active")]
    assert list_keys(str(three)) == {"file": str(three), "active": 3, "keys": found}


def test_rotate_adds_a_key_and_seals_under_it(call, three):
    assert call("rotate", "--file", three) == (0, f"{three}: key 4 is active\n", "")
    assert states(three) == ["retired", "usable", "usable", "active"]


def test_activate_seals_under_an_older_key(call, three):
    assert call("activate", 2, "--file", three) == (0, f"{three}: key 2 is active\n", "")
    assert states(three) == ["retired", "active", "usable"]


def test_retire_refuses_what_a_key_sealed(call, three):
    assert call("retire", 2, "--file", three) == (0, f"{three}: key 2 is retired\n", "")
    assert states(three) == ["retired", "retired", "active"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("retire", 3), "key 3 of the keyring keys.toml is active; first: penstock keys rotate"),
        (("activate", 1), "key 1 of the keyring keys.toml is retired; for a new one: penstock keys rotate"),
        (("activate", 9), "the keyring keys.toml has no key 9; it has 1, 2, 3"),
        (("retire", 9), "the keyring keys.toml has no key 9; it has 1, 2, 3"),
    ],
)
def test_a_change_that_does_not_apply_is_one_line_and_changes_nothing(call, three, words, said):
    before = three.read_bytes()
    assert call(*words, "--file", "keys.toml") == (2, "", f"penstock: {said}\n")
    assert three.read_bytes() == before


@pytest.mark.parametrize("version", ["x", "0", "-1", "1.5"])
def test_a_version_that_is_no_number_is_a_usage_error(call, three, version):
    code, out, err = call("activate", "--file", three, "--", version)
    assert (code, out) == (2, "")
    assert "VERSION" in err


@pytest.mark.parametrize("words", [("list",), ("list", "--json"), ("rotate",), ("activate", 1), ("retire", 1)])
class TestFileInForce:
    def test_without_file_it_is_that_of_the_setting(self, call, tmp_path, monkeypatch, words):
        Keyring.generate().rotate().save(tmp_path / "set.toml")
        monkeypatch.setenv("PENSTOCK_KEYRING", "set.toml")
        assert call(*words)[::2] == (0, "")

    def test_file_wins_over_the_setting(self, call, three, monkeypatch, words):
        monkeypatch.setenv("PENSTOCK_KEYRING", "nowhere.toml")
        assert "nowhere" not in call(*words, "--file", three)[2]

    def test_without_both_the_error_says_what_to_do(self, call, words):
        code, out, err = call(*words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("penstock: no key")
        assert "PENSTOCK_KEYRING" in err

    def test_a_missing_an_open_and_a_broken_file_are_one_line(self, call, three, words):
        for prepare, said in [
            (lambda: three.chmod(0o644), f"chmod 600 {three}"),
            (lambda: three.chmod(0o600) or three.write_text("nonsense"), "it is not TOML"),
            (three.unlink, f"penstock keys generate --file {three}"),
        ]:
            prepare()
            code, out, err = call(*words, "--file", three)
            assert (code, out, err.count("\n")) == (2, "", 1)
            assert err.startswith("penstock: ")
            assert said in err


def test_generate_makes_the_file_of_the_setting(call, tmp_path, monkeypatch):
    monkeypatch.setenv("PENSTOCK_KEYRING", "set.toml")
    assert call("generate")[0] == 0
    assert os.listdir(tmp_path) == ["set.toml"]


def test_a_function_as_the_setting_can_be_listed_but_not_changed(tmp_path):
    ring = Keyring.generate()
    penstock.configure(keyring=lambda: ring)
    assert [key["version"] for key in list_keys()["keys"]] == [1]
    with pytest.raises(ConfigurationError, match="is a function, not a file: give one with --file"):
        rotate_key()


def test_no_output_shows_a_key(call, three):
    outputs = []
    calls = [
        "generate",
        "list",
        "rotate",
        "activate 2",
        "activate 1",
        "retire 1",
        "retire 2",
        "retire 9",
        "list --json",
    ]
    outputs += [call(*words.split(), "--file", three) for words in calls]
    secrets = [line.split('"')[1] for line in three.read_text().splitlines() if line.startswith("material")]
    assert len(secrets) == 4
    for place, secret in enumerate(secrets):
        three.write_text(three.read_text().replace(f'"{secret}"', secret if place % 2 else f'"{secret[:-4]}"'))
        outputs += [call(*words.split(), "--file", three) for words in calls]
    shown = str(outputs)
    assert [secret for secret in secrets for start in range(38) if secret[start : start + 6] in shown] == []


def test_the_errors_are_errors_of_configuration():
    assert issubclass(NoKeyring, KeyringError)
    assert issubclass(KeyringError, ConfigurationError)
