"""Applications that end, by themselves or killed, with their jobs in a database: the next one takes them up."""

from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest
from tests.distributor.conftest import SECRET
from tests.process.lab import wait_for

from penstock import gather
from penstock.errors import JobFailed
from penstock.states import State

FOREVER = 60
APPLICATION = """
import sys, threading
sys.path.insert(0, ".")
import {module} as jobs
from penstock import Distributor

d = Distributor({address!r}, secret={secret!r}, store={url!r}).start()
{body}
print(d.address, flush=True)
threading.Event().wait()
"""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """Return the URL of a store that is not there yet."""
    return (
        f"sqlite:///{tmp_path / 'vital.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )


def application(site, url, body, address="127.0.0.1:0"):
    """Start an application with a distributor over a store; returns it, with its address, when it has done its part."""
    source = APPLICATION.format(module=site.name, address=address, secret=SECRET, url=url, body=dedent(body))
    started = site.lab.start_python(source)
    wait_for(lambda: started.out or started.process.poll() is not None, "the address")
    assert started.process.poll() is None, started.err
    return started, started.out.decode().strip()


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_what_waits_and_what_runs_of_a_killed_application_is_taken_up_by_the_next_one(url, site, tmp_path):
    began, go_on, words = (tmp_path / name for name in ("began", "go on", "words"))
    first, address = application(
        site,
        url,
        f"""
        for _ in range(2):
            d.enqueue(jobs.wait_for, {str(go_on)!r}, {str(began)!r})
        for number in range(20):
            d.enqueue(jobs.note, {str(words)!r}, str(number))
        """,
    )
    site.node("one", address)
    wait_for(lambda: len(lines(began)) == 2, "both slots at work")
    first.kill_group()
    first.end()
    second = site.distributor(address, store=url)
    site.ready(second, "one")
    handles = [second.handle(job.id) for job in second.jobs]
    assert len(handles) == 22
    go_on.touch()
    assert Counter(gather(handles, FOREVER)) == {"seen": 2, None: 20}
    assert sorted(map(int, lines(words))) == list(range(20))  # None of these had begun.


def test_nothing_is_lost_where_the_application_is_killed_again_and_again_under_load(url, site, tmp_path):
    words, address = tmp_path / "words", "127.0.0.1:0"
    for round_number in range(3):
        body = f"""
        for number in range(100):
            d.enqueue(jobs.note, {str(words)!r}, f"{round_number}-{{number}}")
        """
        seen = len(lines(words))
        killed, address = application(site, url, body, address)
        if round_number == 0:
            site.node("one", address)
        wait_for(lambda seen=seen: len(lines(words)) > seen + 10, "some of the jobs done")
        killed.kill_group()
        killed.end()
    last = site.distributor(address, store=url)
    gather([last.handle(job.id) for job in last.jobs], FOREVER)
    assert set(lines(words)) == {f"{round_number}-{number}" for round_number in range(3) for number in range(100)}
    assert {job.state for job in last.jobs} <= {State.COMPLETED}


def test_a_node_comes_back_when_the_distributor_is_started_again_and_does_what_was_left(url, site, tmp_path):
    began, go_on = tmp_path / "began", tmp_path / "go on"
    d = site.distributor(store=url, grace=0.0)
    address = d.address
    node = site.node("one", d)
    running = d.enqueue(site.wait_for, str(go_on), str(began))
    other = d.enqueue(site.wait_for, str(go_on), str(began))
    waiting = [d.enqueue(site.double, number) for number in range(5)]
    wait_for(lambda: len(lines(began)) == 2, "both slots at work")
    d.stop()
    go_on.touch()
    again = site.distributor(address, store=url)
    site.ready(again, "one")
    ids = [handle.id for handle in (running, other, *waiting)]
    assert gather([again.handle(job_id) for job_id in ids], FOREVER) == ["seen", "seen", 0, 2, 4, 6, 8]
    assert node.err.count("connected to") == 2


def test_what_must_not_run_twice_has_failed_where_the_application_was_killed_that_had_it_run(url, site, tmp_path):
    began, go_on = tmp_path / "began", tmp_path / "go on"
    first, address = application(
        site,
        url,
        f"""
        once = jobs.wait_for.options(repeatable=False)
        for _ in range(3):
            d.enqueue(once, {str(go_on)!r}, {str(began)!r})
        """,
    )
    site.node("one", address)
    wait_for(lambda: len(lines(began)) == 2, "both slots at work")
    first.kill_group()
    first.end()
    second = site.distributor(address, store=url)
    handles = [second.handle(job.id) for job in second.jobs]
    go_on.touch()
    *lost, waiting = sorted(handles, key=lambda handle: handle.id)
    for handle in lost:
        with pytest.raises(JobFailed, match=r"WorkerLost.*not repeatable.*died"):
            handle.result(FOREVER)
    assert waiting.result(FOREVER) == "seen"
    assert len(lines(began)) == 3
