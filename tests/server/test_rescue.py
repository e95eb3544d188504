"""Who is taken for dead, and who is not: one that was suspended loses what it held, one in a busy store does not."""

from contextlib import closing

import pytest

from penstock.config import settings
from penstock.server.rescue import BEATS_SEEN, Rescuer
from penstock.states import State
from penstock.store.rows import ServerRow


@pytest.fixture
def held(played):
    """Return a job that `other` holds, which shows a sign of life; `server-1` observes it."""
    job = played.add_job()
    row = ServerRow("other", "here", 2, "running", played.store.job(job.id).created_at, 0, 1, 1)
    played.store.register_server(row)
    assert played.store.claim_jobs([played.store.job(job.id)], server="other", now=row.started_at)
    with closing(played.store.appear("other")):
        yield job


def beats(played, count):
    for _ in range(count):
        played.store.beat("server-1", "running")


def test_one_whose_heartbeat_stands_still_is_dead_though_it_shows_a_sign_of_life(played, held):
    rescuer = Rescuer(played.store, "server-1")
    rescuer.look()
    beats(played, BEATS_SEEN)
    played.clock.advance(settings().dead_after - 0.001)
    rescuer.look()
    assert played.store.job(held.id).state is State.RUNNING
    played.clock.advance(0.001)
    rescuer.look()
    assert played.store.job(held.id).state is State.QUEUED
    assert [row.name for row in played.store.servers()] == ["server-1"]


def test_one_that_beats_is_not(played, held):
    rescuer = Rescuer(played.store, "server-1")
    for _ in range(5):
        rescuer.look()
        beats(played, BEATS_SEEN)
        played.clock.advance(settings().dead_after - 0.001)
        played.store.beat("other", "running")
    assert played.store.job(held.id).state is State.RUNNING


def test_while_the_observer_itself_cannot_write_nobody_is_dead(played, held):
    rescuer = Rescuer(played.store, "server-1")
    rescuer.look()
    beats(played, BEATS_SEEN - 1)
    played.clock.advance(10 * settings().dead_after)
    rescuer.look()
    assert played.store.job(held.id).state is State.RUNNING


def test_one_that_beats_in_the_last_moment_keeps_what_it_holds(played, held, monkeypatch):
    rescuer = Rescuer(played.store, "server-1")
    rescuer.look()
    beats(played, BEATS_SEEN)
    played.clock.advance(settings().dead_after)
    look = played.store.is_present

    def beat_after_the_look(name):
        played.store.beat("other", "running")
        return look(name)

    monkeypatch.setattr(played.store, "is_present", beat_after_the_look)
    rescuer.look()
    assert played.store.job(held.id).state is State.RUNNING
    assert {row.name for row in played.store.servers()} == {"server-1", "other"}
