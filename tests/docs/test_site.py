"""The site is built without a warning, leads nowhere that is not there, and has a word on everything public."""

import importlib.util
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import click
import pytest
from tests.docs.blocks import DOCS, ROOT

import penstock
from penstock.cli import COMMANDS
from penstock.cli import penstock as program

pytest.importorskip("mkdocs")
PUBLIC = ("penstock", "penstock.testing", "penstock.streams", "penstock.tabular", "penstock.jobs")
"""Modules whose `__all__` is public."""
WORDS = (
    "job", "kind", "batch job", "record", "slice", "category", "store", "server", "dispatcher", "worker", "slot",
    "move", "keyring", "sealed",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site, once for this module."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


def navigation():
    spec = importlib.util.spec_from_file_location("navigation", DOCS / "navigation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_in_the_navigation_once():
    pages = [page for pages in navigation().NAVIGATION.values() for page in pages]
    assert sorted(pages) == sorted(set(pages))
    there = {path.name for path in DOCS.glob("*.md") if ".template" not in path.name}
    assert there - set(pages) == set(), "name it in docs/navigation.py"


def test_every_public_name_is_in_the_reference(site):
    documented = {
        name for page in site.glob("*.html") for name in re.findall(r'id="(penstock[\w.]*)"', page.read_text())
    }
    hooks = (DOCS / "hooks.md").read_text("utf-8")
    missing = [
        f"{module}.{name}"
        for module in PUBLIC
        for name in importlib.import_module(module).__all__
        if f"{module}.{name}" not in documented and not (module == "penstock" and f"| `{name}` |" in hooks)
    ]
    assert missing == [], "add ::: NAME to a page docs/reference-….md"


def test_every_class_and_function_of_the_keyring_is_in_the_reference(site):
    page = (site / "reference-keys.html").read_text()
    import penstock.keyring as module

    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    assert [name for name in own if not name.startswith("_") and f'id="penstock.keyring.{name}"' not in page] == []


def test_nothing_is_loaded_from_elsewhere(site):
    loads = re.compile(
        r'<(?:script|img|iframe|link rel="(?:stylesheet|preconnect|icon)")[^>]*(?:src|href)="(?:https?:)?//'
    )
    assert [page.name for page in site.glob("*.html") if loads.search(page.read_text())] == []


def test_notes_to_the_tests_are_not_shown(site):
    assert [page.name for page in site.glob("*.html") if "<!-- before" in page.read_text()] == []


def commands(group, path):
    """Yield each command with its words."""
    yield path, group
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            yield from commands(command, f"{path} {name}")


def test_every_command_and_option_is_documented():
    page = (DOCS / "commands.md").read_text("utf-8")
    context = click.Context(program)
    sections = dict(re.findall(r"^## (penstock [^\n]*)\n+```text\n(.*?)```", page, re.M | re.S))
    missing = []
    for name in COMMANDS:
        for path, command in commands(program.get_command(context, name), f"penstock {name}"):
            options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
            told = sections.get(path, "")
            missing += [f"{path} {text}" for option in options for text in option.opts if text not in told]
            missing += [] if path in sections else [path]
    assert missing == []


def wrong_with(span):
    """Return what is wrong with a command in the middle of a sentence; None where nothing is."""
    command, path = program, "penstock"
    context = click.Context(program)
    words = span.split("|")[0].split()
    for before, word in pairwise(words):
        if isinstance(command, click.Group) and not word.startswith(("-", "…")) and not before.startswith("-"):
            command = command.get_command(context, word)
            path += f" {word}"
            if command is None:
                return f"there is no {path}"
        elif word.startswith("--") and word.rstrip(",.") not in [name for p in command.params for name in p.opts]:
            return None if word == "--help" else f"{path} has no {word}"
    return None


def test_commands_in_the_middle_of_a_sentence_are_there_with_their_options():
    wrong = {}
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.glob("*.md")]:
        text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
        for span in re.findall(r"`(penstock [^`]+)`", text):
            found = wrong_with(span)
            if found:
                wrong[f"{page.name}: {span}"] = found
    assert wrong == {}


def test_every_word_of_the_glossary_is_there():
    page = (DOCS / "glossary.md").read_text("utf-8")
    assert [word for word in WORDS if f"**{word}**" not in page] == []


def test_every_error_and_every_event_is_documented():
    from penstock import errors, events

    for page, module, root in (("errors.md", errors, errors.PenstockError), ("events.md", events, events.JobEvent)):
        text = (DOCS / page).read_text("utf-8")
        own = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, root)]
        assert [value.__name__ for value in own if f"`{value.__name__}`" not in text] == []


def test_the_version_of_the_package_is_in_the_changelog():
    assert f"## {penstock.__version__}" in Path(ROOT / "CHANGELOG.md").read_text("utf-8")
