"""Signing in: who, with what, how often, and for how long."""

import json
import stat

import pytest
from starlette.testclient import TestClient

from penstock.errors import ConfigurationError
from penstock.web.app import make_console
from penstock.web.authentication import TrustedHeader, UsersFile
from penstock.web.serving import serve
from penstock.web.sessions import COOKIE
from penstock.web.throttling import FREE, LONGEST, Throttle
from penstock.web.users import Users

RIGHT = "correct horse battery"


@pytest.fixture
def users(tmp_path):
    found = Users(tmp_path / "users.json")
    found.add("ada", RIGHT, ["manager"])
    return found


@pytest.fixture
def signing(visitor, users):
    return visitor(authentication=UsersFile(users.path))


def sign_in(visit, login="ada", password=RIGHT, to=""):
    visit.get("/sign-in")
    return visit.post("/sign-in", {"login": login, "password": password, "to": to})


class TestSigningIn:
    def test_nothing_is_shown_before(self, signing):
        for path in ("/", "/jobs", "/servers", "/audit", "/settings"):
            answer = signing.get(path, follow_redirects=False)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/sign-in")
        assert signing.get("/live").status_code == 401
        assert "Sign in" in signing.get("/jobs").text

    def test_the_right_password_leads_to_where_one_wanted(self, signing):
        answer = sign_in(signing, to="/servers")
        assert answer.url.path == "/servers"
        assert "ada" in answer.text

    @pytest.mark.parametrize(
        ("login", "password"), [("ada", "wrong"), ("ada", ""), ("eve", RIGHT), ("", ""), ("ada", "x" * 5000)]
    )
    def test_anything_else_does_not_and_does_not_say_what_was_wrong(self, signing, login, password):
        answer = sign_in(signing, login, password)
        assert answer.status_code == 401
        assert "The login or the password is wrong" in answer.text
        assert signing.get("/jobs", follow_redirects=False).status_code == 303

    @pytest.mark.parametrize(
        "to", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb"]
    )
    def test_it_never_leads_to_another_site(self, signing, to):
        assert sign_in(signing, to=to).url.host == "localhost"

    def test_whoever_signs_out_is_out(self, signing):
        sign_in(signing)
        signing.post("/sign-out")
        assert signing.get("/jobs", follow_redirects=False).status_code == 303

    def test_a_session_gets_a_new_id_so_that_one_planted_before_is_worth_nothing(self, signing):
        signing.get("/sign-in")
        planted = signing.client.cookies[COOKIE]
        sign_in(signing)
        other = TestClient(signing.client.app, base_url="http://localhost", cookies={COOKIE: planted})
        assert other.get("/jobs", follow_redirects=False).status_code == 303

    @pytest.mark.parametrize("how", ["cut", "changed", "unsigned", "other secret", "nonsense"])
    def test_a_forged_cookie_is_no_session(self, signing, users, how):
        sign_in(signing)
        real = signing.client.cookies[COOKIE]
        other = make_console(authentication=UsersFile(users.path), secret="another")
        forged = {
            "cut": real[:-3],
            "changed": "e" + real,
            "unsigned": real.partition(".")[0],
            "other secret": other.state.console.sessions._signer.dumps({"i": "x", "l": "ada", "p": "y"}),
            "nonsense": "%00ä",
        }[how]
        client = TestClient(signing.client.app, base_url="http://localhost")
        answer = client.get("/jobs", headers={"cookie": f"{COOKIE}={forged}".encode()}, follow_redirects=False)
        assert answer.status_code == 303

    @pytest.mark.parametrize("change", ["password", "removed"])
    def test_another_password_or_being_removed_ends_sessions(self, signing, users, change):
        sign_in(signing)
        assert signing.get("/jobs").status_code == 200
        if change == "password":
            users.add("ada", RIGHT + "!", ["manager"])
        else:
            users.remove("ada")
        assert signing.get("/jobs", follow_redirects=False).status_code == 303

    def test_sessions_outlive_the_process(self, signing, users, visitor):
        sign_in(signing)
        again = visitor(authentication=UsersFile(users.path))
        again.client.cookies.set(COOKIE, signing.client.cookies[COOKIE])
        assert again.get("/jobs").status_code == 200


class TestWrongPasswords:
    def test_of_10000_wrong_passwords_but_a_few_are_looked_at(self, signing, monkeypatch, clock):
        looked = []
        users = signing.client.app.state.console.authentication.users
        monkeypatch.setattr(users, "check", lambda login, password: looked.append(password))
        signing.get("/sign-in")
        statuses = set()
        for number in range(300):
            statuses.add(signing.post("/sign-in", {"login": "ada", "password": f"wrong {number}"}).status_code)
        assert statuses == {401, 429}
        assert len(looked) == FREE
        throttle = signing.client.app.state.console.authentication.throttle
        began = clock.monotonic()
        for number in range(10_000):
            if throttle.wait("login ada", "address testclient") == 0:
                looked.append(number)
                throttle.note_wrong("login ada", "address testclient")
            clock.advance(1)
        # One who tries each second for hours gets some twenty looked at: they would need centuries for a dictionary.
        assert len(looked) < 30
        assert clock.monotonic() - began >= 9_999

    def test_the_right_one_is_not_looked_at_either_while_one_waits(self, signing, clock):
        signing.get("/sign-in")
        for _ in range(FREE):
            signing.post("/sign-in", {"login": "ada", "password": "wrong"})
        refused = signing.post("/sign-in", {"login": "ada", "password": RIGHT})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        clock.advance(LONGEST)
        assert sign_in(signing).url.path == "/"

    def test_many_made_up_logins_take_no_memory_and_free_nobody(self, clock):
        throttle = Throttle()
        for _ in range(20):
            throttle.note_wrong("login ada")
        for number in range(25_000):
            throttle.note_wrong(f"login {number}")
        assert len(throttle._counts) <= 10_001
        assert throttle.wait("login ada") > 0


class TestUsersFile:
    def test_it_holds_hashes_and_only_its_owner_may_read_it(self, users):
        assert RIGHT not in users.path.read_text()
        assert "$argon2id$" in users.path.read_text()
        assert stat.S_IMODE(users.path.stat().st_mode) == 0o600

    @pytest.mark.parametrize(("login", "password", "roles", "what"), [
        ("eve", "short", ["view"], "10 to"), ("", RIGHT, ["view"], "blank"), (" eve", RIGHT, ["view"], "blank"),
        ("e\nve", RIGHT, ["view"], "control"), ("eve", RIGHT, ["boss"], "no role 'boss'"),
        ("eve", "x" * 2000, ["view"], "10 to"),
    ])  # fmt: skip
    def test_a_refused_user_changes_nothing(self, users, login, password, roles, what):
        before = users.path.read_bytes()
        with pytest.raises(ConfigurationError, match=what):
            users.add(login, password, roles)
        assert users.path.read_bytes() == before

    def test_it_is_read_again_when_another_process_has_changed_it(self, users):
        seen = Users(users.path)
        assert [user.login for user in seen.all()] == ["ada"]
        users.add("bob", RIGHT, ["view"])
        assert [user.login for user in seen.all()] == ["ada", "bob"]

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"users": 1, "secret": ""}', "\x00"])
    def test_one_that_is_none_is_named(self, tmp_path, text):
        path = tmp_path / "users.json"
        path.write_text(text)
        with pytest.raises(ConfigurationError, match=r"users\.json"):
            Users(path).all()

    def test_one_that_is_not_there_says_how_to_make_it(self, tmp_path):
        with pytest.raises(ConfigurationError, match="penstock web user add"):
            UsersFile(tmp_path / "none.json").users.all()


class TestTrustedHeader:
    def visit(self, visitor, headers, *, proxies=("testclient-is-no-address",), **options):
        options.setdefault("roles", {"ada": ["manager"]})
        authentication = TrustedHeader("X-Remote-User", proxies=["127.0.0.1"], **options)
        client = TestClient(make_console(authentication=authentication), base_url="http://localhost", client=proxies)
        return client.get("/jobs", headers=headers)

    def test_the_proxy_says_who_it_is(self, visitor):
        answer = self.visit(visitor, {"x-remote-user": "ada"}, proxies=("127.0.0.1", 1))
        assert answer.status_code == 200
        assert "manager" in answer.text

    def test_nobody_else_is_believed(self, visitor):
        answer = self.visit(visitor, {"x-remote-user": "ada"}, proxies=("10.0.0.9", 1))
        assert answer.status_code == 403

    @pytest.mark.parametrize(
        "headers", [{}, {"x-remote-user": " "}, [("x-remote-user", "ada"), ("x-remote-user", "eve")]]
    )
    def test_a_proxy_that_does_not_say_lets_nobody_in(self, visitor, headers):
        assert self.visit(visitor, headers, proxies=("127.0.0.1", 1)).status_code == 403

    def test_one_without_a_role_is_refused_where_all_others_have_none(self, visitor):
        answer = self.visit(visitor, {"x-remote-user": "eve"}, proxies=("127.0.0.1", 1), everybody=())
        assert answer.status_code == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "jobs.example"])
def test_beyond_loopback_it_is_not_served_unless_people_are_asked_who_they_are(host):
    with pytest.raises(ConfigurationError, match="penstock web user add"):
        serve(host=host, port=0, authentication=None)


def test_a_users_file_is_json_that_people_can_read(users):
    told = json.loads(users.path.read_text())
    assert [user["login"] for user in told["users"]] == ["ada"]
