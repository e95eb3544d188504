"""A SQLite file that several processes use at once."""

import threading
from contextlib import closing

import pytest

from penstock.query import Query
from penstock.store import Topic, open_store

pytestmark = pytest.mark.process


def ready(process):
    """Wait until a process has said that it is ready."""
    assert process.stdout.readline() == "ready\n"


def go(process):
    """Let a process that is ready go on."""
    print(file=process.stdin, flush=True)


def end(process):
    """Return what a process printed until its end, which must be good."""
    output = process.stdout.read()
    assert process.wait(60) == 0
    return output


def test_a_listener_is_closed_while_its_callback_takes_long(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    called, go_on, left = threading.Event(), threading.Event(), threading.Event()

    def take_long():
        called.set()
        go_on.wait(60)
        left.set()

    before = set(threading.enumerate())
    listener = store.listen(Topic.WORK, take_long)
    (thread,) = set(threading.enumerate()) - before
    store.announce(Topic.WORK)
    assert called.wait(10)
    listener.close()
    go_on.set()
    thread.join(10)
    assert left.is_set()
    assert not thread.is_alive()


def test_eight_processes_may_open_an_empty_store_at_once(tmp_path, start_python):
    script = """
import sys
from penstock.ids import new_id
from penstock.clock import now
from penstock.store import open_store, close_stores
from penstock.store.rows import JobRow
import penstock.store.sqlite
print("ready")
sys.stdin.readline()
store = open_store(sys.argv[1])
store.insert_jobs([JobRow(id=new_id(), kind="K", batch=False, created_at=now())])
close_stores()
"""
    url = f"sqlite:///{tmp_path}/a.db"
    processes = [start_python(script, url) for _ in range(8)]
    for process in processes:
        ready(process)
    for process in processes:
        go(process)
    for process in processes:
        assert end(process) == ""
    assert open_store(url).count_jobs(Query()) == 8


def test_writers_in_four_processes_never_fail_and_none_starves(tmp_path, start_python):
    script = """
import sys, time
import penstock
from penstock.ids import new_id
from penstock.clock import now
from penstock.store import open_store, close_stores
from penstock.store.rows import JobRow
penstock.configure(durability="normal")
store = open_store(sys.argv[1])
store.count_jobs.__self__
print("ready")
sys.stdin.readline()
end, written, longest = time.monotonic() + 1.5, 0, 0.0
while (start := time.monotonic()) < end:
    with store.transaction():
        store.insert_jobs([JobRow(id=new_id(), kind=sys.argv[2], batch=False, created_at=now())])
    longest = max(longest, time.monotonic() - start)
    written += 1
close_stores()
print(written, longest)
"""
    url = f"sqlite:///{tmp_path}/a.db"
    kinds = "abcd"
    processes = [start_python(script, url, kind) for kind in kinds]
    for process in processes:
        ready(process)
    for process in processes:
        go(process)
    ended = [end(process).split() for process in processes]
    written = [int(count) for count, _ in ended]
    store = open_store(url)
    assert [store.count_jobs(Query(kinds=(kind,))) for kind in kinds] == written
    # With SQLite's own busy handler one of them gets a hundred times what another gets.
    assert max(written) < 10 * min(written)
    assert max(float(longest) for _, longest in ended) < 1


def test_a_commit_wakes_a_listener_in_another_process_however_long_the_path(tmp_path, start_python, new_row):
    folder = tmp_path / ("long-" * 20) / ("longer-" * 20)
    folder.mkdir(parents=True)
    path = folder / "a.db"
    assert len(str(path)) > 240
    script = """
import sys, threading
from penstock.store import open_store, close_stores, Topic
heard = threading.Event()
store = open_store(sys.argv[1])
store.listen(Topic.WORK, heard.set)
print("ready")
print(heard.wait(20))
close_stores()
"""
    listener = start_python(script, f"sqlite:///{path}")
    ready(listener)
    open_store(f"sqlite:///{path}").insert_jobs([new_row()])
    assert end(listener) == "True\n"


def test_a_listener_that_was_killed_is_forgotten_and_holds_nobody_up(tmp_path, start_python, new_row):
    script = """
import sys
from penstock.store import open_store, Topic
open_store(sys.argv[1]).listen(Topic.WORK, lambda: None)
print("ready")
sys.stdin.readline()
"""
    url = f"sqlite:///{tmp_path}/a.db"
    store = open_store(url)
    killed = start_python(script, url)
    ready(killed)
    killed.kill()
    killed.wait(10)
    live, heard = tmp_path / "a.db-live", threading.Event()
    assert len(list(live.iterdir())) == 1
    with closing(store.listen(Topic.WORK, heard.set)):
        store.insert_jobs([new_row()])
        assert heard.wait(10)
        assert len(list(live.iterdir())) == 1


def test_a_process_killed_inside_a_transaction_leaves_it_undone_and_the_store_free(tmp_path, start_python, new_row):
    script = """
import sys
from penstock.clock import now
from penstock.ids import new_id
from penstock.store import open_store
from penstock.store.rows import JobRow
store = open_store(sys.argv[1])
with store.transaction():
    store.insert_jobs([JobRow(id=new_id(), kind="K", batch=False, created_at=now()) for _ in range(2000)])
    print("ready")
    sys.stdin.readline()
"""
    url = f"sqlite:///{tmp_path}/a.db"
    store = open_store(url)
    inside = start_python(script, url)
    ready(inside)
    assert store.count_jobs(Query()) == 0
    inside.kill()
    inside.wait(10)
    store.insert_jobs([new_row()])
    assert store.count_jobs(Query()) == 1


def test_a_process_that_was_killed_is_no_longer_present(tmp_path, start_python):
    script = """
import sys
from penstock.store import open_store, presence_name
print(presence_name(open_store(sys.argv[1])))
sys.stdin.readline()
"""
    url = f"sqlite:///{tmp_path}/a.db"
    store = open_store(url)
    other = start_python(script, url)
    name = other.stdout.readline().strip()
    assert store.is_present(name)
    other.kill()
    other.wait(10)
    assert store.is_present(name) is False


def test_two_processes_never_claim_the_same_job(tmp_path, start_python, new_row):
    script = """
import sys
from penstock.clock import now
from penstock.store import open_store, close_stores
store = open_store(sys.argv[1])
print("ready")
sys.stdin.readline()
while found := store.candidates(["Copy"], limit=5):
    for row in store.claim_jobs(found, server=sys.argv[2], now=now()):
        print(row.id)
close_stores()
"""
    url = f"sqlite:///{tmp_path}/a.db"
    rows = [new_row() for _ in range(300)]
    open_store(url).insert_jobs(rows)
    processes = [start_python(script, url, name) for name in "ab"]
    for process in processes:
        ready(process)
    for process in processes:
        go(process)
    claimed = [line for process in processes for line in end(process).splitlines()]
    assert sorted(claimed) == sorted(str(row.id) for row in rows)
