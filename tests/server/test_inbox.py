"""What a worker holds and has not started."""

import threading

from penstock.server.inbox import Inbox
from penstock.server.messages import RunHook


def task(key, priority=50):
    return RunHook(key, priority, None, "before_batch")


def drained(inbox):
    found = []
    while (one := inbox.take_now()) is not None:
        found.append(one.key)
    return found


def test_the_most_urgent_is_taken_first_and_then_the_oldest():
    inbox = Inbox()
    for key, priority in ((1, 50), (2, 10), (3, 50), (4, 90), (5, 10)):
        inbox.put(task(key, priority))
    assert drained(inbox) == [2, 5, 1, 3, 4]


def test_an_empty_inbox_gives_nothing_at_once():
    assert Inbox().take_now() is None


def test_take_waits_for_a_piece():
    inbox, found = Inbox(), []
    thread = threading.Thread(target=lambda: found.append(inbox.take().key))
    thread.start()
    inbox.put(task(7))
    thread.join(10)
    assert found == [7]


def test_only_named_pieces_that_are_still_there_are_recalled():
    inbox = Inbox()
    for key in range(1, 6):
        inbox.put(task(key))
    assert inbox.take_now().key == 1
    assert sorted(inbox.recall([1, 3, 5, 99])) == [3, 5]
    assert drained(inbox) == [2, 4]


def test_all_are_recalled_when_none_is_named():
    inbox = Inbox()
    for key in (3, 1, 2):
        inbox.put(task(key))
    assert sorted(inbox.recall(None)) == [1, 2, 3]
    assert inbox.recall(None) == []
    assert inbox.take_now() is None


def test_the_order_survives_a_recall():
    inbox = Inbox()
    for key in range(1, 20):
        inbox.put(task(key, priority=100 - key))
    inbox.recall([5, 10, 15])
    assert drained(inbox) == [key for key in range(19, 0, -1) if key not in (5, 10, 15)]


def test_each_piece_is_taken_by_one_of_several_slots():
    inbox, found, lock = Inbox(), [], threading.Lock()

    def slot():
        for _ in range(100):
            one = inbox.take()
            with lock:
                found.append(one.key)

    threads = [threading.Thread(target=slot) for _ in range(4)]
    for thread in threads:
        thread.start()
    for key in range(400):
        inbox.put(task(key))
    for thread in threads:
        thread.join(10)
    assert sorted(found) == list(range(400))
