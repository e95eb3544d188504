"""A transaction that is undone while its process lives: what the second store was told at once is put right."""

import pytest

import penstock
from penstock.clock import now
from penstock.errors import StoreBusy
from penstock.states import SliceState, State, SubState
from penstock.store import open_store


class Stop(Exception):
    """Raised by the tests themselves."""


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, tmp_path):
    """Jobs in either engine, slices in a SQLite file."""
    jobs = f"sqlite:///{tmp_path / 'jobs.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    penstock.configure(store=jobs, slices_store=f"sqlite:///{tmp_path / 'slices.db'}")
    return open_store(jobs)


def test_what_was_claimed_is_handed_back_without_blame(store, add_batch, claim_slices):
    batch = add_batch([1, 1])
    with pytest.raises(Stop), store.transaction():  # noqa: PT012
        claim_slices(batch)
        raise Stop
    assert store.slice_counts(batch.id) == {SliceState.QUEUED: 2}
    assert [found.id for found in store.candidates(["Lines"], limit=1)] == [batch.id]
    assert [(again.attempt, again.crash_count) for again in claim_slices(batch)] == [(2, 0), (2, 0)]


def test_what_cannot_be_handed_back_now_is_before_the_next_transaction(store, add_batch, claim_slices, monkeypatch):
    batch = add_batch([1])
    slices = store._slices
    with monkeypatch.context() as patch:

        def refuse(*_, **__):
            raise StoreBusy("busy")

        with pytest.raises(Stop), store.transaction():  # noqa: PT012
            claim_slices(batch)
            patch.setattr(slices, "hand_back_slice", refuse)
            raise Stop
    assert store.slice_counts(batch.id) == {SliceState.RUNNING: 1}
    with store.transaction():
        pass
    assert store.slice_counts(batch.id) == {SliceState.QUEUED: 1}


def test_what_was_settled_counts_when_the_turn_is_tried_again(store, add_batch, claim_slices, settled):
    batch = add_batch([1])
    done = settled(batch, claim_slices(batch)[0])
    for _ in range(2):
        with pytest.raises(Stop), store.transaction():  # noqa: PT012
            assert store.settle_slices([done], server="server-1") == []
            raise Stop
    with store.transaction():
        assert store.settle_slices([done], server="server-1") == []
    assert [row.payload for row in store.outputs(batch.id, "main")] == [b"Tout\n"]
    assert store.settle_slices([done], server="server-1") == [done], "settled for good: a second time is refused"


def test_what_somebody_else_settled_is_refused_all_the_same(store, add_batch, claim_slices, settled):
    batch = add_batch([1])
    late = settled(batch, claim_slices(batch)[0])
    store.release_server("server-1")
    with pytest.raises(Stop), store.transaction():  # noqa: PT012
        assert store.settle_slices([late], server="server-1") == [late]
        raise Stop
    assert store.settle_slices([late], server="server-1") == [late]


def test_what_is_appended_is_undone(store, add_batch, make_slices):
    batch = add_batch([1])
    with pytest.raises(Stop), store.transaction():  # noqa: PT012
        store.append_slices(batch.id, "main", make_slices([1]))
        raise Stop
    assert store.slice_counts(batch.id) == {SliceState.QUEUED: 1}


def test_a_job_that_is_destroyed_in_it_keeps_its_slices(store, add_batch):
    batch = add_batch([1])
    with pytest.raises(Stop), store.transaction():  # noqa: PT012
        store.destroy_job(batch.id)
        raise Stop
    assert store.slice_counts(batch.id) == {SliceState.QUEUED: 1}
    with store.transaction():
        store.destroy_job(batch.id)
    assert list(store.slice_owners()) == []


def test_of_a_job_that_ended_before_its_server_could_say_so_the_next_server_hears(
    store, add_batch, claim_slices, settled
):
    batch = add_batch([1])
    (claimed,) = claim_slices(batch)
    assert claim_slices(batch) == []
    assert store.candidates(["Lines"], limit=1) == []
    store.settle_slices([settled(batch, claimed)], server="server-1")  # And there it dies.
    store.release_server("server-1")
    assert [found.id for found in store.candidates(["Lines"], limit=1)] == [batch.id]


def test_an_id_that_is_used_again_finds_nothing_of_the_job_before(store, add_batch, new_row):
    batch = add_batch([1])
    store._jobs.destroy_job(batch.id)  # And there it dies, before the slices went.
    fresh = new_row("Lines", batch=True)
    fresh.id = batch.id
    store.insert_jobs([fresh])
    assert store.slice_counts(batch.id) == {}


def test_a_paused_job_does_not_become_a_candidate_by_what_comes_back(store, add_batch, claim_slices):
    batch = add_batch([1])
    (claimed,) = claim_slices(batch)
    store.update_job(batch.id, {"state": State.PAUSED, "sub_state": SubState.PROCESSING})
    store.hand_back_slice(batch.id, claimed, crashed=False)
    assert store.candidates(["Lines"], limit=1) == []
    store.update_job(batch.id, {"state": State.RUNNING}, expect={"state": State.PAUSED})
    assert [found.id for found in store.candidates(["Lines"], limit=1)] == [batch.id]
    assert store.next_due() is None or store.next_due() > now()
