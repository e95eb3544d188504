"""Throttle groups, conditions of servers, and dependencies: what a claim is offered, and what it is told first."""

from datetime import timedelta

import pytest

from penstock.clock import now
from penstock.errors import InvalidQuery
from penstock.query import Filter
from penstock.states import State, SubState
from penstock.store.rows import JobSettlement


def ids(rows):
    return [row.id for row in rows]


class TestWaitingGroups:
    def test_each_pair_of_kind_and_group_with_work_is_named_once(self, store, add_job):
        for kind, group in (("A", "x"), ("A", "y"), ("B", "x"), ("A", "x"), ("A", None)):
            add_job(kind, throttle_group=group)
        assert sorted(store.waiting_groups(["A", "B"])) == [("A", "x"), ("A", "y"), ("B", "x")]

    def test_groups_of_other_kinds_are_not_named(self, store, add_job):
        add_job("A", throttle_group="x")
        assert store.waiting_groups(["B"]) == []
        assert store.waiting_groups([]) == []

    @pytest.mark.parametrize(
        "columns",
        [{"state": state} for state in State if state is not State.QUEUED]
        + [{"run_at": timedelta(seconds=1)}, {"held_until": timedelta(seconds=1)}, {"draft": True, "uploader": "u"}],
        ids=lambda columns: next(iter(columns.values())) if "state" in columns else next(iter(columns)),
    )
    def test_a_group_without_claimable_work_is_not_named(self, store, add_job, clock, columns):
        moments = {name: clock.now() + value for name, value in columns.items() if isinstance(value, timedelta)}
        add_job("A", throttle_group="x", **{**columns, **moments})
        assert store.waiting_groups(["A"]) == []

    def test_a_group_is_named_as_long_as_it_has_work(self, store, add_job):
        jobs = [add_job("A", throttle_group="x") for _ in range(2)]
        for job in jobs:
            assert store.waiting_groups(["A"]) == [("A", "x")]
            store.claim_jobs([job], server="s", now=now())
        assert store.waiting_groups(["A"]) == []
        store.hand_back_job(jobs[0].id, 1, crashed=False)
        assert store.waiting_groups(["A"]) == [("A", "x")]

    @pytest.mark.parametrize("group", ["'", '"; DROP TABLE jobs; --', " ", "größe 東京", "a\nb", "%", "x" * 500])
    def test_any_text_is_a_group(self, store, add_job, group):
        job, _ = add_job("A", throttle_group=group), add_job("A", throttle_group="other")
        assert sorted(store.waiting_groups(["A"])) == sorted([("A", group), ("A", "other")])
        assert ids(store.candidates([], groups=[("A", group)], limit=9)) == [job.id]

    def test_a_job_whose_group_is_edited_is_of_the_new_one(self, store, add_job):
        job = add_job("A", throttle_group="x")
        store.update_job(job.id, {"throttle_group": "y"})
        assert store.waiting_groups(["A"]) == [("A", "y")]
        store.update_job(job.id, {"throttle_group": None})
        assert store.waiting_groups(["A"]) == []
        assert ids(store.candidates(["A"], limit=9)) == [job.id]


class TestCandidatesOfGroups:
    def test_a_kind_alone_means_its_jobs_without_a_group(self, store, add_job):
        free, _ = add_job("A"), add_job("A", throttle_group="x")
        assert ids(store.candidates(["A"], limit=9)) == [free.id]

    def test_a_pair_means_the_jobs_of_that_kind_in_that_group(self, store, add_job):
        wanted, *_ = (add_job(kind, throttle_group=group) for kind, group in ("Ax", "Ay", "Bx", "By"))
        assert ids(store.candidates([], groups=[("A", "x")], limit=9)) == [wanted.id]

    def test_order_is_priority_then_id_across_kinds_and_groups(self, store, add_job):
        late = add_job("A", priority=60)
        third = add_job("A", throttle_group="x")
        fourth = add_job("B")
        first = add_job("B", throttle_group="y", priority=1)
        second = add_job("A", throttle_group="y", priority=49)
        found = store.candidates(["A", "B"], groups=[("A", "x"), ("A", "y"), ("B", "y")], limit=9)
        assert ids(found) == [job.id for job in (first, second, third, fourth, late)]

    def test_limit_keeps_the_most_urgent_of_all(self, store, add_job):
        jobs = [add_job("A", throttle_group=("x", "y", None)[n % 3], priority=20 - n) for n in range(9)]
        found = store.candidates(["A"], groups=[("A", "x"), ("A", "y")], limit=4)
        assert ids(found) == [job.id for job in reversed(jobs[5:])]

    def test_what_is_told_of_a_candidate_is_what_is_stored(self, store, add_job):
        job = add_job("A", throttle_group="x", priority=3, fields='{"a":1}', unique_key="k")
        assert store.candidates([], groups=[("A", "x")], limit=9) == [store.job(job.id)]

    def test_a_batch_job_of_a_group_that_runs_is_offered_for_its_slices(self, store, add_batch):
        job = add_batch(throttle_group="x")
        assert store.candidates(["Lines"], limit=9) == []
        assert ids(store.candidates([], groups=[("Lines", "x")], limit=9)) == [job.id]
        assert store.waiting_groups(["Lines"]) == [("Lines", "x")]


class TestConditions:
    @pytest.fixture
    def cities(self, add_job):
        """Jobs of three cities and one of none, each without and with a group."""
        return {
            (city, group): add_job(
                "A", throttle_group=group, fields="{}" if city is None else f'{{"city": "{city}", "size": {len(city)}}}'
            ).id
            for city in ("Ulm", "Bonn", "Köln", None)
            for group in (None, "x")
        }

    @pytest.mark.parametrize(
        ("filters", "wanted"),
        [
            ([], ["Ulm", "Bonn", "Köln", None]),
            ([Filter("city", "eq", "Bonn")], ["Bonn"]),
            ([Filter("city", "eq", None)], [None]),
            ([Filter("city", "ne", "Bonn")], ["Ulm", "Köln", None]),
            ([Filter("city", "in", ("Ulm", "Köln"))], ["Ulm", "Köln"]),
            ([Filter("city", "contains", "n")], ["Bonn", "Köln"]),
            ([Filter("city", "contains", "n"), Filter("size", "gt", 3), Filter("city", "ne", "Bonn")], ["Köln"]),
            ([Filter("city", "eq", "'; DROP TABLE jobs; --")], []),
        ],
    )
    def test_only_jobs_that_meet_all_of_them_are_offered_with_and_without_a_group(self, store, cities, filters, wanted):
        found = store.candidates(["A"], groups=[("A", "x")], where=filters, limit=99)
        assert ids(found) == sorted(cities[city, group] for city in wanted for group in (None, "x"))

    def test_they_may_ask_for_columns(self, store, add_job):
        jobs = [add_job("A", priority=priority) for priority in (10, 30, 20)]
        where = [Filter("priority", "ge", 20)]
        assert ids(store.candidates(["A"], where=where, limit=9)) == [jobs[2].id, jobs[1].id]

    def test_the_limit_counts_what_meets_them(self, store, add_job):
        jobs = [add_job("A", fields=f'{{"odd": {n % 2}}}') for n in range(20)]
        found = store.candidates(["A"], where=[Filter("odd", "eq", 1)], limit=3)
        assert ids(found) == [jobs[n].id for n in (1, 3, 5)]

    def test_a_field_named_like_sql_is_refused(self, store, add_job):
        add_job("A")
        with pytest.raises(InvalidQuery, match="no name of a field"):
            store.candidates(["A"], where=[Filter("x'); DROP TABLE jobs; --", "eq", 1)], limit=9)


class TestAnyRunning:
    def test_the_first_of_the_kinds_of_which_a_job_runs_is_named(self, store, add_job):
        for kind in "AB":
            store.claim_jobs([add_job(kind)], server="s", now=now())
        add_job("C")
        assert store.any_running(["C", "B", "A"]) == "B"
        assert store.any_running(["A", "B"]) == "A"
        assert store.any_running(["C"]) is None
        assert store.any_running([]) is None

    @pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
    def test_a_job_that_does_not_run_is_not_running(self, store, add_job, state):
        (row,) = store.claim_jobs([add_job("A")], server="s", now=now())
        assert store.any_running(["A"]) == "A"
        store.settle_jobs([JobSettlement(row.id, 1, {"state": state, "server": None, "worker": None})])
        assert store.any_running(["A"]) is None

    def test_a_settled_and_removed_job_is_not_running(self, store, add_job):
        (row,) = store.claim_jobs([add_job("A")], server="s", now=now())
        store.settle_jobs([JobSettlement(row.id, 1, None)])
        assert store.any_running(["A"]) is None

    @pytest.mark.parametrize("sub_state", list(SubState))
    def test_a_batch_job_runs_from_its_start_to_its_end_whoever_holds_it(self, store, add_batch, sub_state):
        job = add_batch(started=False)
        assert store.any_running(["Lines"]) is None
        store.start_batch(job.id, sub_state=SubState.BEFORE, server="s", now=now())
        store.update_job(job.id, {"sub_state": sub_state, "server": None})
        assert store.any_running(["Lines"]) == "Lines"
        store.update_job(job.id, {"state": State.COMPLETED, "sub_state": None})
        assert store.any_running(["Lines"]) is None

    def test_a_claim_sees_what_it_has_taken_itself(self, store, add_job):
        with store.transaction():
            store.claim_jobs([add_job("A")], server="s", now=now())
            assert store.any_running(["A"]) == "A"
