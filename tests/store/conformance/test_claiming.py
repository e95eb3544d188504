"""Claims: which work is offered, in which order, and to whom."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from penstock.clock import now
from penstock.states import State, SubState


@pytest.fixture
def offered(store):
    """Return the ids that a server would be offered."""

    def ids(*kinds, limit=100, only=None):
        found = store.candidates(kinds or ("Copy",), limit=limit, only=only)
        return [candidate.id for candidate in found]

    return ids


class TestCandidates:
    def test_order_is_priority_then_id_across_kinds(self, add_job, offered):
        late = add_job("A", priority=60)
        second = add_job("B", priority=50)
        third = add_job("A", priority=50)
        first = add_job("B", priority=1)
        assert offered("A", "B") == [first.id, second.id, third.id, late.id]

    def test_the_order_of_kinds_named_does_not_matter(self, add_job, offered):
        for kind in "ABCA":
            add_job(kind)
        assert offered("A", "B", "C") == offered("C", "B", "A")

    def test_other_kinds_are_not_offered(self, add_job, offered):
        add_job("B")
        assert offered("A") == []

    def test_without_kinds_nothing_is_offered(self, store, add_job):
        add_job()
        assert store.candidates([], limit=10) == []

    def test_limit_keeps_the_most_urgent(self, add_job, offered):
        jobs = [add_job("AB"[n % 2], priority=10 - n) for n in range(6)]
        assert offered("A", "B", limit=2) == [jobs[5].id, jobs[4].id]

    def test_only_narrows_to_one_job_of_a_known_kind(self, add_job, offered):
        wanted, other = add_job("A"), add_job("A")
        assert offered("A", only=other.id) == [other.id]
        assert offered("B", only=wanted.id) == []

    @pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
    def test_regular_jobs_that_are_not_queued_are_not_offered(self, store, add_job, offered, state):
        add_job(state=state)
        moved = add_job()
        store.update_job(moved.id, {"state": state})
        assert offered() == []

    def test_a_changed_priority_counts_at_once(self, store, add_job, offered):
        first, second = add_job(), add_job()
        store.update_job(second.id, {"priority": 1})
        assert offered() == [second.id, first.id]

    def test_what_is_told_of_a_candidate_is_what_is_stored(self, store, add_job, add_batch):
        regular, batch = add_job(priority=3), add_batch()
        found = store.candidates(["Copy", "Lines"], limit=10)
        assert found == [store.job(regular.id), store.job(batch.id)]


class TestDueTimes:
    def test_a_scheduled_job_is_offered_once_its_time_has_come(self, store, add_job, offered, clock):
        job = add_job(run_at=clock.now() + timedelta(seconds=10))
        store.release_due_jobs(clock.now())
        assert offered() == []
        assert store.next_due() == job.run_at
        clock.advance(10)
        store.release_due_jobs(clock.now())
        assert offered() == [job.id]
        assert store.next_due() is None

    def test_next_due_is_the_earliest(self, store, add_job, clock):
        times = [clock.now() + timedelta(seconds=s) for s in (30, 10, 20)]
        for moment in times:
            add_job(run_at=moment)
        assert store.next_due() == times[1]

    def test_a_time_in_the_past_is_due_at_once(self, add_job, offered, clock):
        job = add_job(run_at=clock.now() - timedelta(days=1))
        assert offered() == [job.id]

    def test_a_job_that_is_put_off_is_no_longer_offered(self, store, add_job, offered, clock):
        job = add_job()
        store.update_job(job.id, {"run_at": clock.now() + timedelta(seconds=5)})
        assert offered() == []
        store.update_job(job.id, {"run_at": None})
        assert offered() == [job.id]

    def test_a_paused_scheduled_job_is_not_due(self, store, add_job, clock):
        add_job(state=State.PAUSED, run_at=clock.now() + timedelta(seconds=1))
        clock.advance(2)
        store.release_due_jobs(clock.now())
        assert store.candidates(["Copy"], limit=10) == []

    def test_a_queued_job_past_its_expiry_is_flagged(self, store, add_job, clock):
        add_job(expires_at=clock.now() + timedelta(seconds=5))
        assert [job.is_expired(clock.now()) for job in store.candidates(["Copy"], limit=10)] == [False]
        clock.advance(5)
        assert [job.is_expired(clock.now()) for job in store.candidates(["Copy"], limit=10)] == [True]

    def test_a_running_batch_job_past_its_expiry_is_not_flagged(self, store, add_batch, clock):
        job = add_batch(expires_at=clock.now() + timedelta(seconds=5))
        clock.advance(10)
        found = store.candidates(["Lines"], limit=10, only=job.id)
        assert [found_job.is_expired(clock.now()) for found_job in found] == [False]


class TestClaimingJobs:
    def test_a_claimed_job_runs_at_its_next_attempt_for_this_server(self, store, add_job, clock):
        job = add_job()
        (claimed,) = store.claim_jobs([job], server="s1", now=clock.now())
        assert (claimed.state, claimed.attempt, claimed.server) == (State.RUNNING, 1, "s1")
        assert claimed.started_at == clock.now()
        assert store.job(job.id) == claimed

    def test_a_claimed_job_is_not_offered_or_claimed_again(self, store, add_job, offered):
        job = add_job()
        store.claim_jobs([job], server="s1", now=now())
        assert store.claim_jobs([job], server="s2", now=now()) == []
        assert offered() == []
        assert store.job(job.id).server == "s1"

    def test_those_that_were_won_come_in_the_order_asked(self, store, add_job):
        first, lost, second = add_job(), add_job(state=State.PAUSED), add_job()
        won = store.claim_jobs([second, lost, first], server="s", now=now())
        assert [row.id for row in won] == [second.id, first.id]

    def test_a_row_read_before_others_claimed_it_and_handed_it_back_never_yields_an_old_attempt(self, store, add_job):
        job = add_job()
        (stale,) = store.candidates(["Copy"], limit=1)
        store.claim_jobs(store.candidates(["Copy"], limit=1), server="other", now=now())
        assert store.hand_back_job(job.id, 1, crashed=False) == 0
        for won in store.claim_jobs([stale], server="s", now=now()):
            assert won == store.job(job.id)

    def test_two_claimers_never_get_the_same_job(self, store, new_row):
        rows = [new_row() for _ in range(120)]
        store.insert_jobs(rows)
        start = threading.Barrier(4)

        def take(server):
            start.wait()
            taken = []
            while True:
                found = store.candidates(["Copy"], limit=7)
                if not found:
                    return taken
                won = store.claim_jobs(found, server=server, now=now())
                taken += [row.id for row in won]

        with ThreadPoolExecutor(4) as threads:
            taken = [job_id for found in threads.map(take, "abcd") for job_id in found]
        assert sorted(taken) == [row.id for row in rows]


class TestStartingBatches:
    def test_with_a_hook_first_the_job_is_held_by_the_server_and_offers_nothing(self, store, add_batch, offered, clock):
        job = add_batch(started=False)
        row = store.start_batch(job.id, sub_state=SubState.BEFORE, server="s1", now=clock.now())
        assert (row.state, row.sub_state, row.server, row.attempt) == (State.RUNNING, SubState.BEFORE, "s1", 1)
        assert row.started_at == clock.now()
        assert offered("Lines") == []

    def test_without_a_hook_the_job_is_held_by_nobody_and_offers_slices(self, store, add_batch, offered):
        job = add_batch(started=False)
        row = store.start_batch(job.id, sub_state=SubState.PROCESSING, server="s1", now=now())
        assert (row.sub_state, row.server) == (SubState.PROCESSING, None)
        assert offered("Lines") == [job.id]

    def test_only_a_queued_job_starts(self, store, add_batch):
        job = add_batch()
        assert store.start_batch(job.id, sub_state=SubState.BEFORE, server="s", now=now()) is None


class TestClaimingSlices:
    def test_slices_come_in_the_order_of_their_numbers_with_their_payloads(self, add_batch, claim_slices):
        job = add_batch([2, 3, 1])
        first, second = claim_slices(job, limit=2)
        (third,) = claim_slices(job, limit=2)
        assert [s.number for s in (first, second, third)] == [1, 2, 3]
        assert [s.first_record for s in (first, second, third)] == [1, 3, 6]
        assert second.payload == b"Tslice 2\n" * 3
        assert (second.attempt, second.record_count, second.done, second.crash_count) == (1, 3, 0, 0)

    def test_bytes_are_bounded_but_one_slice_is_always_given(self, store, add_batch):
        job = add_batch([1] * 5)
        size = len(b"Tslice 1\n")

        def claim(limit):
            return len(store.claim_slices(job.id, server="s", limit=9, max_bytes=limit))

        assert claim(1) == 1
        assert claim(2 * size) == 2
        assert claim(3 * size - 1) == 2

    def test_a_job_without_queued_slices_is_no_candidate_until_it_has_some_again(
        self, store, add_batch, claim_slices, offered, make_slices
    ):
        job = add_batch([1])
        claim_slices(job)
        assert claim_slices(job) == []
        assert offered("Lines") == []
        store.append_slices(job.id, "main", make_slices([1]))
        assert offered("Lines") == [job.id]
        assert [s.number for s in claim_slices(job)] == [2]

    def test_a_paused_batch_job_offers_nothing_and_resumed_offers_again(self, store, add_batch, offered):
        job = add_batch()
        store.update_job(job.id, {"state": State.PAUSED})
        assert offered("Lines") == []
        store.update_job(job.id, {"state": State.RUNNING})
        assert offered("Lines") == [job.id]

    def test_two_claimers_never_get_the_same_slice(self, store, add_batch):
        job = add_batch([1] * 120)
        start = threading.Barrier(3)

        def take(server):
            start.wait()
            taken = []
            while found := store.claim_slices(job.id, server=server, limit=5, max_bytes=1 << 20):
                taken += [claimed.number for claimed in found]
            return taken

        with ThreadPoolExecutor(3) as threads:
            numbers = [number for found in threads.map(take, "abc") for number in found]
        assert sorted(numbers) == list(range(1, 121))

    def test_a_claim_of_many_slices_leaves_payloads_untouched(self, store, add_batch, claim_slices):
        job = add_batch([1, 1])
        before = [claimed.payload for claimed in claim_slices(job)]
        store.release_server("server-1")
        assert [claimed.payload for claimed in claim_slices(job)] == before
        assert store.accounts(job.id).missing_payloads == 0


def test_standings_tell_state_and_sub_state_of_the_jobs_that_exist(store, add_job, add_batch, new_row):
    regular, batch, never = add_job(), add_batch(), new_row()
    assert store.job_standings([regular.id, batch.id, never.id]) == {
        regular.id: (State.QUEUED, None),
        batch.id: (State.RUNNING, SubState.PROCESSING),
    }
    assert store.job_standings([]) == {}
