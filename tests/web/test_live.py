"""What is new is told to every browser by one look at the store, however many there are."""

import asyncio
import json

import pytest

from penstock.service.heartbeats import Heartbeats
from penstock.web import live
from penstock.web.live import SLOW_SECONDS, Live, pulse

SOON = 30.0
"""Seconds after which a test gives up."""


@pytest.fixture
def looks(monkeypatch):
    """The looks at the store, each as what was seen."""
    seen = []
    look = live.pulse

    def noted(*given):
        seen.append(look(*given))
        return seen[-1]

    monkeypatch.setattr(live, "pulse", noted)
    return seen


@pytest.fixture
def told(configured_store):
    """Return a function that runs a coroutine function with a `Live`, and then waits for its thread to end."""

    def run(act):
        found = Live(lambda: configured_store)
        queues = []

        def follow():
            queues.append(found.follow())
            return queues[-1]

        async def acted():
            try:
                return await act(found, follow)
            finally:
                thread = found._thread
                for queue in queues:
                    found.leave(queue)
                if thread is not None:
                    await asyncio.to_thread(thread.join, SOON)
                    assert not thread.is_alive()

        return asyncio.run(acted())

    return run


async def news(queue):
    return json.loads(await asyncio.wait_for(queue.get(), SOON))


async def news_with(queue, count, state="queued_now"):
    """Return the first news in which so many jobs are in a state."""
    while (found := await news(queue))["counts"][state] != count:
        pass
    return found


def test_fifty_browsers_are_told_the_same_by_looks_that_do_not_grow_in_number(told, shop, looks):
    async def act(found, follow):
        queues = [follow() for _ in range(50)]
        for queue in queues:
            await news(queue)
        before = len(looks)
        shop.Mail.create(to="x")
        seen = [await news_with(queue, "1") for queue in queues]
        return seen, len(looks) - before

    seen, count = told(act)
    assert {each["told"] for each in seen} == {seen[0]["told"]}
    assert count < 25


@pytest.mark.sqlite("counts the statements of its connections")
def test_a_look_reads_as_much_of_the_store_for_fifty_pages_as_for_one(told, looks, configured_store):
    def reads_of_a_look(pages):
        read = []

        async def act(found, follow):
            queues = [follow() for _ in range(pages)]
            for queue in queues:
                await news(queue)
            before = len(looks)
            for session in configured_store.connections._all:
                session.raw.set_trace_callback(read.append)
            found.nudge()
            for queue in queues:
                await news(queue)
            for session in configured_store.connections._all:
                session.raw.set_trace_callback(None)
            return len(read) / (len(looks) - before)

        return told(act)

    assert 0 < reads_of_a_look(50) <= 2 * reads_of_a_look(1)


def test_one_that_comes_later_is_told_at_once_how_things_are(told, shop, looks):
    async def act(found, follow):
        first = await news_with(follow(), "0")
        before = len(looks)
        later = await news(follow())
        return first, later, len(looks) - before

    first, later, count = told(act)
    assert later == first
    assert count == 0


def test_a_page_knows_what_it_has_missed_since_it_was_made(visit, told, shop):
    console = visit.client.app.state.console
    assert 'data-told="0"' in visit.get("/jobs").text

    async def act(found, follow):
        console.live = found
        queue = follow()
        first = await news(queue)
        page = await asyncio.to_thread(lambda: visit.get("/jobs").text)
        shop.Mail.create(to="x")
        return first, page, await news_with(queue, "1")

    first, page, later = told(act)
    assert f'data-told="{first["told"]}"' in page
    assert later["told"] > first["told"]


def test_a_browser_that_is_slow_is_told_the_newest_only(told, shop):
    async def act(found, follow):
        slow, quick = follow(), follow()
        await news(quick)
        for count in ("1", "2", "3"):
            shop.Mail.create(to="x")
            await news_with(quick, count)
        return slow.qsize(), await news(slow)

    waiting, newest = told(act)
    assert (waiting, newest["counts"]["queued_now"]) == (1, "3")


def test_nothing_is_looked_at_while_nobody_follows(told, looks, configured_store):
    Live(lambda: configured_store).nudge()
    assert looks == []

    async def act(found, follow):
        await news(follow())

    told(act)
    count = len(looks)
    assert count >= 1
    told(lambda found, follow: asyncio.sleep(0))
    assert len(looks) == count


def test_a_store_in_trouble_is_looked_at_again(told, shop, configured_store, monkeypatch):
    from penstock.errors import StoreUnavailable

    broken = []
    look = live.pulse

    def breaks_once(*given):
        if not broken:
            broken.append(1)
            raise StoreUnavailable("the disk is away")
        return look(*given)

    monkeypatch.setattr(live, "pulse", breaks_once)

    async def act(found, follow):
        return await news(follow())

    assert told(act)["counts"]["queued_now"] == "0"


def test_the_pace_of_a_job_is_told_once_it_was_followed_for_a_while(clock, configured_store):
    found = Live(lambda: configured_store)
    assert found.pace("a") is None
    found._note_pace([["a", 100]])
    clock.advance(SLOW_SECONDS / 2)
    found._note_pace([["a", 200], ["b", 0]])
    assert found.pace("a") is None
    clock.advance(SLOW_SECONDS)
    found._note_pace([["a", 400], ["b", 10]])
    assert found.pace("a") == pytest.approx(300 / (1.5 * SLOW_SECONDS))
    assert found.paces() == {"a": found.pace("a"), "b": pytest.approx(10 / SLOW_SECONDS)}
    found._note_pace([["b", 20]])
    assert found.pace("a") is None


def test_a_look_tells_counts_servers_and_running_batches(shop, configured_store):
    shop.Mail.create(to="x")
    job = shop.Lines()
    job.upload(["a"])
    job.save()
    seen = pulse(configured_store, Heartbeats())
    assert seen["counts"]["queued_now"] == "2"
    assert (seen["servers"], seen["still"], seen["batches"]) == ([], [], [])
    assert json.loads(json.dumps(seen)) == seen
