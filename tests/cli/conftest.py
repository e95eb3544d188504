"""The command line, called in this process as `penstock` is.

- `call`: a function that runs a command line and returns exit code, output and errors.
- `url`: the URL of an empty store, which the settings name too.
- `terminal`: makes standard input a terminal at which a person types.
"""

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

from penstock.cli import main
from penstock.store import Store


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command line."""
    # A command closes the stores of its process, which ends with it; this one goes on.
    monkeypatch.setattr("penstock.store.close_stores", lambda: None)
    # Else click takes the name of the program from how pytest was started.
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["penstock", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        code = caught.value.code or 0
        assert isinstance(code, int)
        return code, captured.out, captured.err

    return run


@pytest.fixture
def url(configured_store: Store) -> str:
    """Return the URL of an empty store."""
    return configured_store.url


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that puts a terminal in place of standard input, with what a person types there."""

    def type_there(text: str) -> None:
        stream = io.StringIO(text)
        stream.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr(sys, "stdin", stream)

    return type_there
