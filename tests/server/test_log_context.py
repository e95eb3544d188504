"""What a thread is at work on, and how loud it is."""

import asyncio
import contextvars
import logging
import threading

import pytest

from penstock.ids import new_id
from penstock.server.log_context import CURRENT, TRACE, RootLevel, is_wanted, job_context, root_level


@pytest.fixture
def info():
    """Let the process log at info; give the root logger back after it."""
    before = logging.root.level
    root_level.set_own(logging.INFO)
    yield
    root_level.set_own(None)
    logging.root.setLevel(before)


def record(level, name="tests.log_context"):
    return logging.makeLogRecord({"name": name, "levelno": level})


class TestContext:
    def test_it_tells_what_is_known_in_order(self):
        job_id = new_id()
        with job_context(worker="w", record_number=lambda: 7, slice_number=2, kind="K", job_id=job_id) as context:
            assert list(context.details().items()) == [
                ("job", str(job_id)),
                ("kind", "K"),
                ("slice", 2),
                ("record", 7),
                ("worker", "w"),
            ]
        assert job_context().details() == {}

    def test_the_record_number_is_asked_for_only_when_it_is_told(self):
        numbers = iter([1, 2])
        with job_context(record_number=lambda: next(numbers)) as context:
            assert context.details() == {"record": 1}
            assert context.details() == {"record": 2}
            # A number that is not known is not told.
            assert context.details() == {}

    def test_after_it_what_was_before_it_holds(self):
        assert CURRENT.get() is None
        with job_context(kind="outer") as outer:
            inner = job_context(kind="inner")
            with pytest.raises(ZeroDivisionError), inner:
                assert CURRENT.get() is not inner or 1 / 0
            assert CURRENT.get() is outer
        assert CURRENT.get() is None

    def test_each_thread_has_its_own(self):
        seen = {}
        entered = threading.Barrier(3)

        def work(name):
            with job_context(kind=name):
                entered.wait(10)
                seen[name] = CURRENT.get().kind

        threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert seen == {"a": "a", "b": "b", "c": "c"}

    def test_a_thread_that_a_job_starts_has_it_when_it_is_given_the_context(self):
        seen = []
        with job_context(kind="K"):
            for target in (contextvars.copy_context().run, lambda call: call()):
                thread = threading.Thread(target=target, args=(lambda: seen.append(CURRENT.get()),))
                thread.start()
                thread.join(10)
        assert seen[0].kind == "K"

    def test_each_task_of_one_event_loop_has_its_own(self):
        seen = {}

        async def work(name, others):
            with job_context(kind=name):
                others.release()
                while others.locked():
                    await asyncio.sleep(0)
                await asyncio.sleep(0)
                seen[name] = CURRENT.get().kind

        async def main():
            others = asyncio.Semaphore(0)
            await asyncio.gather(*(work(name, others) for name in "abc"))

        asyncio.run(main())
        assert seen == {"a": "a", "b": "b", "c": "c"}


class TestLevel:
    def test_the_root_logger_has_the_lowest_level_that_anybody_asks_for(self, info):
        levels = []
        with job_context(level="debug"):
            levels.append(logging.root.level)
            with job_context(level="trace"):
                levels.append(logging.root.level)
            levels.append(logging.root.level)
        with job_context(level="error"):
            levels.append(logging.root.level)
        assert [*levels, logging.root.level] == [10, TRACE, 10, 20, 20]

    def test_a_level_may_be_known_after_the_context_began_and_changed_again(self, info):
        with job_context() as context:
            context.use_level("debug")
            assert logging.root.level == logging.DEBUG
            context.use_level("trace")
            assert logging.root.level == TRACE
            context.use_level("warning")
            assert logging.root.level == logging.INFO
        assert logging.root.level == logging.INFO

    def test_two_jobs_at_one_level_end_in_any_order(self, info):
        level = RootLevel()
        level.set_own(logging.INFO)
        assert level.ask(10)
        assert level.ask(10)
        level.drop(10)
        assert logging.root.level == logging.DEBUG
        level.drop(10)
        assert logging.root.level == logging.INFO

    def test_a_job_is_judged_by_its_own_level_and_others_by_that_of_the_process(self, info):
        with job_context(level="debug") as quiet, job_context(level="error") as loud, job_context() as none:
            for context, wanted in ((quiet, [10, 20, 40]), (loud, [40]), (none, [20, 40]), (None, [20, 40])):
                assert [level for level in (5, 10, 20, 40) if is_wanted(record(level), context)] == wanted

    @pytest.mark.parametrize(("name", "number"), [("warn", 30), ("fatal", 50), ("critical", 50), ("trace", 5)])
    def test_names_of_levels(self, name, number):
        with job_context(level=name) as context:
            assert context.threshold == number

    def test_a_logger_with_a_level_of_its_own_is_believed_but_not_above_the_level_of_a_job(self, info):
        noisy = logging.getLogger("tests.log_context.noisy")
        noisy.setLevel(logging.DEBUG)
        try:
            for name in ("tests.log_context.noisy", "tests.log_context.noisy.below"):
                logging.getLogger(name)
                assert is_wanted(record(10, name), None)
                assert not is_wanted(record(10, name), _entered(job_context(level="info")))
        finally:
            noisy.setLevel(logging.NOTSET)
        assert not is_wanted(record(10, "tests.log_context.noisy"), None)

    def test_where_nothing_is_logged_by_us_no_level_is_touched(self):
        before = logging.root.level
        with job_context(level="trace"):
            assert logging.root.level == before
        assert is_wanted(record(1), None)


def _entered(context):
    with context:
        return context
