"""Heavy jobs: each has a process of its own while it runs, beside the threads and event loops of the same node."""

import pytest
from tests.process.lab import wait_for

from penstock import gather
from penstock.states import State

FOREVER = 60


def begun(path):
    return len(path.read_text().split()) if path.exists() else 0


def node_with(site, d, heavy):
    site.node("one", d, options=("--heavy", str(heavy)))
    wait_for(lambda: [node.workers for node in d.nodes] == [1 + heavy], "all workers")


@pytest.mark.parametrize("durable", [False, True])
def test_a_loop_a_thread_or_a_process_is_chosen_for_each_job_on_one_node(site, tmp_path, durable):
    d = site.distributor(store=f"sqlite:///{tmp_path / 'vital.db'}" if durable else None)
    node_with(site, d, heavy=1)
    heavy = site.place.options(heavy=True)
    plain = set(gather([d.enqueue(site.place) for _ in range(20)], FOREVER))
    on_loop = set(gather([d.enqueue(site.aplace) for _ in range(20)], FOREVER))
    alone = set(gather([d.enqueue(heavy) for _ in range(20)], FOREVER))
    async_alone = set(gather([d.enqueue(site.aplace.options(heavy=True)) for _ in range(5)], FOREVER))
    assert len(plain) == 1
    assert plain == on_loop
    assert alone == async_alone
    assert alone.isdisjoint(plain)


def test_heavy_jobs_run_one_at_a_time_in_each_process_and_hold_nothing_else_up(site, tmp_path):
    began, go_on = tmp_path / "began", tmp_path / "go on"
    d = site.distributor()
    node_with(site, d, heavy=2)
    heavy = site.place.options(heavy=True, priority=1)
    handles = [d.enqueue(heavy, str(go_on), str(began)) for _ in range(6)]
    wait_for(lambda: begun(began) == 2, "two of them at work")
    assert gather([d.enqueue(site.double, number) for number in range(50)], FOREVER) == [2 * n for n in range(50)]
    assert begun(began) == 2
    assert handles[-1].state is State.QUEUED
    assert handles[-1].waits_for == "waits for a process of its own"
    go_on.touch()
    assert len(set(gather(handles, FOREVER))) == 2


def test_heavy_jobs_take_slots_where_no_process_is_kept_for_them(site):
    d = site.distributor()
    node_with(site, d, heavy=0)
    assert set(gather([d.enqueue(site.place.options(heavy=True)) for _ in range(3)], FOREVER)) == set(
        gather([d.enqueue(site.place)], FOREVER)
    )


def test_a_heavy_job_that_kills_its_process_runs_again_in_the_next_one(site, tmp_path):
    d = site.distributor()
    node_with(site, d, heavy=1)
    assert d.enqueue(site.dies.options(heavy=True), str(tmp_path / "died")).result(FOREVER) == "second time"
