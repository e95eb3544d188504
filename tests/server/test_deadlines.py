"""Time-outs in the thread that takes too long: raised inside the block, and never after it."""

import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from penstock.errors import JobTimeout, PenstockError
from penstock.model.failure import describe
from penstock.server.deadlines import PATIENCE_SECONDS, Deadlines, timeout_error

FOREVER = 60.0
"""Seconds after which a test that waits has failed. Never waited for in one that passes."""

TRACED = """
import sys
from penstock.errors import JobTimeout
from penstock.server.deadlines import Deadlines

def trace(*_):
    return trace

def spin():
    while True:
        pass

sys.settrace(trace)
try:
    with Deadlines().limit(0.05):
        spin()
except JobTimeout:
    print("interrupted", flush=True)
print("went on")
"""


@pytest.fixture
def deadlines():
    return Deadlines()


def spin(seconds=FOREVER):
    """Run Python code, step by step, until it is interrupted."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    pytest.fail("nothing interrupted it")


def steps(number=2000):
    """Run some Python code in which an exception for this thread would come up at once."""
    for _ in range(number):
        int("1")


def in_thread(act):
    """Run something in a thread of its own and return what it returned or raised."""
    found = []

    def run():
        try:
            found.append(act())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(FOREVER)
    assert not thread.is_alive()
    return found[0]


class TestInTime:
    def test_what_ends_in_time_is_left_alone(self, deadlines):
        with deadlines.limit(FOREVER):
            value = sum(range(1000))
        assert value == 499_500

    def test_without_a_limit_nothing_is_watched(self, deadlines):
        noted = []
        with deadlines.limit(None, noted.append):
            steps()
        assert noted == []
        assert deadlines._thread is None

    def test_what_the_block_raises_comes_out(self, deadlines):
        with pytest.raises(ZeroDivisionError), deadlines.limit(FOREVER):
            _ = 1 / 0

    def test_one_thread_watches_them_all(self, deadlines):
        for _ in range(5):
            with deadlines.limit(FOREVER):
                pass
        names = [thread.name for thread in threading.enumerate()]
        assert deadlines._thread.name in names
        assert deadlines._thread.daemon

    def test_no_more_than_the_last_is_left_of_those_that_ended(self, deadlines):
        for _ in range(50):
            with deadlines.limit(FOREVER):
                pass
        end = time.monotonic() + 30
        while len(deadlines._watched) > 1 or not deadlines._new.empty():
            assert time.monotonic() < end
            time.sleep(0.001)


class TestTooLong:
    def test_a_block_that_takes_too_long_has_an_exception_raised_in_it(self, deadlines):
        began = time.monotonic()
        with pytest.raises(JobTimeout), deadlines.limit(0.02):
            spin()
        assert time.monotonic() - began >= 0.02

    def test_it_is_worded_with_the_seconds(self, deadlines):
        with (
            pytest.raises(JobTimeout, match=r"^it took longer than its timeout of 0\.02 s$") as caught,
            deadlines.limit(0.02),
        ):
            spin()
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, PenstockError)

    def test_it_is_stored_under_the_name_of_the_public_error(self, deadlines):
        with pytest.raises(JobTimeout) as caught, deadlines.limit(0.01):
            spin()
        failure = describe(caught.value)
        assert failure.class_name == "penstock.errors.JobTimeout"
        assert failure.message == "it took longer than its timeout of 0.01 s"

    @pytest.mark.parametrize(
        ("seconds", "words"), [(1.0, "1 s"), (0.25, "0.25 s"), (3600, "3600 s"), (1e-6, "1e-06 s")]
    )
    def test_seconds_are_told_as_they_were_given(self, seconds, words):
        assert str(timeout_error(seconds)()) == f"it took longer than its timeout of {words}"

    def test_the_thread_that_takes_long_is_the_one_that_is_interrupted(self, deadlines):
        go = threading.Event()

        def bystand():
            go.set()
            with deadlines.limit(FOREVER):
                for _ in range(200_000):
                    int("1")
            return "well"

        bystander = []
        thread = threading.Thread(target=lambda: bystander.append(bystand()))
        thread.start()
        assert go.wait(FOREVER)
        assert isinstance(in_thread(lambda: limited_spin(deadlines, 0.01)), JobTimeout)
        thread.join(FOREVER)
        assert bystander == ["well"]

    def test_several_are_interrupted_each_at_its_time(self, deadlines):
        ended, start = [], threading.Barrier(4)

        def wait_for(seconds):
            start.wait(FOREVER)
            try:
                with deadlines.limit(seconds):
                    spin()
            except JobTimeout:
                ended.append(seconds)

        times = [0.3, 0.1, 0.2, 0.01]
        threads = [threading.Thread(target=wait_for, args=(seconds,)) for seconds in times]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(FOREVER)
        assert sorted(ended) == sorted(times)
        assert ended[0] == 0.01

    def test_a_shorter_limit_that_comes_later_is_kept_to(self, deadlines):
        inside, done = threading.Event(), threading.Event()

        def long():
            with deadlines.limit(FOREVER):
                inside.set()
                done.wait(FOREVER)

        thread = threading.Thread(target=long)
        thread.start()
        assert inside.wait(FOREVER)
        with pytest.raises(JobTimeout), deadlines.limit(0.01):
            spin()
        done.set()
        thread.join(FOREVER)

    def test_the_next_block_of_the_thread_starts_afresh(self, deadlines):
        for _ in range(3):
            with pytest.raises(JobTimeout), deadlines.limit(0.005):
                spin()
            with deadlines.limit(FOREVER):
                steps()

    def test_a_block_that_catches_it_and_goes_on_is_not_interrupted_twice(self, deadlines):
        caught = []
        with deadlines.limit(0.01):
            try:
                spin()
            except JobTimeout as error:
                caught.append(error)
            steps()
        assert len(caught) == 1

    @pytest.mark.process
    def test_a_thread_that_is_traced_goes_on_after_it(self):
        # In a process of its own: a thread that does not go on could not be ended.
        traced = [sys.executable, "-c", TRACED]
        ended = subprocess.run(traced, check=False, capture_output=True, text=True, timeout=FOREVER)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "interrupted\nwent on\n", "")

    def test_an_exception_of_the_block_is_not_hidden_by_one_that_came_too_late(self, deadlines):
        """In C it cannot be interrupted; what it raises is what counts, or the time-out."""

        def wait_and_raise():
            time.sleep(0.02)
            return 1 / 0

        with pytest.raises((ZeroDivisionError, JobTimeout)), deadlines.limit(0.001):
            wait_and_raise()
        steps()


def limited_spin(deadlines, seconds):
    with deadlines.limit(seconds):
        spin()


class TestNotes:
    def test_the_moment_to_kill_the_process_is_noted_and_taken_back(self, deadlines):
        noted = []
        before = time.monotonic()
        with deadlines.limit(2.0, noted.append):
            (moment,) = noted
        after = time.monotonic()
        assert before + 2.0 + PATIENCE_SECONDS <= moment <= after + 2.0 + PATIENCE_SECONDS
        assert noted == [moment, 0.0]

    def test_it_is_taken_back_whatever_ends_the_block(self, deadlines):
        noted = []
        with pytest.raises(JobTimeout), deadlines.limit(0.01, noted.append):
            spin()
        with pytest.raises(ZeroDivisionError), deadlines.limit(1.0, noted.append):
            _ = 1 / 0
        assert [moment > 0 for moment in noted] == [True, False, True, False]

    def test_it_stays_while_a_block_that_was_interrupted_goes_on(self, deadlines):
        noted = []
        with deadlines.limit(0.01, noted.append):
            with suppress(JobTimeout):
                spin()
            assert len(noted) == 1
        assert len(noted) == 2


class TestRaces:
    """The end of a block and its deadline at the same moment, over and over."""

    ROUNDS = 400

    def race(self, deadlines, number, seconds=0.0005):
        """Leave a block about when its time is up; tell whether it was interrupted. Nothing may come after."""
        work = int(seconds * (0.5 + (number % 41) / 40) * 1e9)
        try:
            with deadlines.limit(seconds):
                end = time.monotonic_ns() + work
                while time.monotonic_ns() < end:
                    pass
        except JobTimeout:
            interrupted = True
        else:
            interrupted = False
        steps(200)
        return interrupted

    def test_nothing_is_raised_after_the_block_was_left(self, deadlines):
        ended = [in_thread(lambda: [self.race(deadlines, n) for n in range(self.ROUNDS)])]
        assert isinstance(ended[0], list), ended[0]
        assert 0 < sum(ended[0]) < self.ROUNDS, "the races were none"

    # It may strike in a finalizer that happens to run then, of which Python can only tell.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_the_watch_goes_on_after_any_number_of_races(self, deadlines):
        in_thread(lambda: [self.race(deadlines, n) for n in range(self.ROUNDS)])
        assert isinstance(in_thread(lambda: limited_spin(deadlines, 0.01)), JobTimeout)

    def test_threads_that_race_do_not_hold_each_other_up(self, deadlines):
        """The tightest moment is where one that leaves waits for the watching thread, which has just fired at it."""
        ends = []

        def run():
            ends.append([self.race(deadlines, n) for n in range(self.ROUNDS)])

        threads = [threading.Thread(target=run, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(FOREVER)
        assert [thread.is_alive() for thread in threads] == [False] * 4
        assert len(ends) == 4
        assert isinstance(in_thread(lambda: limited_spin(deadlines, 0.01)), JobTimeout)
