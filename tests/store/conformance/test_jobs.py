"""Jobs, one row each: stored, read, changed, found, counted, destroyed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from penstock.errors import InvalidQuery, PenstockError
from penstock.ids import new_id
from penstock.query import Filter, Query
from penstock.states import State, SubState


class TestInserting:
    def test_every_column_comes_back_as_it_went(self, store, new_row):
        moment = datetime(2026, 3, 1, 12, 0, 0, 123_456, UTC)
        row = new_row(
            batch=True,
            state=State.FAILED,
            sub_state=SubState.AFTER,
            priority=7,
            run_at=moment,
            expires_at=moment + timedelta(microseconds=1),
            started_at=moment,
            completed_at=moment,
            server="host:1",
            worker="host:1:2",
            attempt=3,
            failure_count=2,
            crash_count=1,
            destroy_on_complete=False,
            percent_complete=40,
            record_count=1 << 40,
            draft=False,
            uploader="host:9",
            exception='{"class_name": "ValueError"}',
            result=b"\x00\xff",
            fields='{"name": "zoë \\n \\"quoted\\""}',
        )
        store.insert_jobs([row])
        assert store.job(row.id) == row

    def test_one_of_many_comes_back_as_it_went_too(self, store, new_row):
        moment = datetime(2026, 3, 1, 12, 0, 0, 123_456, UTC)
        rows = [
            new_row(run_at=moment, priority=n + 1, record_count=1 << 40, result=b"\x00", fields='{"a": "ö"}', attempt=n)
            for n in range(60)
        ]
        store.insert_jobs(rows)
        assert [store.job(row.id) for row in rows] == rows

    def test_of_many_with_one_that_is_refused_none_is_stored(self, store, new_row):
        rows = [new_row() for _ in range(60)]
        for bad in (rows[7], new_row(state="cancelled")):
            with pytest.raises(PenstockError):
                store.insert_jobs([*rows, bad])
        assert store.count_jobs(Query()) == 0

    def test_a_moment_in_another_zone_is_the_same_moment_in_utc(self, store, add_job):
        local = datetime(2026, 7, 1, 9, 30, tzinfo=ZoneInfo("Europe/Amsterdam"))
        stored = store.job(add_job(run_at=local).id)
        assert stored.run_at == local
        assert stored.run_at.tzinfo is UTC

    def test_many_are_stored_all_or_none(self, store, new_row):
        first, second = new_row(), new_row()
        with pytest.raises(PenstockError):
            store.insert_jobs([first, second, first])
        assert store.job(first.id) is None
        assert store.job(second.id) is None

    def test_a_job_that_is_not_there_is_none(self, store):
        assert store.job(new_id()) is None

    def test_a_row_with_a_state_that_there_is_not_is_refused(self, store, new_row):
        row = new_row(state="cancelled")
        with pytest.raises(PenstockError):
            store.insert_jobs([row])
        assert store.job(row.id) is None


class TestUpdating:
    def test_columns_named_are_overwritten_and_others_kept(self, store, add_job):
        row = add_job(priority=20, fields='{"name": "ada"}')
        assert store.update_job(row.id, {"priority": 30})
        after = store.job(row.id)
        assert (after.priority, after.fields, after.kind) == (30, '{"name": "ada"}', "Copy")

    def test_fields_are_merged_into_the_document_key_by_key(self, store, add_job):
        row = add_job(fields='{"a":1,"b":{"x":1},"c":3}')
        store.update_job(row.id, {"fields": {"b": {"y": 2}, "c": None}})
        assert store.job(row.id).fields == '{"a":1,"b":{"y":2},"c":null}'

    def test_field_values_that_look_like_sql_or_json_are_stored_as_they_are(self, store, add_job):
        row = add_job(fields='{"note":""}')
        nasty = """'); DROP TABLE jobs; -- "quoted" \\ $.a ☃"""
        store.update_job(row.id, {"fields": {"note": nasty}})
        query = Query(filters=(Filter("note", "eq", nasty),))
        assert [found.id for found in store.find_jobs(query)] == [row.id]

    def test_no_changes_of_fields_leave_the_document_as_it_is(self, store, add_job):
        row = add_job(fields='{"a":1}')
        assert store.update_job(row.id, {"fields": {}})
        assert store.job(row.id).fields == '{"a":1}'

    def test_nothing_is_written_when_an_expectation_does_not_hold(self, store, add_job):
        row = add_job()
        assert not store.update_job(row.id, {"priority": 1}, expect={"attempt": 7})
        assert store.job(row.id).priority == 50

    def test_an_expected_none_means_not_set(self, store, add_job):
        row = add_job()
        assert store.update_job(row.id, {"worker": "w"}, expect={"worker": None, "state": State.QUEUED})
        assert not store.update_job(row.id, {"worker": "x"}, expect={"worker": None})
        assert store.job(row.id).worker == "w"

    def test_a_job_that_is_not_there_is_false(self, store):
        assert not store.update_job(new_id(), {"priority": 1})

    def test_a_column_that_there_is_not_is_refused(self, store, add_job):
        row = add_job()
        with pytest.raises(ValueError, match="no_such"):
            store.update_job(row.id, {"no_such = 1; --": 1})
        with pytest.raises(ValueError, match="no_such"):
            store.update_job(row.id, {"priority": 1}, expect={"no_such": 1})


class TestFinding:
    def test_jobs_come_oldest_first(self, store, add_job):
        ids = [add_job().id for _ in range(5)]
        assert [row.id for row in store.find_jobs(Query())] == ids

    def test_newest_first_turns_the_order_round(self, store, add_job):
        ids = [add_job().id for _ in range(5)]
        assert [row.id for row in store.find_jobs(Query(newest_first=True))] == ids[::-1]

    @pytest.mark.parametrize("newest_first", [False, True])
    def test_more_than_a_page_comes_whole_and_each_once(self, store, new_row, newest_first):
        rows = [new_row() for _ in range(450)]
        store.insert_jobs(rows)
        found = [row.id for row in store.find_jobs(Query(newest_first=newest_first))]
        assert found == sorted((row.id for row in rows), reverse=newest_first)

    @pytest.mark.parametrize("limit", [0, 1, 200, 201, 400, 450, 451])
    def test_a_limit_is_kept_across_pages(self, store, new_row, limit):
        store.insert_jobs([new_row() for _ in range(450)])
        assert len(list(store.find_jobs(Query(limit=limit)))) == min(limit, 450)

    def test_jobs_may_be_destroyed_while_they_are_read(self, store, new_row):
        store.insert_jobs([new_row() for _ in range(250)])
        assert sum(store.destroy_job(row.id) for row in store.find_jobs(Query())) == 250
        assert store.count_jobs(Query()) == 0

    def test_kinds_and_states_narrow(self, store, add_job):
        wanted = add_job("A", state=State.FAILED)
        add_job("A")
        add_job("B", state=State.FAILED)
        query = Query(kinds=("A",), states=(State.FAILED, State.ABORTED))
        assert [row.id for row in store.find_jobs(query)] == [wanted.id]

    @pytest.mark.parametrize(
        ("operator", "value", "names"),
        [
            ("eq", 20, {"b"}),
            ("eq", None, {"unset"}),
            ("ne", 20, {"a", "c", "unset"}),
            ("ne", None, {"a", "b", "c"}),
            ("lt", 20, {"a"}),
            ("le", 20, {"a", "b"}),
            ("gt", 20, {"c"}),
            ("ge", 20, {"b", "c"}),
            ("in", (10, 30), {"a", "c"}),
            ("in", (), set()),
        ],
    )
    @pytest.mark.parametrize("name", ["record_count", "size"])
    def test_operators_mean_the_same_on_columns_and_on_fields(self, store, add_job, name, operator, value, names):
        ids = {}
        for label, number in (("a", 10), ("b", 20), ("c", 30), ("unset", None)):
            document = "{}" if number is None else f'{{"size": {number}}}'
            ids[add_job(record_count=number, fields=document).id] = label
        query = Query(filters=(Filter(name, operator, value),))
        assert {ids[row.id] for row in store.find_jobs(query)} == names

    def test_contains_minds_case_and_takes_wildcards_as_they_are(self, store, add_job):
        percent = add_job(fields='{"name": "100% sure"}')
        add_job(fields='{"name": "100 sure"}')
        add_job(fields='{"name": "100% SURE"}')
        query = Query(filters=(Filter("name", "contains", "% sure"),))
        assert [row.id for row in store.find_jobs(query)] == [percent.id]

    def test_a_field_named_like_sql_is_refused(self, store, add_job):
        add_job(fields='{"a": 1}')
        query = Query(filters=(Filter("x'); DROP TABLE jobs; --", "eq", 1),))
        with pytest.raises(InvalidQuery, match="no name of a field"):
            list(store.find_jobs(query))
        assert store.count_jobs(Query()) == 1

    @pytest.mark.parametrize("name", ["created_at", "run_at"])
    def test_moments_compare_exactly(self, store, add_job, name):
        moment = datetime(2026, 3, 1, 12, 0, 0, 1, UTC)
        row = add_job(**{name: moment})
        just_before = moment - timedelta(microseconds=1)
        assert store.count_jobs(Query(filters=(Filter(name, "eq", moment),))) == 1
        assert store.count_jobs(Query(filters=(Filter(name, "gt", just_before),))) == 1
        assert store.count_jobs(Query(filters=(Filter(name, "gt", moment),))) == 0
        assert store.job(row.id) is not None

    def test_ids_compare_as_ids(self, store, add_job):
        first, second = add_job(), add_job()
        assert store.count_jobs(Query(filters=(Filter("id", "in", (first.id, second.id)),))) == 2
        assert [r.id for r in store.find_jobs(Query(filters=(Filter("id", "gt", first.id),)))] == [second.id]


class TestCounting:
    def test_the_limit_is_not_applied(self, store, add_job):
        for _ in range(3):
            add_job()
        assert store.count_jobs(Query(limit=1)) == 3

    def test_by_state_names_only_states_that_have_jobs(self, store, add_job):
        add_job()
        add_job()
        add_job(state=State.FAILED)
        assert store.count_by_state(Query()) == {State.QUEUED: 2, State.FAILED: 1}
        assert store.count_by_state(Query(kinds=("none",))) == {}


class TestDrafts:
    def test_a_draft_is_not_found_counted_or_standing_but_can_be_read(self, store, add_job):
        draft = add_job(batch=True, draft=True, uploader="host:1")
        assert list(store.find_jobs(Query())) == []
        assert store.count_jobs(Query()) == 0
        assert store.count_by_state(Query()) == {}
        assert store.job_standings([draft.id]) == {}
        assert store.job(draft.id).draft

    def test_a_draft_cannot_be_claimed(self, store, add_job, clock):
        draft = add_job(batch=True, draft=True, uploader="host:1")
        assert store.candidates(["Copy"], limit=10) == []
        assert store.candidates(["Copy"], limit=10, only=draft.id) == []

    def test_a_draft_whose_time_comes_stays_a_draft(self, store, add_job, clock):
        add_job(draft=True, uploader="host:1", run_at=clock.now() + timedelta(seconds=5))
        clock.advance(10)
        store.release_due_jobs(clock.now())
        assert store.next_due() is None
        assert store.candidates(["Copy"], limit=10) == []

    def test_not_even_a_claim_of_its_id_takes_a_draft(self, store, add_job, clock):
        regular = add_job(draft=True, uploader="host:1")
        batch = add_job("Lines", batch=True, draft=True, uploader="host:1")
        assert store.claim_jobs([regular], server="s", now=clock.now()) == []
        assert store.start_batch(batch.id, sub_state=SubState.BEFORE, server="s", now=clock.now()) is None
        assert store.job(regular.id).state is State.QUEUED
        assert store.job(batch.id).state is State.QUEUED

    def test_published_it_is_found_and_claimable(self, store, add_job, clock):
        draft = add_job(batch=True, draft=True, uploader="host:1")
        store.update_job(draft.id, {"draft": False, "uploader": None})
        assert store.count_jobs(Query()) == 1
        assert [c.id for c in store.candidates(["Copy"], limit=10)] == [draft.id]

    def test_drafts_with_an_uploader_are_listed_newest_first(self, store, add_job):
        first = add_job(draft=True, uploader="host:1")
        second = add_job(draft=True, uploader="host:1")
        add_job(draft=True)  # Being destroyed.
        add_job()
        assert [row.id for row in store.drafts()] == [second.id, first.id]


class TestDestroying:
    def test_a_job_goes_with_slices_outputs_and_progress(self, store, add_batch, claim_slices, settled, make_slices):
        job, other = add_batch([2, 2, 2]), add_batch([1])
        first, *_ = claim_slices(job, limit=1)
        assert store.settle_slices([settled(job, first)], server="server-1") == []
        assert store.destroy_job(job.id)
        assert store.job(job.id) is None
        assert list(store.outputs(job.id, "main")) == []
        assert store.slice_counts(job.id) == {}
        assert store.accounts(job.id) == (0, 0, 0, 0, 0, {}, 0, 0)
        assert sum(store.slice_counts(other.id).values()) == 1
        assert store.accounts(other.id).missing_payloads == 0

    def test_many_slices_go_whole(self, store, add_batch):
        job = add_batch([1] * 450)
        store.drop_slices(job.id)
        assert store.slice_counts(job.id) == {}
        assert store.job(job.id) is not None

    def test_a_job_that_is_not_there_is_false(self, store, add_job):
        row = add_job()
        assert store.destroy_job(row.id)
        assert not store.destroy_job(row.id)


class TestRemoving:
    def test_jobs_that_are_in_the_state_still_go_and_no_others(self, store, add_job):
        gone, moved = add_job(state=State.COMPLETED), add_job(state=State.FAILED)
        draft, batch = add_job(state=State.COMPLETED, draft=True), add_job(state=State.COMPLETED, batch=True)
        ids = [row.id for row in (gone, moved, draft, batch)]
        assert store.remove_jobs([*ids, new_id()], State.COMPLETED) == 1
        assert [store.job(job_id) is None for job_id in ids] == [True, False, False, False]
        assert store.remove_jobs([], State.COMPLETED) == 0
