"""Jobs pushed to nodes, and their answers: what an application sees when nothing goes wrong."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest
from tests.distributor.conftest import SECRET
from tests.process.lab import wait_for

from penstock import Distributor, Job, JobAborted, JobFailed, as_completed, clock, gather
from penstock.errors import ConfigurationError, PenstockError, WaitTimeout
from penstock.functions.handle import Handle
from penstock.states import State

FOREVER = 60


def test_results_come_back_from_plain_and_async_functions(site):
    d = site.distributor()
    site.node("one", d)
    handles = [d.enqueue(function, number) for number in range(50) for function in (site.double, site.adouble)]
    assert gather(handles, FOREVER) == [2 * number for number in range(50) for _ in range(2)]
    assert {handle.state for handle in handles} == {State.COMPLETED}
    assert d.jobs == []


def test_every_feedback_comes_exactly_once_and_leaving_waits_for_them(site):
    told = []
    with Distributor("127.0.0.1:0", secret=SECRET) as d:
        site.node("one", d)
        for number in range(200):
            d.enqueue(site.double.options(on_success=lambda result, handle: told.append((handle.id, result))), number)
            d.enqueue(site.fails.options(on_error=lambda error, handle: told.append((handle.id, "failed"))), "no")
        assert len(d.feedbacks) > 0
    assert len(told) == len({job_id for job_id, _ in told}) == 400
    assert sorted(result for _, result in told if result != "failed") == [2 * number for number in range(200)]


def test_jobs_enqueued_before_any_node_is_there_wait_without_turning(site):
    d = site.distributor()
    handles = [d.enqueue(site.double, number) for number in range(10)]
    began = time.process_time()
    assert not handles[0].done
    with pytest.raises(WaitTimeout):
        handles[0].result(1.5)
    assert time.process_time() - began < 0.5
    assert [job.state for job in d.jobs] == [State.QUEUED] * 10
    site.node("one", d)
    assert gather(handles, FOREVER) == [2 * number for number in range(10)]


def test_the_error_comes_back_with_its_traceback_after_all_tries(site):
    d = site.distributor()
    site.node("one", d)
    with pytest.raises(JobFailed, match="ValueError: not this") as caught:
        d.enqueue(site.fails, "not this").result(FOREVER)
    assert "raise ValueError(text)" in caught.value.failure.backtrace[-1]
    (kept,) = d.jobs
    assert (kept.kind, kept.state) == ("fails", State.FAILED)


def test_answers_can_be_awaited_in_the_application_and_the_distributor_entered_there(site):
    async def main():
        async with Distributor("127.0.0.1:0", secret=SECRET) as d:
            site.node("one", d)
            first = await d.aenqueue(site.double, 1)
            return await asyncio.gather(wait(first), *(wait(d.enqueue(site.adouble, number)) for number in range(5)))

    async def wait(handle):
        return await handle

    assert asyncio.run(main()) == [2, 0, 2, 4, 6, 8]


def test_two_applications_share_a_node_and_each_gets_its_own_answers(site):
    one, two = site.distributor(), site.distributor()
    site.node("shared", one, two)
    ones = [one.enqueue(site.echo, ("one", number)) for number in range(100)]
    twos = [two.enqueue(site.echo, ("two", number)) for number in range(100)]
    assert gather(ones, FOREVER) == [("one", number) for number in range(100)]
    assert gather(twos, FOREVER) == [("two", number) for number in range(100)]


def test_nodes_can_be_looked_at(site):
    d = site.distributor()
    assert d.nodes == []
    site.node("one", d, options=("--concurrency", "7"))
    site.ready(d, "one")
    (node,) = d.nodes
    assert (node.name, node.workers, node.slots, node.concurrency, node.leaving) == ("one", 1, 2, 7, False)
    assert node.address.startswith("127.0.0.1:")
    assert {"double", "adouble"} <= set(node.kinds)


def test_a_node_can_be_preferred_forced_and_forbidden(site):
    d = site.distributor()
    site.node("big", d)
    site.node("small", d)
    site.ready(d, "big", "small")
    for options, expected in [
        ({"node": "big"}, {"big"}),
        ({"node": "small", "strict": True}, {"small"}),
        ({"not_node": "small"}, {"big"}),
        ({"node": "gone", "not_node": "big"}, {"small"}),
    ]:
        handles = [d.enqueue(site.where.options(**options)) for _ in range(2)]
        assert set(gather(handles, FOREVER)) == expected, options


def test_a_job_whose_node_is_not_there_waits_says_so_and_holds_nobody_up(site):
    d = site.distributor()
    site.node("small", d)
    site.ready(d, "small")
    forced = [d.enqueue(site.where.options(node="big", strict=True, priority=1)) for _ in range(100)]
    elsewhere = d.enqueue(site.where.options(not_node="small"))
    assert d.enqueue(site.where.options(node="big")).result(FOREVER) == "small"  # Preferred only.
    assert forced[0].waits_for == "waits for node 'big'"
    assert elsewhere.waits_for == "waits for another node than 'small'"
    site.node("big", d)
    assert gather([*forced, elsewhere], FOREVER) == ["big"] * 101


def test_what_no_node_may_run_is_refused(site):
    d = site.distributor()
    with pytest.raises(ValueError, match="no node may run it"):
        d.enqueue(site.where.options(node="big", not_node="big", strict=True))
    with pytest.raises(ValueError, match="strict=True needs node="):
        d.enqueue(site.where.options(strict=True))
    assert d.jobs == []


def test_a_kind_that_no_node_knows_waits(site):
    from penstock import job

    @job
    def unheard_of():
        pass

    d = site.distributor()
    site.node("one", d)
    site.ready(d, "one")
    handle = d.enqueue(unheard_of)
    assert d.enqueue(site.double, 1).result(FOREVER) == 2
    assert handle.state is State.QUEUED


def test_delayed_and_periodic_jobs_start_when_they_are_due(site):
    d = site.distributor()
    site.node("one", d)
    site.ready(d, "one")
    d.enqueue(site.double, 1).result(FOREVER)
    assert d.enqueue(site.double.options(after=timedelta(seconds=0.2)), 2).result(FOREVER) == 4
    assert d.enqueue(site.double.options(run_at=clock.now() + timedelta(seconds=0.2)), 3).result(FOREVER) == 6
    came = threading.Semaphore(0)
    handle = d.enqueue(site.double.options(after=0.1, period=0.05, on_success=lambda _: came.release()), 4)
    for _ in range(4):
        assert came.acquire(timeout=FOREVER)
    handle.abort()
    with pytest.raises(JobAborted):
        handle.result(FOREVER)
    assert d.jobs == []


def test_a_job_made_inside_a_job_goes_to_the_distributor_that_it_came_from(site, tmp_path):
    one, two = site.distributor(), site.distributor()
    site.node("shared", one, two)
    with pytest.raises(PenstockError, match="does not run"):
        Distributor(secret=SECRET).enqueue(site.double, 1)
    path = tmp_path / "words"
    one.enqueue(site.parent, str(path), ["a", "b", "c"]).result(FOREVER)
    one.stop(wait=True)  # Which waits for the children too.
    assert sorted(path.read_text().split()) == ["a", "b", "c"]
    assert two.jobs == []


def test_progress_arrives_while_the_job_runs(site, tmp_path):
    d = site.distributor()
    site.node("one", d)
    handle = d.enqueue(site.reports, path=str(tmp_path / "go on"))
    wait_for(lambda: handle.progress == {"at": "half"}, "progress")
    assert not handle.done
    (tmp_path / "go on").touch()
    handle.wait(FOREVER)
    assert handle.progress == {"at": "end"}


def test_a_job_can_be_aborted_while_it_waits(site, tmp_path):
    d = site.distributor()
    told = []
    handle = d.enqueue(site.double.options(on_error=told.append), 1)
    handle.abort()
    with pytest.raises(JobAborted):
        handle.result(FOREVER)
    site.node("one", d)
    assert d.enqueue(site.double, 2).result(FOREVER) == 4
    d.stop()
    assert [type(error) for error in told] == [JobAborted]


def test_plain_job_classes_are_pushed_too_and_batch_jobs_are_refused(site):
    class Unknown(Job):
        def perform(self):
            pass

    d = site.distributor()
    handle = d.enqueue(Unknown())
    assert handle.state is State.QUEUED
    with pytest.raises(TypeError, match="made by @job"):
        d.enqueue(print, 1)


def test_an_argument_of_64_megabytes_arrives_whole(site):
    from penstock import configure

    configure(max_document=100 << 20)
    d = site.distributor()
    site.node("one", d)
    value = "ä" * (32 << 20)
    assert d.enqueue(site.echo, value).result(FOREVER) == value


def test_as_completed_over_two_distributors(site):
    one, two = site.distributor(), site.distributor()
    site.node("shared", one, two)
    handles = [d.enqueue(site.double, number) for number in range(10) for d in (one, two)]
    assert {handle.id for handle in as_completed(handles, FOREVER)} == {handle.id for handle in handles}


def test_a_distributor_can_be_started_again_and_its_port_is_free_at_once(site):
    d = site.distributor()
    address = d.address
    waiting = d.enqueue(site.double, 1)
    d.stop()
    with pytest.raises(JobFailed, match="the distributor stopped"):
        waiting.result(FOREVER)
    again = site.distributor(address)
    site.node("one", again)
    assert again.enqueue(site.double, 1).result(FOREVER) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"address": "nowhere"}, "write it as host:port"),
        ({"address": "127.0.0.1:70000"}, "write it as host:port"),
        ({"address": "0.0.0.0:0"}, "beyond this machine"),
        ({"secret": ""}, "share a secret"),
        ({"secret": "short"}, "too short"),
        ({"key": "key.pem"}, "of no use alone"),
        ({"cert": "missing.pem"}, "missing.pem"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        Distributor(**{"secret": SECRET, **arguments})


def test_an_address_that_is_taken_is_refused_in_clear_words(site):
    d = site.distributor()
    with pytest.raises(ConfigurationError, match="choose another address"):
        Distributor(d.address, secret=SECRET).start()


def test_the_address_to_advertise_takes_the_port_that_was_found(site):
    assert site.distributor(advertise="app.example.org:0").address.startswith("app.example.org:")
    assert site.distributor(advertise="app.example.org:7").address == "app.example.org:7"


def test_an_answer_that_is_asked_for_the_moment_it_comes_is_not_missed(site, monkeypatch):
    d = site.distributor()
    site.node("one", d)
    taken, asked = threading.Event(), threading.Event()
    resolve = Handle.resolve

    def wait_until_asked(handle, answer):
        taken.set()
        assert asked.wait(FOREVER)
        resolve(handle, answer)

    monkeypatch.setattr(Handle, "resolve", wait_until_asked)
    handle = d.enqueue(site.double, 4)
    assert taken.wait(FOREVER)
    told = []
    handle.add_done_callback(lambda it: told.append(it.result()))
    asked.set()
    assert handle.result(FOREVER) == 8
    assert told == [8]


def test_two_handles_of_one_job_have_the_same_answer(site, tmp_path):
    d = site.distributor()
    first = d.enqueue(site.double, 4)
    second = d.handle(first.id)
    waiting = threading.Thread(target=lambda: second.result(FOREVER))
    waiting.start()
    site.node("one", d)
    assert first.result(FOREVER) == 8
    waiting.join()
    assert second.result(FOREVER) == 8
