"""Examples of the documentation, run as they stand there, with a closer look at what comes of them.

That every block of every page runs is shown by tests/docs.
"""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import ValidationError

import penstock
from penstock import BatchJob
from penstock.errors import DuplicateJob
from penstock.keyring import Keyring
from penstock.testing import drain

DOCS = Path(__file__).parents[1] / "docs"


def block(page, heading):
    """Return the first block of Python below a heading."""
    text = (DOCS / page).read_text("utf-8")
    return re.search(r"```python\n(.*?)```", text[text.index(f"\n## {heading}\n") :], re.DOTALL)[1]


def run(source, imports):
    names = {"__name__": "example"}
    exec(f"{imports}\n{source}", names)
    return names


def test_the_plug_in_of_your_own_adds_a_field_a_check_and_hooks(penstock_store, capsys):
    names = run(
        block("plugins.md", "A plug-in of your own"),
        "from pydantic import field_validator\n"
        "from penstock import Job, after_fail, before_create, field\n"
        "from penstock.errors import DuplicateJob",
    )

    class Nightly(names["OnlyOne"], kind="docs.Nightly"):
        def perform(self):
            raise ValueError("no moon")

    Nightly.create()
    with pytest.raises(DuplicateJob, match="of group main already"):
        Nightly.create()
    Nightly.create(group="spare")
    with pytest.raises(ValidationError, match="must be main or spare"):
        Nightly(group="third")
    drain(expect_failures=True)
    assert capsys.readouterr().out.splitlines() == ["docs.Nightly failed: ValueError: no moon"] * 2
    Nightly.create()


def test_every_block_about_transactions_runs_one_after_the_other(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "transactions.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 6
    script = "\n".join([SET_UP, *blocks, WHAT_CAME_OF_IT])
    # In a process of its own: Django is told of its databases once.
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    *printed, drained, orders = done.stdout.splitlines()
    assert sorted(printed) == [
        *(f"invoice for order {number}" for number in (1, 101, 2, 3)),
        *(f"reminder for order {number}" for number in (1, 2, 3)),
    ]
    assert (drained, orders) == ("9 0", "[8, 9, 101, 102, 103]")


SET_UP = """
import django, django.conf
from penstock.store import current_store
from penstock.testing import drain

django.conf.settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "penstock.db"}}, USE_TZ=True
)
django.setup()
current_store()
"""
WHAT_CAME_OF_IT = """
drained = drain()
print(drained.completed, drained.failed)
print([number for number, in connection.execute("SELECT number FROM orders ORDER BY number")])
"""


def test_every_block_about_included_jobs_runs_one_after_the_other(tmp_path, monkeypatch, configured_store):
    class LoadOrders(BatchJob):
        def perform(self, line):
            return None

    monkeypatch.chdir(tmp_path)
    penstock.configure(allow_on_demand_code=True)
    Keyring.generate().save(tmp_path / "keys.toml")
    penstock.configure(keyring=str(tmp_path / "keys.toml"))
    (tmp_path / "orders.csv").write_text("number,amount\n1,2.50\n")
    (tmp_path / "names.txt").write_text("ada\n")
    with closing(sqlite3.connect("people.db")) as connection, connection:
        connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("INSERT INTO people VALUES (1, ' ada ')")
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "jobs-included.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 6
    names = run("\n".join(blocks), "")
    assert (tmp_path / "orders.psv").read_text() == "number|amount\n1|2.50\n"
    names["TrimNames"].create()
    names["CopyFile"].query.destroy()  # There is no such partner.
    names["UploadFile"].query.destroy()
    drained = drain()
    assert (drained.completed, (tmp_path / "reversed.txt").read_text()) == (3, "ada\n"[-2::-1] + "\n")
    with closing(sqlite3.connect("people.db")) as connection:
        assert connection.execute("SELECT name FROM people").fetchall() == [("ada",)]
