"""`@job`: what a function becomes, and how its jobs run."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pydantic
import pytest

from penstock import Arguments, Job, JobFailed, Retry, job
from penstock.errors import DuplicateKind
from penstock.model.job import load_job
from penstock.states import State


def stored(store, handle):
    return load_job(store.job(handle.id))


# What it becomes --------------------------------------------------------------------------------------


def test_a_job_function_is_still_called_as_a_plain_function():
    @job
    def double(number: int) -> int:
        """Double it."""
        return 2 * number

    assert double(4) == 8
    assert (double.__name__, double.__doc__) == ("double", "Double it.")


def test_its_jobs_are_of_a_class_with_its_parameters_as_fields():
    @job(kind="images.resize", retry_limit=3, priority=20)
    def resize(path: str, width: int = 100):
        return path, width

    made = resize.job(path="a.png")
    assert isinstance(made, Job)
    assert isinstance(made, Retry)
    assert (made.kind, made.path, made.width) == ("images.resize", "a.png", 100)
    assert (made.retry_limit, made.priority) == (3, 20)
    assert (made.collect_output, made.destroy_on_complete) == (True, False)


def test_arguments_are_checked_when_it_is_enqueued_and_nothing_is_stored(server):
    @job
    def double(number: int):
        return 2 * number

    with pytest.raises(pydantic.ValidationError, match="number"):
        double.enqueue("many")
    with pytest.raises(TypeError, match="too many positional arguments"):
        double.enqueue(1, 2)
    with pytest.raises(TypeError, match="missing a required argument: 'number'"):
        double.enqueue()
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        double.enqueue(1, other=2)

    @job
    def anything(value):
        return value

    with pytest.raises(pydantic.ValidationError, match="cannot be stored"):
        anything.enqueue(object())
    assert server.run() == 0


def test_every_sort_of_parameter_arrives_as_it_was_given(server):
    seen = []

    @job
    def takes(first, /, second: date, *more: int, flag: bool = False, **named):
        seen.append((first, second, more, flag, named))

    takes.enqueue((1, "a"), date(2026, 1, 2), 3, 4, flag=True, name={"deep": [1.5, None]})
    takes.enqueue(1, second=date(2026, 1, 2))
    server.run()
    assert seen == [
        ((1, "a"), date(2026, 1, 2), (3, 4), True, {"name": {"deep": [1.5, None]}}),
        (1, date(2026, 1, 2), (), False, {}),
    ]


def test_parameters_that_are_called_like_fields_of_every_job_are_no_trouble(server):
    seen = []

    @job
    def shadow(id: int, priority: str, state: str = "new", _hidden: int = 1):  # noqa: A002
        seen.append((id, priority, state, _hidden))

    handle = shadow.options(priority=7).enqueue(5, "high")
    assert stored(server.store, handle).priority == 7
    server.run()
    assert seen == [(5, "high", "new", 1)]


def test_a_parameter_with_a_name_that_steps_use_is_refused():
    with pytest.raises(TypeError, match="cannot be called 'result'"):

        @job
        def bad(result):
            pass


def test_an_unknown_option_is_refused_and_the_message_lists_those_there_are():
    @job
    def nothing():
        pass

    with pytest.raises(TypeError, match=r"no option 'prioritty'.*not_node.*on_error"):
        nothing.options(prioritty=1)
    with pytest.raises(TypeError, match="no option 'colour'"):
        job(colour=1)(lambda: None)
    with pytest.raises(TypeError, match="either after= or run_at="):
        nothing.options(after=1, run_at=datetime.now(UTC))


def test_two_functions_of_one_kind_are_refused():
    def one():
        pass

    def two():
        pass

    one.__qualname__, two.__qualname__ = "one", "two"
    job(kind="same")(one)
    with pytest.raises(DuplicateKind, match="same"):
        job(kind="same")(two)


def test_options_leave_the_function_as_it_was(server):
    @job
    def nothing():
        pass

    nothing.options(priority=1, after=3600).options(priority=2)
    assert stored(server.store, nothing.enqueue()).priority == 50
    assert stored(server.store, nothing.options(priority=1).options(priority=2).enqueue()).priority == 2


def test_after_counts_from_the_moment_of_enqueueing(server, clock):
    @job
    def nothing():
        pass

    later = nothing.options(after=timedelta(seconds=20))
    clock.advance(5)
    handle = later.enqueue()
    assert stored(server.store, handle).run_at == clock.now() + timedelta(seconds=20)


# How it runs ------------------------------------------------------------------------------------------


def test_an_async_function_is_awaited(server):
    @job
    async def double(number: int) -> int:
        return 2 * number

    handle = double.enqueue(4)
    server.run()
    assert handle.result(10) == 8


def test_callbacks_run_in_order_and_share_one_mapping_with_the_function(server):
    seen = []

    @job
    def start(number: int, arguments: Arguments):
        arguments["doubled"] = 2 * number
        return "done"

    @start.callback
    def first(arguments):
        seen.append(("first", arguments["number"], arguments["doubled"], arguments["result"]))
        arguments["more"] = "from first"

    @start.callback
    async def second(arguments):
        seen.append(("second", arguments["more"], arguments["job_itself"].kind))

    handle = start.enqueue(4)
    server.run()
    assert seen == [("first", 4, 8, "done"), ("second", "from first", "start")]
    assert handle.result(10) == "done"
    assert handle.added == {"doubled": 8, "more": "from first"}


def test_what_a_run_does_to_its_arguments_leaves_those_of_the_next_try_alone(server, clock):
    seen = []

    @job(retry_limit=1)
    def spoil(items: list):
        seen.append(list(items))
        items.append("spoiled")
        raise ValueError

    spoil.enqueue([1])
    server.run()
    clock.advance(3600)
    server.run()
    assert seen == [[1], [1]]


def test_errbacks_get_the_exception_and_what_was_added_before(server, clock):
    seen = []

    @job(retry_limit=0)
    def fails(arguments: Arguments):
        arguments["file"] = "half.txt"
        raise ValueError("no")

    @fails.errback
    def clean(arguments):
        seen.append((repr(arguments["error"]), arguments["file"]))

    handle = fails.enqueue()
    server.run()
    with pytest.raises(JobFailed, match="ValueError: no") as caught:
        handle.result(10)
    assert seen == [("ValueError('no')", "half.txt")]
    assert caught.value.failure.class_name == "ValueError"
    assert "raise ValueError" in caught.value.failure.backtrace[-1]


def test_a_callback_that_raises_fails_the_job_and_those_behind_it_do_not_run(server):
    seen = []

    @job(retry_limit=0)
    def fine():
        return 1

    @fine.callback
    def breaks(arguments):
        raise KeyError("broken")

    @fine.callback
    def never(arguments):
        seen.append("never")

    @fine.errback
    def told(arguments):
        seen.append(type(arguments["error"]).__name__)

    handle = fine.enqueue()
    server.run()
    assert seen == ["KeyError"]
    assert handle.state is State.FAILED


def test_what_an_errback_raises_ends_the_errbacks_and_changes_nothing_else(server, clock):
    seen = []

    @job(retry_limit=1)
    def fails():
        raise ValueError("no")

    @fails.errback
    def breaks(arguments):
        seen.append("breaks")
        raise KeyError("worse")

    @fails.errback
    def behind(arguments):
        seen.append("behind")

    handle = fails.enqueue()
    server.run()
    assert stored(server.store, handle).state is State.QUEUED  # It is tried again, as the rule has it.
    clock.advance(3600)
    server.run()
    with pytest.raises(JobFailed, match="ValueError: no"):
        handle.result(10)
    assert seen == ["breaks", "breaks"]
    assert "KeyError" in handle.added["errback_error_text"]


def test_a_job_that_always_fails_runs_exactly_retry_limit_and_one_times_with_linear_pauses(server, clock):
    runs = []

    @job(retry_limit=3)
    def fails():
        runs.append(clock.now())
        raise ValueError

    handle = fails.enqueue()
    for _ in range(200):
        server.run()
        clock.advance(1)
    assert len(runs) == 4
    # A step of the clock is a second, and a pause 5 seconds longer than the one before.
    assert [round((b - a).total_seconds()) for a, b in pairwise(runs)] == [5, 10, 15]
    assert handle.state is State.FAILED


def test_by_default_it_runs_ten_times():
    @job
    def nothing():
        pass

    assert nothing.job().retry_limit + 1 == 10


@pytest.mark.parametrize(("backoff", "expected"), [(2, [2, 4, 6]), (lambda retry: 2**retry, [2, 4, 8]), (0, [0, 0, 0])])
def test_backoff_is_seconds_or_a_function_of_the_number_of_the_retry(backoff, expected):
    @job(backoff=backoff)
    def nothing():
        pass

    assert [nothing.job().retry_delay(failures) for failures in range(3)] == expected


def test_a_periodic_job_comes_again_after_each_completion_with_all_its_tries(server, clock):
    runs = []
    bad = {2, 3, 5, 6, 8, 9}

    @job(retry_limit=2)
    def tick():
        runs.append(clock.now())
        if len(runs) in bad:
            raise ValueError

    handle = tick.options(period=60).enqueue()
    for _ in range(11):
        server.run()
        clock.advance(60)
    # It failed twice after each success, six times altogether with a limit of two in a row: pauses are the period.
    assert len(runs) == 11
    assert {(b - a).total_seconds() for a, b in pairwise(runs)} == {60.0}
    kept = stored(server.store, handle)
    assert (kept.state, kept.runs, kept.failed_at_list) == (State.QUEUED, 5, [])


def test_a_periodic_job_that_uses_up_its_tries_fails_for_good(server, clock):
    runs = []

    @job(retry_limit=2)
    def tick():
        runs.append(1)
        if len(runs) > 1:
            raise ValueError

    handle = tick.options(period=10).enqueue()
    for _ in range(10):
        server.run()
        clock.advance(10)
    assert len(runs) == 4
    assert handle.state is State.FAILED


@pytest.mark.parametrize("where", ["body", "callback"])
def test_a_job_may_abort_itself_from_the_function_or_a_callback_which_counts_as_success(server, where):
    seen = []

    @job
    def start(job_itself):
        if where == "body":
            job_itself.abort()
        return "so far"

    @start.callback
    def then(arguments):
        if where == "callback":
            arguments["job_itself"].abort()

    @start.callback
    def never(arguments):
        seen.append("never")

    handle = start.options(on_error=seen.append).enqueue()
    server.run()
    assert handle.result(10) == "so far"
    assert (handle.state, seen) == (State.ABORTED, [])


def test_an_errback_may_abort_the_job_which_is_not_tried_again_and_counts_as_failed(server, clock):
    runs = []

    @job(retry_limit=5)
    def fails():
        runs.append(1)
        raise ValueError("hopeless")

    @fails.errback
    def stop(arguments):
        arguments["job_itself"].abort()

    handle = fails.enqueue()
    server.run()
    clock.advance(3600)
    server.run()
    with pytest.raises(JobFailed, match="hopeless"):
        handle.result(10)
    assert (handle.state, runs) == (State.ABORTED, [1])


def test_progress_is_stored_while_it_runs_and_stays(server):
    seen = []

    @job
    def slow(job_itself):
        job_itself.report_progress({"done": 1})
        seen.append(handle.progress)
        job_itself.report_progress({"done": 2})

    handle = slow.enqueue()
    assert handle.progress is None
    server.run()
    assert seen == [{"done": 1}]
    handle.wait(10)
    assert handle.progress == {"done": 2}


def test_snoozing_is_no_answer(server, clock):
    runs = []

    @job
    def waits(job_itself):
        runs.append(1)
        if len(runs) == 1:
            return job_itself.snooze(60)
        return "now"

    handle = waits.enqueue()
    server.run()
    assert not handle.done
    clock.advance(60)
    server.run()
    assert handle.result(10) == "now"
