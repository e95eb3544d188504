"""Handles over a store: whoever runs the job, the answer arrives."""

import asyncio
import threading

import pytest
from tests.functions.test_job_functions import stored

from penstock import JobAborted, JobFailed, as_completed, gather, job
from penstock.errors import InvalidMove, JobNotFound, StoreClosed, WaitTimeout
from penstock.states import State
from penstock.store import close_stores, open_store

FOREVER = 30


def test_the_answer_wakes_who_waits_for_it(server):
    @job
    def double(number: int):
        return 2 * number

    handle = double.enqueue(4)
    got = []
    waiter = threading.Thread(target=lambda: got.append(handle.result(FOREVER)))
    waiter.start()
    server.run()
    waiter.join(FOREVER)
    assert got == [8]


def test_waiting_may_time_out_and_the_job_goes_on(server):
    @job
    def double(number: int):
        return 2 * number

    handle = double.enqueue(4)
    with pytest.raises(WaitTimeout, match=r"double .* has no answer after 0\.01 s"):
        handle.result(0.01)
    assert (handle.done, handle.state) == (False, State.QUEUED)
    server.run()
    assert handle.result(FOREVER) == 8


def test_who_waits_is_told_when_the_store_is_closed_here_and_nobody_looks_any_more(server, configured_store):
    told = []

    @job
    def double(number: int):
        return 2 * number

    handle = double.options(on_error=told.append).enqueue(4)
    waiting = double.enqueue(5)
    waiting.add_done_callback(told.append)
    close_stores()
    for each in (handle, waiting):
        with pytest.raises(StoreClosed, match=r"double .* goes on, but nobody here will hear of it: .*closed"):
            each.result(FOREVER)
    assert told == [waiting]
    assert open_store(configured_store.url).job(handle.id).state is State.QUEUED


def test_a_handle_can_be_awaited_many_at_a_time(server):
    @job
    def double(number: int):
        return 2 * number

    handles = [double.enqueue(number) for number in range(5)]

    async def main():
        asyncio.get_running_loop().call_soon(server.run)
        return await asyncio.gather(*(wait(handle) for handle in handles))

    async def wait(handle):
        return await handle

    assert asyncio.run(main()) == [0, 2, 4, 6, 8]


def test_gather_gives_results_in_the_order_of_the_handles_and_as_completed_in_that_of_the_answers(server):
    @job(retry_limit=0)
    def double(number: int):
        if number == 2:
            raise ValueError("two")
        return 2 * number

    handles = [double.options(priority=50 - number).enqueue(number) for number in range(4)]
    server.run()
    with pytest.raises(JobFailed, match="two"):
        gather(handles, FOREVER)
    told = gather(handles, FOREVER, return_errors=True)
    assert [told[0], told[1], type(told[2]), told[3]] == [0, 2, JobFailed, 6]
    assert {handle.id for handle in as_completed(handles, FOREVER)} == {handle.id for handle in handles}
    with pytest.raises(WaitTimeout, match="1 of 1"):
        list(as_completed([double.options(after=60).enqueue(1)], 0.01))


def test_on_success_gets_the_result_and_the_handle_where_it_takes_two(server):
    @job
    def double(number: int):
        return 2 * number

    told = []
    done = threading.Event()
    one = double.options(on_success=told.append, on_error=lambda error: told.append("error")).enqueue(1)
    two = double.options(on_success=lambda result, handle: (told.append((result, handle.id)), done.set())).enqueue(2)
    server.run()
    assert done.wait(FOREVER)
    assert told == [2, (4, two.id)]
    assert one.result(FOREVER) == 2


def test_on_error_is_called_once_when_all_tries_are_used_up(server, clock):
    told = []
    done = threading.Event()

    @job(retry_limit=2)
    def fails():
        raise ValueError("no")

    def note(error, handle):
        told.append((str(error), handle.state))
        done.set()

    handle = fails.options(on_error=note).enqueue()
    for _ in range(40):
        server.run()
        clock.advance(1)
    assert done.wait(FOREVER)
    assert told == [(f"fails {handle.id}: ValueError: no", State.FAILED)]


def test_feedback_of_a_periodic_job_comes_after_each_period(server, clock):
    told = []
    came = threading.Semaphore(0)

    @job
    def tick(job_itself):
        return job_itself.runs

    def note(result):
        told.append(result)
        came.release()

    handle = tick.options(period=10, on_success=note).enqueue()
    for _ in range(3):
        server.run()
        assert came.acquire(timeout=FOREVER)
        clock.advance(10)
    assert told == [0, 1, 2]
    handle.abort()
    assert handle.state is State.ABORTED


def test_a_callback_that_raises_disturbs_nobody(server, caplog):
    @job
    def double(number: int):
        return 2 * number

    told = threading.Event()
    double.options(on_success=lambda _: 1 / 0).enqueue(1)
    double.options(on_success=lambda _: told.set()).enqueue(2)
    server.run()
    assert told.wait(FOREVER)
    assert "a callback failed" in caplog.text


def test_a_job_that_was_aborted_from_outside_says_so(server):
    @job
    def double(number: int):
        return 2 * number

    handle = double.enqueue(1)
    handle.abort()
    with pytest.raises(JobAborted, match=f"double {handle.id} was aborted"):
        handle.result(FOREVER)
    with pytest.raises(InvalidMove):
        handle.abort()


def test_a_job_that_was_destroyed_is_no_result(server):
    @job
    def double(number: int):
        return 2 * number

    handle = double.enqueue(1)
    stored(server.store, handle).destroy()
    with pytest.raises(JobNotFound, match="destroyed"):
        handle.result(FOREVER)


def test_results_have_their_types(server):
    @job
    def give():
        return {"items": (1, 2.5, b"bytes"), "none": None}

    handle = give.enqueue()
    server.run()
    assert handle.result(FOREVER) == {"items": (1, 2.5, b"bytes"), "none": None}
