import contextlib
import gc
import signal
import sys
import threading
import time
import weakref
from functools import partial
from typing import Any

import pytest

from penstock.streams.errands import Errand, Turn


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "errand"]


def test_the_work_takes_turns_with_whoever_sends_it_something():
    told: list[Any] = []

    def work(turn: Turn) -> None:
        told.append(threading.current_thread().name)
        told.extend(turn(number) for number in range(3))

    errand = Errand(work, "errand")
    assert running() == []
    assert [errand.send(letter) for letter in "abcd"] == [0, 1, 2, None]
    assert told == ["errand", "b", "c", "d"]
    assert errand.done
    assert errand.send("more") is None
    assert running() == []


def test_what_the_work_raises_comes_out_once():
    def work(turn: Turn) -> None:
        turn(1)
        raise ZeroDivisionError

    errand = Errand(work, "errand")
    assert errand.send(None) == 1
    with pytest.raises(ZeroDivisionError):
        errand.send(None)
    assert errand.send(None) is None
    assert running() == []


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_work_that_is_abandoned_ends_where_it_stands(steps: int):
    ended: list[int] = []

    def work(turn: Turn) -> None:
        try:
            while True:
                turn(None)
        finally:
            ended.append(1)

    errand = Errand(work, "errand")
    for _ in range(steps):
        errand.send(None)
    errand.abandon()
    errand.abandon()
    assert ended == ([1] if steps else [])
    assert errand.send(None) is None
    assert running() == []


def test_nothing_that_the_work_held_is_held_afterwards():
    class Held:
        pass

    held = Held()
    seen = weakref.ref(held)
    errand = Errand(lambda turn, held=held: turn(held), "errand")  # type: ignore[misc]
    errand.send(None)
    errand.abandon()
    del held
    errand._state.handed = None
    gc.collect()
    assert seen() is None


def test_ctrl_c_while_the_work_is_at_it_lets_it_end_first(request):
    # Where the tests run in the background of a shell it is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(partial(signal.signal, signal.SIGINT, before))
    main, release, ended = threading.main_thread().ident, threading.Event(), []
    assert main is not None

    def work(turn: Turn) -> None:
        # Python does not see a signal that comes between its last look and the system call in which it then sleeps.
        while sys._current_frames()[main].f_code.co_name != "wait":
            time.sleep(0.001)
        time.sleep(0.1)
        signal.pthread_kill(main, signal.SIGINT)
        release.wait()
        ended.append(1)
        with contextlib.suppress(Exception):
            turn(1)

    errand = Errand(work, "errand")
    with pytest.raises(KeyboardInterrupt):
        errand.send(None)
    assert ended == []
    release.set()
    errand.abandon()
    assert ended == [1]
    assert running() == []
