"""Finding a store by its URL, and keeping it for the length of the process."""

import os
from pathlib import Path

import pytest

import penstock
from penstock.errors import ConfigurationError
from penstock.query import Query
from penstock.store import (
    absolute,
    close_stores,
    current_store,
    open_store,
    presence_name,
    process_name,
    without_password,
)


def test_one_url_is_one_store_in_a_process(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    assert open_store(url) is open_store(url)


def test_memory_stores_of_a_process_are_one(new_row):
    open_store("sqlite://").insert_jobs([new_row()])
    assert open_store("sqlite://").count_jobs(Query()) == 1


def test_closed_and_opened_again_a_memory_store_is_empty(new_row):
    open_store("sqlite://").insert_jobs([new_row()])
    close_stores()
    assert open_store("sqlite://").count_jobs(Query()) == 0


def test_closed_and_opened_again_a_file_has_what_was_stored(tmp_path, new_row):
    url = f"sqlite:///{tmp_path}/a.db"
    open_store(url).insert_jobs([new_row()])
    close_stores()
    assert open_store(url).count_jobs(Query()) == 1


def test_a_relative_path_is_one_store_wherever_the_process_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = open_store("sqlite:///a.db")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert open_store(f"sqlite:///{tmp_path}/a.db") is first
    assert first.url == f"sqlite:///{tmp_path}/a.db"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////srv/a.db", "/srv/a.db"),
        ("sqlite:///a.db", "{cwd}/a.db"),
        ("sqlite:///sub/../a.db", "{cwd}/a.db"),
    ],
)
def test_urls_mean_the_paths_that_the_settings_say(url, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute(url) == f"sqlite:///{path.format(cwd=tmp_path)}"


@pytest.mark.parametrize("url", ["penstock.db", "mysql://host/db", "", "sqlite:penstock.db", "://", "SQLITE:///a.db"])
def test_another_kind_of_url_is_refused_with_an_example(url):
    with pytest.raises(ConfigurationError, match=r"sqlite:///penstock\.db") as caught:
        open_store(url)
    assert repr(url) in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("postgresql://ada:s3cret@host:5432/db?schema=x", "postgresql://ada@host:5432/db?schema=x"),
        ("postgres://ada@host/db?password=s3cret", "postgres://ada@host/db"),
        ("postgresql:///db?a=1&sslpassword=s&b=2", "postgresql:///db?a=1&b=2"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert without_password(url) == shown


def test_the_current_store_is_the_one_of_the_settings(tmp_path):
    penstock.configure(store=f"sqlite:///{tmp_path}/a.db")
    assert current_store() is open_store(f"sqlite:///{tmp_path}/a.db")
    penstock.configure(store="sqlite://")
    assert current_store() is open_store("sqlite://")


def test_names_of_processes_never_repeat():
    assert process_name() != process_name()
    assert f":{os.getpid()}:" in process_name()


def test_closing_takes_signs_of_life_away(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    name = presence_name(open_store(url))
    close_stores()
    assert open_store(url).is_present(name) is False


def test_closed_stores_leave_only_the_database_and_its_lock(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    presence_name(store)
    close_stores()
    assert {entry.name for entry in tmp_path.iterdir()} <= {"a.db", "a.db-lock"}


@pytest.mark.process
def test_a_forked_child_opens_a_connection_of_its_own(tmp_path, run_python):
    script = """
import os, sys
from penstock.query import Query
from penstock.store import open_store, close_stores
parent = open_store(sys.argv[1])
child = os.fork()
if child == 0:
    mine = open_store(sys.argv[1])
    mine.count_jobs(Query())
    ok = mine is not parent
    close_stores()
    os._exit(0 if ok else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert parent.count_jobs(Query()) == 0
"""
    url = f"sqlite:///{tmp_path}/a.db"
    done = run_python(script, url)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_default_store_is_a_file_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    current_store()
    assert Path("penstock.db").is_file()
