"""Everything is delivered twice: each claim is taken from its server, made again by another, and settled by both."""

import pytest

from penstock.clock import now
from penstock.states import State
from penstock.store.rows import JobSettlement, ServerRow

SLICES = 6


@pytest.fixture
def take_from(store):
    """Take from a server what it holds, as from a dead one."""

    def take(name):
        store.register_server(ServerRow(name, "host", 1, "running", now(), 0, 1, 1))
        store.release_server(name)

    return take


@pytest.mark.parametrize("late_first", [True, False])
def test_of_slices_delivered_twice_each_output_is_stored_once(
    store, add_batch, claim_slices, settled, take_from, late_first
):
    job = add_batch([2] * SLICES)
    for _ in range(SLICES):
        (first,) = claim_slices(job, limit=1)
        take_from("server-1")
        (second,) = store.claim_slices(job.id, server="server-2", limit=1, max_bytes=1000)
        assert (second.number, second.attempt) == (first.number, first.attempt + 1)
        late, counts = settled(job, first, output=b"Tlate\nlate\n"), settled(job, second, output=b"Tin\ntime\n")
        for one, server in ((late, "server-1"), (counts, "server-2"))[:: 1 if late_first else -1]:
            assert store.settle_slices([one], server=server) == ([late] if one is late else [])
    assert [(row.number, row.payload) for row in store.outputs(job.id, "main")] == [
        (number, b"Tin\ntime\n") for number in range(1, SLICES + 1)
    ]
    assert store.progress(job.id).processed == 2 * SLICES
    assert store.slice_counts(job.id) == {}


@pytest.mark.parametrize("late_first", [True, False])
def test_of_a_job_delivered_twice_one_end_counts(store, add_job, take_from, late_first):
    job = add_job()
    (first,) = store.claim_jobs([store.job(job.id)], server="server-1", now=now())
    take_from("server-1")
    (second,) = store.claim_jobs([store.job(job.id)], server="server-2", now=now())
    late = JobSettlement(job.id, first.attempt, {"state": State.FAILED, "server": None})
    counts = JobSettlement(job.id, second.attempt, {"state": State.COMPLETED, "server": None})
    refused = [store.settle_jobs([one]) for one in (late, counts)[:: 1 if late_first else -1]]
    assert [len(each) for each in refused] == ([1, 0] if late_first else [0, 1])
    assert store.job(job.id).state is State.COMPLETED
