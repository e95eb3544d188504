"""Errors: their tree, exit codes and HTTP statuses."""

import inspect
import re

import pytest

from penstock import errors
from penstock.errors import MissingExtra, PenstockError

CLASSES = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, PenstockError) and member.__module__ == errors.__name__
]


def drawn():
    """Return (parent, name, text) of each line of the tree that the module's docstring draws."""
    lines = re.findall(r"^    ((?:[│├└─ ]{4})*)(\w+)(.*)$", errors.__doc__, re.MULTILINE)
    parents, found = [None], []
    for indent, name, text in lines:
        depth = len(indent) // 4
        parents[depth + 1 :] = [name]
        found.append((parents[depth], name, text))
    return found


def test_the_tree_that_is_drawn_is_the_tree_that_is():
    actual = {cls.__name__: None if cls is PenstockError else cls.__bases__[0].__name__ for cls in CLASSES}
    assert {name: parent for parent, name, _ in drawn()} == actual


def test_the_drawing_says_which_are_errors_of_python_too():
    python = {
        "TimeoutError": TimeoutError,
        "LookupError": LookupError,
        "TypeError": TypeError,
        "ValueError": ValueError,
    }
    for _, name, text in drawn():
        for word in re.findall(r"also a (\w+)", text):
            assert issubclass(getattr(errors, name), python[word])


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_has_an_exit_code_and_a_status_of_failure(cls):
    assert 1 <= cls.exit_code <= 130
    assert 400 <= cls.http_status <= 599


def test_a_missing_extra_says_how_to_install_it():
    assert str(MissingExtra("gzip by isal", "files")) == (
        "gzip by isal needs an optional library: pip install 'penstock[files]'"
    )
