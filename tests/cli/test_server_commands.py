"""`penstock servers`."""

import json
import sys

import pytest
from tests.obeying import obeying

from penstock import clock
from penstock.store.rows import ServerRow


@pytest.fixture
def add_server(configured_store):
    """Return a function that registers a server; it lives to the end of the test unless it is not `alive`."""
    presences = []

    def add(name="web-1", *, alive=True, **columns):
        row = ServerRow(name, "web", 4711, "running", clock.now(), 0, 2, 10, kinds='{"A": {}}')
        configured_store.register_server(row._replace(**columns))
        if alive:
            presences.append(configured_store.appear(name))

    yield add
    for presence in presences:
        presence.close()


def test_servers_are_listed_with_whether_they_live(call, url, add_server):
    add_server(holding=3)
    add_server("web-2", alive=False, state="paused")
    code, out, err = call("servers", "list", "--store", url)
    lines = [line.split() for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert lines[0] == ["name", "host", "pid", "state", "workers", "holding", "up", "alive"]
    assert lines[1] == ["web-1", "web", "4711", "running", "10", "in", "2", "3", "0", "s", "yes"]
    assert lines[2][0] == "web-2"
    assert lines[2][-1] == "no"
    views = json.loads(call("servers", "list", "--json", "--store", url)[1])
    assert [(view["name"], view["alive"], view["kinds"]) for view in views] == [
        ("web-1", True, ["A"]),
        ("web-2", False, ["A"]),
    ]


def test_no_servers_are_said_to_be_none(call, url):
    assert call("servers", "list", "--store", url) == (0, "no servers\n", "")
    assert call("servers", "pause", "--all", "--store", url) == (0, "no server to pause\n", "")


def test_watching_needs_a_terminal(call, url):
    for words in (["--watch", "1"], ["--watch", "1", "--json"]):
        code, out, err = call("servers", "list", *words, "--store", url)
        assert (code, out) == (2, "")
        assert "terminal" in err


def test_a_watched_list_is_shown_again_and_again_until_ctrl_c(call, url, add_server, monkeypatch):
    shown = []

    def pause(seconds):
        shown.append(seconds)
        if len(shown) == 1:
            add_server("web-2")
        if len(shown) == 3:
            raise KeyboardInterrupt

    add_server()
    monkeypatch.setattr("penstock.cli.servers.time.sleep", pause)
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)
    code, out, err = call("servers", "list", "--watch", "0.5", "--store", url)
    assert (code, err, shown) == (0, "", [0.5] * 3)
    assert out.count("web-1") >= 2
    assert "web-2" in out


@pytest.mark.parametrize(
    ("command", "before", "told"),
    [
        ("pause", "running", "is paused"),
        ("resume", "paused", "claims again"),
        ("stop", "running", "finishes what runs, and ends"),
        ("kill", "paused", "ends"),
    ],
)
def test_what_a_server_did_is_told(call, url, configured_store, add_server, command, before, told):
    add_server(state=before)
    with obeying(configured_store, ["web-1"]):
        assert call("servers", command, "web", "--store", url) == (0, f"server web-1 {told}\n", "")


def test_a_dump_is_printed(call, url, configured_store, add_server):
    add_server()
    with obeying(configured_store, ["web-1"], '== worker 1\n  File "jobs.py", line 3, in perform\n\x1b[2J'):
        code, out, _ = call("servers", "dump", "web-1", "--store", url)
    assert code == 0
    assert out.splitlines() == [
        "server web-1", "== worker 1", '  File "jobs.py", line 3, in perform', "\\x1b[2J",
    ]  # fmt: skip
    with obeying(configured_store, ["web-1"], "what it does"):
        out = call("servers", "dump", "--all", "--json", "--store", url)[1]
    assert json.loads(out) == [{"server": "web-1", "command": "dump", "answer": "what it does"}]


REFUSED = {
    "nobody": ([], 2, "--all"),
    "name and all": (["web-1", "--all"], 2, "--all"),
    "unknown": (["db"], 4, "there are: web-1, web-2, web-3"),
    "several": (["web"], 4, "several servers begin with 'web'"),
    "dead": (["web-1", "web-2"], 4, "web-2 is dead"),
    "does not apply": (["web-1", "web-3"], 3, "which is paused; what applies: resume, stop, kill, dump"),
    "no answer": (["web-1", "--timeout", "0.05"], 4, "has not answered"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_asked_is_refused(call, url, configured_store, add_server, case):
    words, expected, part = REFUSED[case]
    add_server()
    add_server("web-2", alive=False)
    add_server("web-3", state="paused")
    code, out, err = call("servers", "pause", *words, "--store", url)
    assert (code, out) == (expected, "")
    assert part in err
    asked = [name for name in ("web-1", "web-2", "web-3") if configured_store.command_of(name)]
    assert asked == (["web-1"] if case == "no answer" else [])


def test_dead_servers_are_removed_by_name_or_all_and_what_lives_is_not(call, add_server, configured_store):
    for name, alive in (("gone-1", False), ("gone-2", False), ("gone-3", False), ("here-1", True)):
        add_server(name, alive=alive)
    assert call("servers", "remove", "here-1")[0] == 3
    assert call("servers", "remove")[0] == 2
    assert call("servers", "remove", "gone-1")[1] == "server gone-1 is removed; 0 pieces of work are queued again\n"
    code, out, _ = call("servers", "remove", "--all", "--json")
    assert (code, [told["server"] for told in json.loads(out)]) == (0, ["gone-2", "gone-3"])
    assert call("servers", "remove", "--all")[1] == "no server is known to be dead\n"
    assert [row.name for row in configured_store.servers()] == ["here-1"]


def test_one_whose_heart_stands_still_is_removed_after_it_was_watched(call, add_server, configured_store, monkeypatch):
    add_server("stuck-1")
    manual = clock.ManualClock()
    monkeypatch.setattr("penstock.cli.servers.time.sleep", manual.advance)
    with clock.use(manual):
        assert call("servers", "remove", "stuck-1", "--watch")[0] == 0
    assert configured_store.servers() == []


def test_below_a_distributor_stand_its_nodes(call, add_server, configured_store):
    add_server("shop-1", slots=0, processes=0)
    node = {"name": "one", "address": "10.0.0.7:5123", "workers": 2, "slots": 8, "leaving": False}
    configured_store.beat("shop-1", "running", nodes=json.dumps([node]))
    lines = call("servers", "list")[1].splitlines()
    assert lines[2].split() == ["one", "10.0.0.7:5123", "node", "8", "in", "2"]
