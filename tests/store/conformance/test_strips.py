"""What is in the slices of a job, told in few parts however many they are, on every engine."""

from penstock.states import SliceState
from penstock.store.rows import StripPart


def test_a_strip_tells_of_each_run_what_failed_what_waits_and_what_runs(store, add_batch, claim_slices, settled):
    job = add_batch([1] * 10)
    one, two, three, _ = claim_slices(job, limit=4)
    store.settle_slices([settled(job, one), settled(job, two, done=0, exception="{}", output=None)], server="server-1")
    store.settle_slices([settled(job, three)], server="server-1")
    assert store.slice_strip(job.id, 5) == [
        StripPart(1, 2, 2, None, 0),
        StripPart(3, 4, None, None, 1),
        StripPart(5, 6, None, 5, 0),
        StripPart(7, 8, None, 7, 0),
        StripPart(9, 10, None, 9, 0),
    ]
    assert store.slice_strip(job.id, 4)[-1] == StripPart(10, 10, None, 10, 0)
    assert len(store.slice_strip(job.id, 100)) == 10
    assert store.slice_counts_up_to(job.id, 100) == {
        SliceState.QUEUED: 6,
        SliceState.RUNNING: 1,
        SliceState.FAILED: 1,
    }
    assert store.slice_counts_up_to(job.id, 3)[SliceState.QUEUED] == 3


def test_a_job_without_slices_has_no_strip(store, add_job):
    assert store.slice_strip(add_job().id, 10) == []


def test_of_failed_slices_those_named_are_queued_again(store, add_batch, claim_slices, settled):
    job = add_batch([1] * 4)
    claimed = claim_slices(job)
    store.settle_slices([settled(job, it, done=0, exception="{}", output=None) for it in claimed], server="server-1")
    ids = [row.slice_id for row in store.failed_slices(job.id)]
    assert store.retry_slices(job.id, only=[]) == 0
    assert store.retry_slices(job.id, only=[ids[1], ids[3], 10**9]) == 2
    assert [row.slice_id for row in store.failed_slices(job.id)] == [ids[0], ids[2]]
