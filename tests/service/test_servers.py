"""Servers as people see them, and what is asked of them."""

import threading
import time

import pytest
from tests.obeying import SETTLED, obeying

from penstock.errors import InvalidMove, ServerNotFound
from penstock.service.servers import applicable_servers, ask_servers, find_servers, list_servers
from penstock.states import COMMANDS, Command, ServerState


def ask(store, command, *names, timeout=30.0):
    return ask_servers(store, Command(command), find_servers(store, names), timeout=timeout, by="ada")


# List --------------------------------------------------------------------------------------------


def test_servers_are_listed_with_whether_they_live(store, clock, add_server):
    add_server("s1", ["B", "A"], holding=3, processes=2, slots=10)
    clock.advance(1)
    add_server("s2", alive=False)
    first, second = list_servers(store)
    assert first == {
        "name": "s1",
        "host": "here",
        "pid": 1,
        "state": "running",
        "workers": 10,
        "processes": 2,
        "holding": 3,
        "started_at": "2026-01-01T00:00:00+00:00",
        "heartbeat": 0,
        "alive": True,
        "asked": None,
        "kinds": ["A", "B"],
        "distributor": False,
        "nodes": [],
    }
    assert (second["name"], second["alive"]) == ("s2", False)


# Names -------------------------------------------------------------------------------------------


def test_a_server_is_found_by_its_name_or_a_beginning_that_no_other_has(store, add_server):
    for name in ("web-1", "web-12", "db-1"):
        add_server(name)
    assert [row.name for row in find_servers(store, ["d", "web-1", "web-12", "db"])] == ["db-1", "web-1", "web-12"]
    with pytest.raises(ServerNotFound, match="several servers begin with 'web': web-1, web-12"):
        find_servers(store, ["db-1", "web"])
    for name in ("x", ""):
        with pytest.raises(ServerNotFound, match=r"there are: .*web-12"):
            find_servers(store, [name])


def test_with_no_server_at_all_that_is_said(store):
    with pytest.raises(ServerNotFound, match="there are: none"):
        find_servers(store, ["x"])


# Asked -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "state"), [("pause", "running"), ("resume", "paused"), ("dump", "running")])
def test_a_server_answers(store, add_server, command, state):
    add_server("s1", state=state)
    with obeying(store, ["s1"], answer="told"):
        (answer,) = ask(store, command, "s1")
    assert (answer.server, answer.command, answer.text) == ("s1", command, "told")
    (row,) = store.servers()
    assert (row.command, row.state) == (None, SETTLED.get(command, state))


def test_several_servers_are_asked_at_once(store, add_server):
    for name in ("s1", "s2", "s3"):
        add_server(name)
    with obeying(store, ["s1", "s2", "s3"]):
        answers = ask_servers(store, Command.PAUSE, applicable_servers(store, Command.PAUSE), timeout=30, by="ada")
    assert [answer.server for answer in answers] == ["s1", "s2", "s3"]
    assert {row.state for row in store.servers()} == {"paused"}


def test_an_old_answer_counts_for_nothing(store, add_server):
    add_server("s1", answer="old")
    with obeying(store, ["s1"], answer="new"):
        assert ask(store, "dump", "s1")[0].text == "new"


def test_pause_waits_until_the_server_shows_it(store, add_server, monkeypatch):
    add_server("s1")
    looks, read = [], store.servers
    monkeypatch.setattr(store, "servers", lambda: looks.append(1) or read())

    def obey():
        while store.command_of("s1") is None:
            time.sleep(0.001)
        store.answer_command("s1", "pause", "done")
        seen = len(looks)
        while len(looks) < seen + 2:
            time.sleep(0.001)
        store.beat("s1", "paused")

    thread = threading.Thread(target=obey)
    thread.start()
    assert ask(store, "pause", "s1")[0].text == "done"
    assert store.servers()[0].state == "paused"
    thread.join()


@pytest.mark.parametrize("command", ["stop", "kill"])
def test_a_server_that_is_gone_has_ended_as_it_was_asked(store, add_server, command):
    add_server("s1")

    def end():
        while store.command_of("s1") is None:
            time.sleep(0.001)
        store.release_server("s1")

    thread = threading.Thread(target=end)
    thread.start()
    assert ask(store, command, "s1")[0].text == "done"
    thread.join()


def test_a_server_that_ends_before_it_tells_is_an_error(store, add_server):
    add_server("s1")

    def end():
        while store.command_of("s1") is None:
            time.sleep(0.001)
        store.release_server("s1")

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(ServerNotFound, match="ended before it answered"):
        ask(store, "dump", "s1")
    thread.join()


def test_no_answer_in_time_is_an_error_that_names_the_server(store, add_server):
    add_server("s1")
    with pytest.raises(ServerNotFound, match=r"server s1 has not answered in 0.05 s"):
        ask(store, "pause", "s1", timeout=0.05)
    assert store.command_of("s1") == "pause"


def test_a_command_that_somebody_else_replaced_is_told(store, add_server):
    add_server("s1")

    def replace():
        while store.command_of("s1") is None:
            time.sleep(0.001)
        store.ask_server("s1", "stop")

    thread = threading.Thread(target=replace)
    thread.start()
    with pytest.raises(ServerNotFound, match="asked to stop by somebody else"):
        ask(store, "dump", "s1")
    thread.join()


# Refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ServerState)
@pytest.mark.parametrize("command", Command)
def test_a_command_that_does_not_apply_is_refused_and_nobody_is_asked(store, add_server, command, state):
    if state in COMMANDS[command][0]:
        return
    add_server("s1")
    add_server("s2", state=state)
    if ServerState.RUNNING in COMMANDS[command][0]:
        with pytest.raises(InvalidMove, match=f"cannot {command} server s2, which is {state}; what applies: "):
            ask(store, command, "s1", "s2")
    assert [store.command_of(name) for name in ("s1", "s2")] == [None, None]


def test_a_dead_server_is_said_to_be_dead_and_nobody_is_asked(store, add_server):
    add_server("s1")
    add_server("s2", alive=False)
    with pytest.raises(ServerNotFound, match="server s2 is dead"):
        ask(store, "pause", "s1", "s2")
    assert store.command_of("s1") is None


def test_a_distributor_is_asked_for_nothing(store, add_server):
    add_server("shop-1", slots=0, processes=0)
    assert list_servers(store)[0]["distributor"] is True
    assert applicable_servers(store, Command.PAUSE) == []
    with pytest.raises(InvalidMove, match="shop-1 is a distributor"):
        ask(store, "pause", "shop-1")
    assert store.command_of("shop-1") is None


def test_all_means_those_that_live_and_to_which_it_applies(store, add_server):
    add_server("s1")
    add_server("s2", state="paused")
    add_server("s3", alive=False)
    assert [row.name for row in applicable_servers(store, Command.PAUSE)] == ["s1"]
    assert [row.name for row in applicable_servers(store, Command.RESUME)] == ["s2"]
    assert [row.name for row in applicable_servers(store, Command.STOP)] == ["s1", "s2"]
    assert ask_servers(store, Command.PAUSE, [], by="ada") == []
