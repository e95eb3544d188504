"""What happens when nodes, workers and applications are lost."""

import signal

import pytest
from tests.distributor.conftest import SECRET
from tests.process.lab import wait_for

from penstock import Distributor, JobFailed, config, gather
from penstock.errors import PenstockError
from penstock.service.servers import list_servers
from penstock.states import State
from penstock.store import open_store

FOREVER = 60


def test_all_jobs_are_answered_when_one_of_three_nodes_is_killed_under_load(site):
    d = site.distributor()
    nodes = [site.node(f"n{number}", d) for number in range(3)]
    site.ready(d, "n0", "n1", "n2")
    handles = [d.enqueue(site.where, 0.005) for _ in range(600)]
    wait_for(lambda: sum(handle.done for handle in handles) > 100, "a hundred answers")
    nodes[1].kill_group()
    answers = gather(handles, FOREVER)
    assert set(answers) == {"n0", "n1", "n2"}
    site.ready(d, "n0", "n2")


def test_what_a_killed_worker_was_at_runs_again_on_its_successor(site, tmp_path):
    d = site.distributor()
    site.node("one", d)
    handle = d.enqueue(site.dies, str(tmp_path / "died"))
    assert handle.result(FOREVER) == "second time"


def test_a_job_that_kills_three_workers_fails_with_the_evidence(site):
    d = site.distributor()
    site.node("one", d)
    with pytest.raises(JobFailed, match="WorkerCrashed") as caught:
        d.enqueue(site.dies).result(FOREVER)
    assert "SIGKILL" in caught.value.failure.message


def test_a_job_that_is_not_repeatable_fails_where_its_node_is_lost(site, tmp_path):
    d = site.distributor()
    node = site.node("one", d)
    site.ready(d, "one")
    began, go_on = tmp_path / "began", tmp_path / "go on"
    once = d.enqueue(site.wait_for.options(repeatable=False), str(go_on), str(began))
    again = d.enqueue(site.wait_for, str(go_on), str(began))
    wait_for(lambda: began.exists() and began.read_text() == "started\n" * 2, "both running")
    node.kill_group()
    with pytest.raises(JobFailed, match=r"WorkerLost.*not repeatable"):
        once.result(FOREVER)
    go_on.touch()
    site.node("two", d)
    assert again.result(FOREVER) == "seen"


def test_a_node_told_to_end_finishes_what_runs_and_leaves_the_rest_to_others(site, tmp_path):
    d = site.distributor()
    node = site.node("one", d)
    site.ready(d, "one")
    began, go_on = tmp_path / "began", tmp_path / "go on"
    running = d.enqueue(site.wait_for, str(go_on), str(began))
    wait_for(began.exists, "the job running")
    node.signal(signal.SIGTERM)
    wait_for(lambda: all(one.leaving for one in d.nodes), "the node leaving")
    later = [d.enqueue(site.where) for _ in range(5)]
    assert not any(handle.done for handle in later)
    go_on.touch()
    assert running.result(FOREVER) == "seen"
    assert node.end().code == 0
    assert "is lost" not in node.err
    site.node("two", d)
    assert gather(later, FOREVER) == ["two"] * 5


def test_a_node_finishes_what_it_holds_when_the_application_is_gone_and_finds_the_next_one(site, tmp_path):
    first = site.distributor(grace=0.0)
    address = first.address
    site.node("one", first)
    site.ready(first, "one")
    began, go_on = tmp_path / "began", tmp_path / "go on"
    first.enqueue(site.wait_for, str(go_on), str(began))
    wait_for(began.exists, "the job running")
    first.stop()
    second = site.distributor(address)
    site.ready(second, "one")
    go_on.touch()
    assert second.enqueue(site.where).result(FOREVER) == "one"


def test_jobs_in_a_durable_store_survive_the_application(site, tmp_path):
    url = f"sqlite:///{tmp_path / 'vital.db'}"
    path = tmp_path / "words"
    site.lab.python(
        f"""
        import os, sys
        sys.path.insert(0, ".")
        import {site.name} as jobs
        from penstock import Distributor
        d = Distributor(secret={SECRET!r}, store={url!r}).start()
        for word in "abc":
            d.enqueue(jobs.note, {str(path)!r}, word)
        os._exit(0)
        """
    )
    d = site.distributor(store=url)
    assert [job.kind for job in d.jobs] == ["note"] * 3
    handles = [d.handle(job.id) for job in d.jobs]
    site.node("one", d)
    assert gather(handles, FOREVER) == [None] * 3
    assert sorted(path.read_text().split()) == ["a", "b", "c"]


def test_single_jobs_can_be_durable_where_the_others_are_in_memory(site, tmp_path):
    url = f"sqlite:///{tmp_path / 'vital.db'}"
    first = site.distributor(durable_store=url)
    vital = first.enqueue(site.double.options(durable=True), 4)
    first.enqueue(site.double, 5)
    first.stop()
    second = site.distributor(durable_store=url)
    assert [job.id for job in second.jobs] == [vital.id]
    site.node("one", second)
    assert second.handle(vital.id).result(FOREVER) == 8
    assert second.enqueue(site.double, 1).result(FOREVER) == 2
    assert second.handle(vital.id).state is State.COMPLETED


def test_who_looks_at_a_durable_store_sees_the_nodes_of_the_distributor(site, tmp_path):
    url = f"sqlite:///{tmp_path / 'vital.db'}"
    d = site.distributor(durable_store=url)
    site.node("one", d)
    site.ready(d, "one")

    def told():
        (server,) = list_servers(open_store(url))
        return server["nodes"]

    (node,) = wait_for(told, "a heartbeat that tells of the node")
    (info,) = d.nodes
    assert (node["name"], node["address"], node["leaving"]) == ("one", info.address, False)
    assert (node["slots"], node["workers"]) == (info.slots, info.workers)
    d.stop()
    assert list_servers(open_store(url)) == []


def test_a_node_that_is_restarted_under_its_name_is_taken_once(site):
    d = site.distributor()
    site.node("one", d).kill_group()
    site.node("one", d)
    site.ready(d, "one")
    assert d.enqueue(site.where).result(FOREVER) == "one"


def test_two_nodes_of_one_name_are_refused(site):
    d = site.distributor()
    site.node("one", d)
    site.ready(d, "one")
    second = site.node("one", d)
    wait_for(lambda: "another node is called 'one'" in second.err, "the refusal")
    site.ready(d, "one")


def test_leaving_with_an_exception_does_not_wait(site):
    def leave():
        with Distributor(secret=SECRET) as d:
            d.enqueue(site.double, 1)
            raise KeyError

    with pytest.raises(KeyError):
        leave()


def test_a_distributor_whose_store_was_closed_says_so_once_and_answers_who_waits(site, caplog):
    config.configure(dead_after=1)
    d = site.distributor()
    handle = d.enqueue(site.double, 4)
    (branch,) = d._branches
    branch.store.close()
    with pytest.raises(JobFailed, match="goes no further"):
        handle.result(FOREVER)
    wait_for(lambda: not branch.dispatcher._thread.is_alive(), "the end of its turns")
    assert [record.message for record in caplog.records if "goes no further" in record.message] == [branch._broken]
    with pytest.raises(PenstockError, match=r"goes no further.*start it again"):
        d.enqueue(site.double, 4)
    d.stop()
