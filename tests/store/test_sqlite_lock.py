"""The side-file lock of a SQLite store."""

import signal
import threading
import time
from contextlib import closing

import pytest

from penstock.errors import StoreBusy
from penstock.query import Query
from penstock.store import Topic, open_store
from penstock.store.sqlite import connection
from penstock.store.sqlite.lock import WriteLock

HOLDER = """
import sys
from penstock.store.sqlite.lock import WriteLock
lock = WriteLock(sys.argv[1])
lock.acquire()
print("held")
sys.stdin.readline()
lock.release()
print("released")
sys.stdin.readline()
"""


@pytest.fixture
def lock_path(tmp_path):
    return str(tmp_path / "a.db-lock")


@pytest.fixture
def new_lock(lock_path):
    """Return locks that are closed at the end."""
    made = []

    def make(timeout=10.0):
        made.append(WriteLock(lock_path, timeout=timeout))
        return made[-1]

    yield make
    for lock in made:
        lock.close()


@pytest.mark.process
def test_a_lock_held_by_another_process_is_busy_after_the_time_out(lock_path, new_lock, start_python):
    holder = start_python(HOLDER, lock_path)
    assert holder.stdout.readline() == "held\n"
    lock = new_lock(timeout=0.05)
    with pytest.raises(StoreBusy, match="SIGSTOP") as caught:
        lock.acquire()
    assert lock_path in str(caught.value)


@pytest.mark.process
def test_a_busy_lock_can_be_had_once_it_is_free_by_who_gave_up_and_by_others(lock_path, new_lock, start_python):
    holder = start_python(HOLDER, lock_path)
    holder.stdout.readline()
    gave_up, other = new_lock(timeout=0.05), new_lock()
    for _ in range(3):
        with pytest.raises(StoreBusy):
            gave_up.acquire()
    print(file=holder.stdin, flush=True)
    assert holder.stdout.readline() == "released\n"
    other.acquire()
    other.release()
    patient = new_lock()
    patient.acquire()
    patient.release()


@pytest.mark.process
def test_a_killed_holder_frees_the_lock(lock_path, new_lock, start_python):
    holder = start_python(HOLDER, lock_path)
    holder.stdout.readline()
    lock = new_lock()
    holder.kill()
    lock.acquire()


def test_waited_for_and_got_it_is_held_and_released_like_any_other(new_lock):
    first, second, third = new_lock(), new_lock(), new_lock(timeout=0.05)
    first.acquire()
    got = threading.Event()

    def wait():
        second.acquire()
        got.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not got.wait(0.05)
    first.release()
    assert got.wait(10)
    with pytest.raises(StoreBusy):
        third.acquire()
    second.release()
    thread.join()
    new_lock().acquire()


def test_closing_releases(new_lock, lock_path):
    holder = WriteLock(lock_path)
    holder.acquire()
    holder.close()
    new_lock(timeout=1).acquire()


def test_all_who_wait_get_it(new_lock):
    locks = [new_lock() for _ in range(6)]
    order = []

    def work(name, lock):
        for _ in range(10):
            lock.acquire()
            order.append(name)
            lock.release()

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(locks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(order) == sorted(list(range(6)) * 10)


class TestInterrupted:
    """Ctrl-C comes as an exception while the main thread waits."""

    @pytest.fixture(autouse=True)
    def _soon(self):
        def interrupt(*_):
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        yield
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    def test_while_it_waits_for_another_thread_the_lock_goes_to_the_next(self, new_lock):
        holder, interrupted = new_lock(), new_lock()
        holder.acquire()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            interrupted.acquire()
        holder.release()
        new_lock(timeout=1).acquire()

    @pytest.mark.process
    def test_while_it_waits_for_another_process_the_lock_goes_to_the_next(self, lock_path, new_lock, start_python):
        holder = start_python(HOLDER, lock_path)
        holder.stdout.readline()
        interrupted = new_lock()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            interrupted.acquire()
        print(file=holder.stdin, flush=True)
        assert holder.stdout.readline() == "released\n"
        patient = new_lock(timeout=2)
        patient.acquire()
        patient.release()
        other = start_python(HOLDER, lock_path)
        assert other.stdout.readline() == "held\n"


@pytest.mark.process
class TestBusyStore:
    @pytest.fixture
    def busy(self, tmp_path, monkeypatch, start_python):
        """A store whose lock another process holds, and a function that lets that process release it."""
        monkeypatch.setattr(connection, "WriteLock", lambda path: WriteLock(path, timeout=0.1))
        store = open_store(f"sqlite:///{tmp_path}/a.db")
        store.count_jobs(Query())
        holder = start_python(HOLDER, f"{tmp_path}/a.db-lock")
        assert holder.stdout.readline() == "held\n"

        def release():
            if holder.poll() is None:
                print(file=holder.stdin, flush=True)
                assert holder.stdout.readline() == "released\n"

        yield store, release
        monkeypatch.undo()
        holder.kill()
        holder.wait(10)
        until_it_works(store)

    def test_a_write_is_refused_and_changes_nothing_and_works_later(self, busy, new_row):
        store, release = busy
        row = new_row()
        with pytest.raises(StoreBusy):
            store.insert_jobs([row])
        assert store.job(row.id) is None
        release()
        until_it_works(store)
        store.insert_jobs([row])
        assert store.job(row.id) == row

    def test_reads_go_on(self, busy, new_row):
        store, _ = busy
        assert store.job(new_row().id) is None

    def test_a_refused_write_wakes_nobody_later(self, busy, new_row):
        store, release = busy
        heard = []
        with closing(store.listen(Topic.WORK, lambda: heard.append(1))):
            with pytest.raises(StoreBusy):
                store.insert_jobs([new_row()])
            release()
            until_it_works(store)
        assert heard == []


def until_it_works(store):
    """Write until the store is no longer busy: who gave up may hold the lock for a moment."""
    deadline = time.monotonic() + 10
    while True:
        try:
            store.beat("nobody", "running")
        except StoreBusy:
            assert time.monotonic() < deadline
        else:
            return
