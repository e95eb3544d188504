"""The live connection of a process: wake-ups that come back by themselves, and signs of life that do not lie."""

import signal
import threading
import time
from contextlib import closing

import psycopg
import pytest

from penstock.config import settings
from penstock.store import Topic, open_store
from penstock.store.postgres import live

SOON = 10


@pytest.fixture
def store(postgres):
    return postgres


@pytest.fixture
def admin(postgres_server):
    with psycopg.connect(postgres_server, autocommit=True) as opened:
        yield opened


@pytest.fixture
def terminate(store, admin):
    """End the live connection of this process, as an administrator does."""

    def end():
        pid = store.live._session.raw.info.backend_pid
        assert admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,)).fetchone() == (True,)

    return end


def until(condition):
    """Wait until something is so; it must be soon."""
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestWakeUps:
    def test_a_listener_whose_connection_was_ended_hears_again_and_is_called_for_what_it_missed(
        self, store, new_row, terminate
    ):
        heard = threading.Event()
        with closing(store.listen(Topic.WORK, heard.set)):
            terminate()
            assert heard.wait(SOON)  # Something may have been missed.
            until(lambda: store.live._session is not None)
            heard.clear()
            store.insert_jobs([new_row()])
            assert heard.wait(SOON)

    def test_nobody_is_notified_where_nobody_listens(self, store, new_row, admin):
        admin.execute(f"LISTEN {store.place.channel}")
        store.insert_jobs([new_row()])
        with closing(store.listen(Topic.ENDED, lambda: None)):
            store.insert_jobs([new_row()])
            store.announce(Topic.ENDED)
            assert [notice.payload for notice in admin.notifies(timeout=SOON, stop_after=1)] == ["ended"]
        until(lambda: admin.execute(f"SELECT * FROM {store.place.schema}.listeners").fetchall() == [])
        store.announce(Topic.ENDED)
        admin.execute(f"NOTIFY {store.place.channel}, 'last'")
        assert [notice.payload for notice in admin.notifies(timeout=SOON, stop_after=1)] == ["last"]

    def test_a_listener_that_raises_does_not_keep_others_from_hearing(self, store, new_row, caplog):
        heard = threading.Event()

        def fail():
            raise ZeroDivisionError

        with closing(store.listen(Topic.WORK, fail)), closing(store.listen(Topic.WORK, heard.set)):
            store.insert_jobs([new_row()])
            assert heard.wait(SOON)
        assert "a listener to wake-ups failed" in caplog.text

    def test_a_listener_may_close_itself(self, store, new_row):
        heard = []
        closed = threading.Event()

        def once():
            heard.append(1)
            listening.close()
            closed.set()

        listening = store.listen(Topic.WORK, once)
        store.insert_jobs([new_row()])
        assert closed.wait(SOON)
        store.insert_jobs([new_row()])
        with closing(store.listen(Topic.WORK, closed.clear)):
            store.insert_jobs([new_row()])
            until(lambda: not closed.is_set())
        assert heard == [1]

    def test_listeners_of_processes_that_are_gone_are_forgotten(self, store, admin):
        table = f"{store.place.schema}.listeners"
        with closing(store.listen(Topic.WORK, lambda: None)):
            admin.execute(f"INSERT INTO {table} VALUES ('gone', 'work')")
            store.drop_abandoned()
            assert admin.execute(f"SELECT name FROM {table}").fetchall() == [(store.live._name,)]
        until(lambda: admin.execute(f"SELECT name FROM {table}").fetchall() == [])

    @pytest.mark.process
    def test_a_commit_of_another_process_wakes(self, store, start_python):
        script = """
import sys
from penstock.clock import now
from penstock.ids import new_id
from penstock.store import open_store, close_stores
from penstock.store.rows import JobRow
store = open_store(sys.argv[1])
sys.stdin.readline()
store.insert_jobs([JobRow(id=new_id(), kind="K", batch=False, created_at=now())])
close_stores()
"""
        heard = threading.Event()
        other = start_python(script, store.url)
        with closing(store.listen(Topic.WORK, heard.set)):
            print(file=other.stdin, flush=True)
            assert heard.wait(SOON)
        assert other.wait(SOON) == 0


class TestSignsOfLife:
    def test_one_whose_connection_was_ended_is_shown_again_and_was_never_taken_for_gone(self, store, terminate):
        with closing(store.appear("a")):
            terminate()
            seen = set()
            until(lambda: seen.add(store.is_present("a")) or True in seen)
            assert False not in seen

    def test_on_another_machine_it_is_not_known_until_the_lock_was_free_for_long(self, store, admin, clock):
        admin.execute(f"INSERT INTO {store.place.schema}.presences VALUES ('a', 'elsewhere', 1, true)")
        assert store.is_present("a") is None
        clock.advance(settings().dead_after - 1)
        assert store.is_present("a") is None
        clock.advance(1)
        assert store.is_present("a") is False

    def test_seen_alive_in_between_it_is_not_known_for_as_long_again(self, store, admin, clock):
        admin.execute(f"INSERT INTO {store.place.schema}.presences VALUES ('a', 'elsewhere', 1, true)")
        assert store.is_present("a") is None
        clock.advance(settings().dead_after)
        with closing(store.appear("a")):
            assert store.is_present("a") is True
        admin.execute(f"INSERT INTO {store.place.schema}.presences VALUES ('a', 'elsewhere', 1, true)")
        assert store.is_present("a") is None

    def test_what_is_not_known_to_be_gone_is_left_alone(self, store, add_batch, admin, clock):
        admin.execute(f"INSERT INTO {store.place.schema}.presences VALUES ('far', 'elsewhere', 1, true)")
        job = add_batch([1], uploader="far")
        assert store.drop_abandoned() == 0
        clock.advance(settings().dead_after)
        assert store.drop_abandoned() == 1
        assert store.job(job.id).uploader is None
        assert admin.execute(f"SELECT name FROM {store.place.schema}.presences").fetchall() == []

    @pytest.mark.process
    def test_a_process_that_is_killed_is_gone_at_once_and_one_that_is_stopped_is_not(self, store, start_python):
        script = """
import sys
from penstock.store import open_store
presence = open_store(sys.argv[1]).appear("child")
print("ready")
sys.stdin.readline()
"""
        child = start_python(script, store.url)
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGSTOP)
        assert store.is_present("child") is True
        child.kill()
        until(lambda: store.is_present("child") is False)  # Although nobody has waited for it yet.

    def test_a_lost_lock_that_somebody_took_meanwhile_is_taken_as_soon_as_it_is_free(self, store, admin, terminate):
        with closing(store.appear("a")):
            key = f"{store.place.schema} a"
            pid = store.live._session.raw.info.backend_pid
            store.live._presences.discard("a")
            terminate()
            until(lambda: store.live._session is not None and store.live._session.raw.info.backend_pid != pid)
            admin.execute("SELECT pg_advisory_lock(hashtextextended(%s, 7003))", (key,))
            store.live._presences.add("a")
            store.live._ring()
            assert store.is_present("a") is True
            admin.execute("SELECT pg_advisory_unlock_all()")
            until(lambda: "a" in store.live._held)
            assert store.is_present("a") is True


class TestBehindAPooler:
    @pytest.fixture
    def pooled(self, postgres_url, monkeypatch):
        """A store whose connections have ids of their own, as those of a pooler have."""
        monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", property(lambda _: -1))
        return open_store(postgres_url)

    def test_it_is_said_once_that_wake_ups_may_be_late(self, pooled, caplog):
        with closing(pooled.listen(Topic.WORK, lambda: None)), closing(pooled.listen(Topic.ENDED, lambda: None)):
            assert caplog.text.count("a pooler is in between") == 1

    def test_signs_of_life_cannot_be_told(self, pooled, admin):
        with closing(pooled.appear("a")):
            assert pooled.is_present("a") is None
            assert pooled.is_present("b") is False
            admin.execute(f"UPDATE {pooled.place.schema}.presences SET pid = 4194305")
            assert pooled.is_present("a") is False  # No process of this machine has such a number.
        assert pooled.is_present("a") is False


def test_asked_while_the_server_is_away_a_listener_is_kept_for_later(store, new_row, monkeypatch, terminate, caplog):
    heard = threading.Event()
    with closing(store.listen(Topic.ENDED, lambda: None)):
        real, away = live.connect, threading.Event()

        def refuse(*how):
            if not away.is_set():
                raise psycopg.OperationalError("the server is away")
            return real(*how)

        monkeypatch.setattr(live, "connect", refuse)
        monkeypatch.setattr(live, "ASK_SECONDS", 0.2)
        terminate()
        until(lambda: store.live._session is None)
        with closing(store.listen(Topic.WORK, heard.set)):
            assert "wake-ups come late" in caplog.text
            away.set()
            until(lambda: store.live._session is not None and Topic.WORK in store.live._topics)
            heard.clear()
            store.insert_jobs([new_row()])
            assert heard.wait(SOON)


def test_closing_the_store_takes_everything_away(store, admin):
    store.listen(Topic.WORK, lambda: None)
    store.appear("a")
    store.close()
    for table in ("listeners", "presences"):
        assert admin.execute(f"SELECT * FROM {store.place.schema}.{table}").fetchall() == []
    assert not any(thread.name == "penstock-live" for thread in threading.enumerate())
