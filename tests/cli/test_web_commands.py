"""`penstock web user`, and who may sign in by the options of `penstock web`."""

import io
import json

import pytest

from penstock.web.authentication import TrustedHeader, UsersFile
from penstock.web.users import Users

PASSWORD = "correct horse battery"


@pytest.fixture
def users(tmp_path):
    return tmp_path / "users.json"


@pytest.fixture
def add(call, users, monkeypatch):
    """Return a function that adds somebody, whose password comes on standard input."""

    def run(login, *words):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\nnot this line\n"))
        return call("web", "user", "add", login, *words, "--password-file", "-", "--users", users)

    return run


@pytest.fixture
def served(monkeypatch):
    """Return what `penstock web` was to serve with, without a server."""
    given = {}
    monkeypatch.setattr("penstock.web.serving.serve", lambda **named: given.update(named))
    return given


def test_somebody_who_was_added_may_sign_in_with_the_first_line(add, users):
    assert add("ada", "--role", "manager", "--role", "view") == (0, f"ada (manager, view) is in {users}\n", "")
    assert Users(users).check("ada", PASSWORD).roles == ("manager", "view")
    assert Users(users).check("ada", "not this line") is None


def test_a_password_is_asked_for_twice_at_a_terminal(call, users, monkeypatch):
    typed = iter([PASSWORD, "a slip of the hand", PASSWORD, PASSWORD])
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: next(typed))
    code, out, _ = call("web", "user", "add", "ada", "--users", users)
    assert (code, "do not match" in out) == (0, True)
    assert Users(users).check("ada", PASSWORD).roles == ("view",)


def test_users_are_listed_and_removed(call, add, users):
    add("bob")
    add("ada", "--role", "admin")
    code, out, _ = call("web", "user", "list", "--users", users, "--json")
    assert (code, json.loads(out)) == (0, [{"login": "ada", "roles": ["admin"]}, {"login": "bob", "roles": ["view"]}])
    assert call("web", "user", "remove", "bob", "--users", users) == (0, f"bob is removed from {users}\n", "")
    assert "bob" not in call("web", "user", "list", "--users", users)[1]
    code, _, err = call("web", "user", "remove", "bob", "--users", users)
    assert code != 0
    assert "bob" in err


def test_a_users_file_says_who_may_sign_in(call, add, users, url, served):
    add("ada")
    assert call("web", "--users", users, "--store", url)[0] == 0
    assert isinstance(served["authentication"], UsersFile)


def test_a_header_gives_the_roles_that_are_named_and_all_others_those_of_the_star(call, url, served):
    words = ("--role", "ada=manager", "--role", "ada=dirmon", "--role", "*=user")
    assert call("web", "--user-header", "X-Remote-User", *words, "--store", url)[0] == 0
    found = served["authentication"]
    assert isinstance(found, TrustedHeader)
    assert found._roles == {"ada": ["manager", "dirmon"]}
    assert list(found._everybody) == ["user"]


def test_without_either_it_asks_nobody(call, url, served):
    assert call("web", "--store", url)[0] == 0
    assert served["authentication"] is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--users", "u.json", "--user-header", "X-User"), "one of them says who somebody is"),
        (("--user-header", "X-User", "--role", "ada"), "--role ada: write LOGIN=ROLE"),
        (("--user-header", "X-User", "--role", "ada=king"), "--role ada=king: write LOGIN=ROLE"),
        (("--users", "u.json"), "penstock web user add"),
    ],
)
def test_options_that_do_not_go_together_are_named(call, url, served, words, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = call("web", *words, "--store", url)
    assert code != 0
    assert told in err
    assert served == {}


def test_a_users_file_without_users_is_refused(call, add, users, url, served):
    add("ada")
    call("web", "user", "remove", "ada", "--users", users)
    code, _, err = call("web", "--users", users, "--store", url)
    assert (code != 0, "has no users" in err, served) == (True, True, {})
