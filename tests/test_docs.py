"""The documentation says what the code does."""

import ast
import importlib.util
import json
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(generator().PAGES))
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


ROCKET_JOB = tomllib.loads((ROOT / "docs" / "rocket_job.toml").read_text("utf-8"))
MISSING = "not yet: "


@cache
def names_in(path):
    """Return the tests of a file as `name` or `Class::name`, read from its source."""
    body = ast.parse((ROOT / path).read_text("utf-8")).body
    classes = [(f"{node.name}::", node.body) for node in body if isinstance(node, ast.ClassDef)]
    return {
        f"{prefix}{node.name}"
        for prefix, nodes in [("", body), *classes]
        for node in nodes
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_test_that_a_row_about_job_reactor_names_is_there():
    data = tomllib.loads((ROOT / "docs" / "job_reactor.toml").read_text("utf-8"))
    named = {tuple(item["test"].split("::")) for item in data["item"] if "test" in item}
    assert [name for path, name in sorted(named) if name not in names_in(path)] == []
    assert {item["section"] for item in data["item"]} == data["sections"].keys()


class TestRocketJob:
    """The table for users of Rocket Job."""

    def test_every_test_that_a_row_names_is_there(self):
        named = {item["test"] for item in ROCKET_JOB["item"] if "test" in item}
        lost = [test for test in sorted(named) if test.partition("::")[2] not in names_in(test.partition("::")[0])]
        assert lost == []

    def test_a_row_names_a_test_or_says_that_it_is_not_there_yet(self):
        wrong = [item for item in ROCKET_JOB["item"] if ("test" in item) is item["penstock"].startswith(MISSING)]
        assert wrong == []

    def test_every_section_from_1_1_to_3_11_has_rows_in_its_place(self):
        wanted = [f"{part}.{n}" for part, last in ((1, 7), (2, 6), (3, 11)) for n in range(1, last + 1)]
        assert list(ROCKET_JOB["sections"]) == wanted
        assert list(dict.fromkeys(item["section"] for item in ROCKET_JOB["item"])) == wanted
        places = [wanted.index(item["section"]) for item in ROCKET_JOB["item"]]
        assert places == sorted(places)

    def test_no_row_stands_twice(self):
        rows = [(item["section"], item["item"].casefold()) for item in ROCKET_JOB["item"]]
        assert [row for row in rows if rows.count(row) > 1] == []

    def test_rows_have_what_rows_have(self):
        for item in ROCKET_JOB["item"]:
            assert {"section", "item", "penstock"} <= item.keys() <= {"section", "item", "penstock", "test", "upstream"}
            assert item.get("upstream", True) is True


FAULTS = tomllib.loads((ROOT / "docs" / "faults.toml").read_text("utf-8"))


class TestFaults:
    """The table of what may go wrong."""

    def test_every_test_that_a_case_names_is_there(self):
        named = {test for fault in FAULTS["fault"] for test in fault["tests"]}
        lost = [test for test in sorted(named) if test.partition("::")[2] not in names_in(test.partition("::")[0])]
        assert lost == []

    def test_a_case_names_tests_or_says_why_there_is_none(self):
        assert [fault["number"] for fault in FAULTS["fault"] if not fault["tests"] and "why_not" not in fault] == []

    def test_the_cases_are_those_of_the_list_in_their_order(self):
        wanted = [*range(1, 38), 47, 49, 53, 55]
        assert [fault["number"] for fault in FAULTS["fault"]] == [f"T{number}" for number in wanted]
        assert {fault["section"] for fault in FAULTS["fault"]} == set(FAULTS["sections"])

    def test_no_round_that_is_told_of_had_errors(self):
        told = json.loads((ROOT / "docs" / "faults_summary.json").read_text("utf-8"))
        assert told["errors"] == 0

    def test_in_no_soak_that_is_told_of_anything_was_wrong(self):
        path = ROOT / "docs" / "soak_summary.json"
        rows = json.loads(path.read_text("utf-8"))["rows"] if path.exists() else []
        assert [row["store"] for row in rows if row["wrong"]] == []


ENGINES = tomllib.loads((ROOT / "docs" / "engines.toml").read_text("utf-8"))


class TestEngines:
    """The table of tests that run on one engine only."""

    def test_every_file_that_is_named_for_an_engine_is_in_it_and_every_file_in_it_is_there(self):
        listed = {file["path"] for file in ENGINES["file"]}
        named = {
            str(path.relative_to(ROOT))
            for pattern in ("test_sqlite_*.py", "test_postgres*.py", "test_pgbouncer.py")
            for path in (ROOT / "tests").rglob(pattern)
        }
        marked = {
            str(path.relative_to(ROOT))
            for path in (ROOT / "tests").rglob("test_*.py")
            if "pytest.mark.sqlite(" in path.read_text("utf-8") and path.name != "test_docs.py"
        }
        assert (named | marked) - listed == set()
        assert [path for path in sorted(listed) if not (ROOT / path).exists()] == []

    def test_each_has_a_reason(self):
        assert [
            file for file in ENGINES["file"] if not file["reason"] or file["engine"] not in ("SQLite", "PostgreSQL")
        ] == []
