"""A server is dead whose heart stands still as long as an observer watches; no clocks are compared."""

import pytest

from penstock import config
from penstock.errors import InvalidMove, ServerNotFound
from penstock.service.heartbeats import LOOKS, Heartbeats, watch_heartbeat
from penstock.service.servers import dead_servers, remove_dead_server
from penstock.states import State


@pytest.fixture
def heartbeats():
    config.configure(dead_after=30)
    return Heartbeats()


def look(heartbeats, store, clock, seconds, times=LOOKS):
    for _ in range(times):
        clock.advance(seconds / times)
        heartbeats.note(store.servers())


def test_one_that_stands_still_for_dead_after_is_told_with_where_and_since_when(store, clock, add_server, heartbeats):
    add_server("s1")
    heartbeats.note(store.servers())
    look(heartbeats, store, clock, 29)
    assert heartbeats.still() == {}
    clock.advance(1)
    assert heartbeats.still() == {"s1": (0, 30.0)}


def test_a_beat_begins_it_anew(store, clock, add_server, heartbeats):
    add_server("s1")
    look(heartbeats, store, clock, 30)
    store.beat("s1", "running")
    look(heartbeats, store, clock, 29)
    assert heartbeats.still() == {}


def test_nobody_is_dead_at_which_was_hardly_looked(store, clock, add_server, heartbeats):
    add_server("s1")
    heartbeats.note(store.servers())
    clock.advance(3_600)
    heartbeats.note(store.servers())
    assert heartbeats.still() == {}


def test_one_that_has_gone_is_forgotten(store, clock, add_server, heartbeats):
    add_server("s1")
    look(heartbeats, store, clock, 60)
    store.release_server("s1")
    heartbeats.note(store.servers())
    assert heartbeats.still() == {}


def test_one_that_is_watched_in_vain_is_removed_and_what_it_held_queued(store, clock, add_server, add_job):
    add_server("s1")
    job = add_job("Copy")
    store.claim_jobs([job], server="s1", now=clock.now())
    still_at = watch_heartbeat(store, "s1", wait=clock.advance)
    assert remove_dead_server(store, "s1", by="ada", still_at=still_at) == {"server": "s1", "released": 1}
    assert store.servers() == []
    assert store.job(job.id).state is State.QUEUED


def test_watching_ends_with_the_first_beat_and_with_the_server(store, clock, add_server):
    def beats(seconds):
        clock.advance(seconds)
        store.beat("s1", "running")

    def goes(seconds):
        clock.advance(seconds)
        store.release_server("s1")

    add_server("s1")
    with pytest.raises(InvalidMove, match="server s1 lives: its heart beats"):
        watch_heartbeat(store, "s1", wait=beats)
    with pytest.raises(ServerNotFound):
        watch_heartbeat(store, "s1", wait=goes)


def test_one_whose_heart_beats_after_all_is_not_removed_and_keeps_what_it_holds(store, clock, add_server, add_job):
    add_server("s1")
    job = add_job("Copy")
    store.claim_jobs([job], server="s1", now=clock.now())
    still_at = watch_heartbeat(store, "s1", wait=clock.advance)
    store.beat("s1", "running")
    with pytest.raises(InvalidMove, match="not known to be dead"):
        remove_dead_server(store, "s1", by="ada", still_at=still_at)
    assert store.job(job.id).state is State.RUNNING
    assert [line.action for line in store.audit(limit=9) if line.error] == ["server.destroy"]


def test_those_whose_process_is_gone_are_known_to_be_dead(store, add_server):
    add_server("s1")
    add_server("s2", alive=False)
    assert [row.name for row in dead_servers(store)] == ["s2"]
