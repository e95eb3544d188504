"""The documentation says what the code does."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["moves.md", "commands.md"])
def test_a_generated_page_is_up_to_date(name):
    assert (ROOT / "docs" / name).read_text("utf-8") == generator().PAGES[name](), "run: python docs/generate.py"


def test_links_between_pages_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_python_in_the_pages_is_python(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        compile(block, page.name, "exec")


def test_every_setting_is_documented():
    from dataclasses import fields

    from penstock.config import Settings

    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert [setting.name for setting in fields(Settings) if f"| `{setting.name}` |" not in page] == []
