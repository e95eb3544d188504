"""What a server does with commands that are left for it in the store."""

import json
import threading
import time

import pytest

from penstock.ids import new_id
from penstock.server.chosen import Chosen
from penstock.server.options import ServerOptions
from penstock.server.server import Server

pytestmark = pytest.mark.process


@pytest.fixture
def server(configured_store):
    """A server without workers that have anything to do."""
    made = Server(configured_store, ServerOptions(app=["json"], workers=1, processes=1))
    made.start_workers()
    made.start()
    yield made
    made.stop(0)


@pytest.fixture
def asked(configured_store, server):
    """Return a function that asks the server for something and returns its row once it has answered."""

    def ask(command):
        assert configured_store.ask_server(server.name, command)
        deadline = time.monotonic() + 30
        while (row := configured_store.servers()[0]).answer is None:
            assert time.monotonic() < deadline, row
            time.sleep(0.002)
        return row

    return ask


def test_when_a_server_answers_it_already_shows_the_state_it_was_asked_for(asked):
    for _ in range(3):
        assert asked("pause").state == "paused"
        assert asked("resume").state == "running"


def test_a_command_that_takes_long_is_done_once_however_often_the_store_is_looked_at(
    configured_store, server, asked, monkeypatch
):
    begun, go_on = [], threading.Event()

    def gather():
        begun.append(1)
        go_on.wait(30)
        return "told"

    monkeypatch.setattr(server._crew.dumps, "gather", gather)
    looked = []
    command_of = configured_store.command_of
    monkeypatch.setattr(configured_store, "command_of", lambda name: looked.append(name) or command_of(name))
    assert configured_store.ask_server(server.name, "dump")
    while len(looked) < 5 or not begun:
        server.dispatcher.wake()
        time.sleep(0.001)
    go_on.set()
    while configured_store.servers()[0].answer is None:
        time.sleep(0.001)
    assert configured_store.servers()[0].answer == "told"
    assert asked("pause").state == "paused"
    assert len(begun) == 1


def test_a_server_says_under_which_name_a_kind_is_counted_and_which_one_job_it_works_on(configured_store):
    job_id = new_id()
    server = Server(configured_store, ServerOptions(app=["json"], workers=1, processes=1, chosen=Chosen(only=job_id)))
    server.start_workers()
    server.start()
    try:
        from penstock.server.messages import KindFacts

        server.dispatcher.worker_ready(object(), 0, [KindFacts("old", False, [], "New", limit=3)])
        server.dispatcher.beat()
        facts = json.loads(configured_store.servers()[0].kinds)
        assert facts == {"old": {"name": "New", "limit": 3, "depends_on": [], "only": str(job_id)}}
    finally:
        server.stop(0)
