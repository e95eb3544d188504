"""Servers: what they say of themselves, what is asked of them from elsewhere, and what they answer."""

import threading
from contextlib import closing

import pytest

from penstock.clock import now
from penstock.store import Topic
from penstock.store.rows import ServerRow


@pytest.fixture
def register(store):
    """Store the row of a server."""

    def made(name="s1", **values):
        row = ServerRow(name, "host", 1, "running", now(), 0, 2, 10)._replace(**values)
        store.register_server(row)
        return row

    return made


@pytest.fixture
def server(store, register):
    """A registered server, read afresh."""
    register()

    def read(name="s1"):
        (found,) = [row for row in store.servers() if row.name == name]
        return found

    return read


class TestRows:
    def test_every_column_comes_back_as_it_went(self, store, register, clock):
        row = register(
            state="paused",
            heartbeat=7,
            command="stop",
            answer="done",
            kinds='{"A": {"limit": 3}}',
            holding=4,
            nodes="[1]",
        )
        assert store.servers() == [row]

    def test_the_oldest_come_first(self, store, register, clock):
        second = register("b")
        third = register("c")
        clock.advance(-10)
        first = register("d")
        assert store.servers() == [first, second, third]

    def test_a_heartbeat_says_how_the_server_is(self, store, server):
        assert store.beat("s1", "paused", kinds='{"A": {}}', holding=3, nodes='[{"name": "n"}]')
        told = ("paused", server().started_at, 1, 2, 10, None, None, '{"A": {}}', 3, '[{"name": "n"}]')
        assert server()[3:] == told
        assert store.beat("s1", "running")
        assert (server().state, server().heartbeat, server().kinds, server().holding) == ("running", 2, "{}", 0)

    def test_a_heartbeat_leaves_what_was_asked_and_answered(self, store, server):
        store.ask_server("s1", "dump")
        store.answer_command("s1", "dump", "all is well")
        store.ask_server("s1", "stop")
        store.beat("s1", "running")
        assert server().command == "stop"

    def test_of_a_server_that_is_gone_there_is_no_heartbeat(self, store, server):
        store.release_server("s1")
        assert not store.beat("s1", "running")
        assert store.servers() == []


class TestCommands:
    def test_at_first_nothing_is_asked(self, store, server):
        assert store.command_of("s1") is None
        assert (server().command, server().answer) == (None, None)

    def test_what_is_asked_is_there_until_it_is_answered(self, store, server):
        assert store.ask_server("s1", "pause")
        assert store.command_of("s1") == "pause" == store.command_of("s1") == server().command
        store.answer_command("s1", "pause", "done")
        assert store.command_of("s1") is None
        assert (server().command, server().answer) == (None, "done")

    def test_a_new_command_takes_the_place_of_one_not_taken_and_of_the_last_answer(self, store, server):
        store.ask_server("s1", "pause")
        store.answer_command("s1", "pause", "done")
        assert store.ask_server("s1", "resume")
        assert (server().command, server().answer) == ("resume", None)
        assert store.ask_server("s1", "stop")
        assert (server().command, server().answer) == ("stop", None)

    def test_an_answer_to_a_command_that_was_replaced_meanwhile_leaves_the_new_one(self, store, server):
        store.ask_server("s1", "dump")
        store.ask_server("s1", "stop")
        store.answer_command("s1", "dump", "a long answer")
        assert (server().command, server().answer) == ("stop", None)

    def test_only_the_server_named_is_asked(self, store, server, register):
        register("s2")
        store.ask_server("s2", "stop")
        assert store.command_of("s1") is None
        assert store.command_of("s2") == "stop"
        store.answer_command("s1", "stop", "done")
        assert store.command_of("s2") == "stop"

    def test_a_server_that_is_not_there_cannot_be_asked(self, store):
        assert not store.ask_server("nobody", "stop")
        assert store.command_of("nobody") is None
        store.answer_command("nobody", "stop", "done")
        assert store.servers() == []

    def test_a_command_goes_with_its_server(self, store, server):
        store.ask_server("s1", "stop")
        store.release_server("s1")
        assert store.command_of("s1") is None
        assert not store.ask_server("s1", "stop")

    @pytest.mark.parametrize("text", ["'; DROP TABLE servers; --", "Zeile\nZeile ☃", "x" * 100_000, ""])
    def test_any_text_is_an_answer(self, store, server, text):
        store.ask_server("s1", "dump")
        store.answer_command("s1", "dump", text)
        assert server().answer == text

    def test_a_command_wakes_the_server_that_waits(self, store, server):
        heard = threading.Event()
        with closing(store.listen(Topic.WORK, heard.set)):
            store.ask_server("s1", "stop")
            assert heard.wait(10)
