"""Work that comes back: handed back by a server, or released when the server is dead."""

import pytest

from penstock.clock import now
from penstock.states import SliceState, State, SubState
from penstock.store.rows import ServerRow


@pytest.fixture
def server_row():
    """Return a server's row."""

    def make(name="server-1"):
        return ServerRow(name, "host", 1, "running", now(), 0, 2, 10)

    return make


class TestJobsHandedBack:
    def test_it_is_queued_again_as_new_but_keeps_its_attempt(self, store, add_job):
        job = add_job()
        store.claim_jobs([job], server="s", now=now())
        assert store.hand_back_job(job.id, 1, crashed=False) == 0
        after = store.job(job.id)
        assert (after.state, after.server, after.started_at, after.attempt) == (State.QUEUED, None, None, 1)
        (again,) = store.claim_jobs(store.candidates(["Copy"], limit=1), server="s", now=now())
        assert again.attempt == 2

    def test_a_crash_is_counted_and_the_count_told(self, store, add_job):
        job = add_job()
        for crashes in (1, 2, 3):
            store.claim_jobs(store.candidates(["Copy"], limit=1), server="s", now=now())
            assert store.hand_back_job(job.id, crashes, crashed=True) == crashes
        assert store.job(job.id).crash_count == 3

    def test_another_attempt_or_state_is_none_and_changes_nothing(self, store, add_job):
        job = add_job()
        assert store.hand_back_job(job.id, 0, crashed=True) is None
        store.claim_jobs(store.candidates(["Copy"], limit=1), server="s", now=now())
        before = store.job(job.id)
        assert store.hand_back_job(job.id, 2, crashed=True) is None
        assert store.job(job.id) == before

    def test_a_batch_job_in_before_batch_starts_afresh(self, store, add_batch):
        job = add_batch(started=False)
        store.start_batch(job.id, sub_state=SubState.BEFORE, server="s", now=now())
        assert store.hand_back_job(job.id, 1, crashed=False) == 0
        after = store.job(job.id)
        assert (after.state, after.sub_state, after.started_at) == (State.QUEUED, None, None)

    def test_a_batch_job_in_after_batch_goes_back_to_processing(self, store, add_batch):
        job = add_batch([])
        store.update_job(job.id, {"sub_state": SubState.AFTER, "server": "s"})
        assert store.hand_back_job(job.id, 1, crashed=True) == 1
        after = store.job(job.id)
        assert (after.state, after.sub_state, after.server) == (State.RUNNING, SubState.PROCESSING, None)
        assert [found.id for found in store.candidates(["Lines"], limit=1)] == [job.id]

    def test_a_batch_job_in_its_slices_is_held_by_nobody(self, store, add_batch):
        job = add_batch()
        assert store.hand_back_job(job.id, 1, crashed=True) is None
        assert store.job(job.id).crash_count == 0


class TestSlicesHandedBack:
    def test_it_is_queued_again_where_it_was(self, add_batch, claim_slices, store):
        job = add_batch([1, 1])
        first, _ = claim_slices(job)
        assert claim_slices(job) == []
        assert store.hand_back_slice(job.id, first, crashed=False) == 0
        assert [found.id for found in store.candidates(["Lines"], limit=1)] == [job.id]
        (again,) = claim_slices(job)
        assert (again.number, again.attempt, again.crash_count) == (1, 2, 0)

    def test_a_crash_is_counted_and_told_at_the_next_claim(self, store, add_batch, claim_slices):
        job = add_batch([1])
        for crashes in (1, 2):
            assert store.hand_back_slice(job.id, claim_slices(job)[0], crashed=True) == crashes
        assert claim_slices(job)[0].crash_count == 2

    def test_an_older_attempt_is_none(self, store, add_batch, claim_slices):
        job = add_batch([1])
        (old,) = claim_slices(job)
        store.hand_back_slice(job.id, old, crashed=False)
        (new,) = claim_slices(job)
        assert store.hand_back_slice(job.id, old, crashed=True) is None
        assert store.slice_counts(job.id) == {SliceState.RUNNING: 1}
        assert store.hand_back_slice(job.id, new, crashed=False) == 0

    def test_a_retry_forgets_crashes(self, store, add_batch, claim_slices, settled):
        job = add_batch([1])
        store.hand_back_slice(job.id, claim_slices(job)[0], crashed=True)
        failed = settled(job, claim_slices(job)[0], done=0, exception="{}", output=None)
        store.settle_slices([failed], server="server-1")
        store.retry_slices(job.id)
        assert claim_slices(job)[0].crash_count == 0

    def test_a_slice_of_a_paused_job_is_queued_but_the_job_not_offered(self, store, add_batch, claim_slices):
        job = add_batch([1])
        (claimed,) = claim_slices(job)
        store.update_job(job.id, {"state": State.PAUSED})
        assert store.hand_back_slice(job.id, claimed, crashed=False) == 0
        assert store.candidates(["Lines"], limit=1) == []


class TestDeadServers:
    def test_everything_it_held_is_queued_and_only_that(self, store, add_job, add_batch, claim_slices, server_row):
        store.register_server(server_row("server-1"))
        store.register_server(server_row("server-2"))
        mine, other, batch = add_job(), add_job(), add_batch([1, 1, 1])
        store.claim_jobs([mine], server="server-1", now=now())
        store.claim_jobs([other], server="server-2", now=now())
        claim_slices(batch, limit=2)
        store.claim_slices(batch.id, server="server-2", limit=1, max_bytes=100)
        assert store.release_server("server-1") == 3
        assert store.job(mine.id).state is State.QUEUED
        assert store.job(other.id).state is State.RUNNING
        assert store.slice_counts(batch.id) == {SliceState.QUEUED: 2, SliceState.RUNNING: 1}
        assert [server.name for server in store.servers()] == ["server-2"]

    def test_with_a_heartbeat_only_one_whose_counter_stands_there_is_released(self, store, add_job, server_row):
        store.register_server(server_row("server-1"))
        job = add_job()
        store.claim_jobs([job], server="server-1", now=now())
        store.beat("server-1", "running")
        assert store.release_server("server-1", heartbeat=0) == 0
        assert (store.job(job.id).state, len(store.servers())) == (State.RUNNING, 1)
        assert store.release_server("server-1", heartbeat=1) == 1
        assert (store.job(job.id).state, store.servers()) == (State.QUEUED, [])

    def test_its_late_results_are_refused(self, store, add_batch, claim_slices, settled):
        job = add_batch([1])
        late = settled(job, claim_slices(job)[0])
        store.release_server("server-1")
        assert store.settle_slices([late], server="server-1") == [late]
        claim_slices(job)
        assert store.settle_slices([late], server="server-1") == [late]

    def test_an_exhausted_batch_job_is_offered_again(self, store, add_batch, claim_slices):
        job = add_batch([1])
        claim_slices(job)
        claim_slices(job)
        store.release_server("server-1")
        assert [found.id for found in store.candidates(["Lines"], limit=1)] == [job.id]

    @pytest.mark.parametrize(
        ("sub_state", "state_after", "sub_state_after"),
        [
            (SubState.BEFORE, State.QUEUED, None),
            (SubState.AFTER, State.RUNNING, SubState.PROCESSING),
        ],
    )
    def test_batch_jobs_in_their_hooks_go_back_a_step(self, store, add_batch, sub_state, state_after, sub_state_after):
        job = add_batch([], started=False)
        store.start_batch(job.id, sub_state=SubState.BEFORE, server="server-1", now=now())
        store.update_job(job.id, {"sub_state": sub_state})
        assert store.release_server("server-1") == 1
        after = store.job(job.id)
        assert (after.state, after.sub_state, after.server) == (state_after, sub_state_after, None)

    def test_no_crash_is_counted(self, store, add_job, add_batch, claim_slices):
        job, batch = add_job(), add_batch([1])
        store.claim_jobs([job], server="server-1", now=now())
        claim_slices(batch)
        store.release_server("server-1")
        assert store.job(job.id).crash_count == 0
        assert claim_slices(batch)[0].crash_count == 0

    def test_released_twice_is_nothing(self, store, server_row):
        store.register_server(server_row())
        assert store.release_server("server-1") == 0
        assert store.release_server("server-1") == 0


class TestServers:
    def test_a_server_is_listed_as_it_registered(self, store, server_row):
        row = server_row()
        store.register_server(row)
        assert store.servers() == [row]

    def test_servers_come_oldest_first(self, store, server_row, clock):
        for name in ("b", "a", "c"):
            store.register_server(server_row(name))
            clock.advance(1)
        assert [server.name for server in store.servers()] == ["b", "a", "c"]

    def test_a_beat_raises_the_counter_and_tells_the_state(self, store, server_row):
        store.register_server(server_row())
        assert store.beat("server-1", "stopping")
        assert store.beat("server-1", "stopping")
        (row,) = store.servers()
        assert (row.heartbeat, row.state) == (2, "stopping")

    def test_a_beat_of_a_server_whose_row_is_gone_is_false(self, store, server_row):
        store.register_server(server_row())
        store.release_server("server-1")
        assert not store.beat("server-1", "running")
