"""Queries: what is due, orders, the first and the last, indexes, and jobs changed in bulk."""

from datetime import date, timedelta

import pytest

from penstock import BatchJob, Job, field
from penstock.errors import InvalidQuery, UnknownKind
from penstock.model import kinds
from penstock.states import State

pytestmark = pytest.mark.usefixtures("configured_store")


class Task(Job, kind="queries_more.Task"):
    name: str = ""
    size: int | None = None
    due: date | None = None
    pausable = True
    customer: str = field("", indexed=True)

    def perform(self):
        return None


class Lines(BatchJob, kind="queries_more.Lines"):
    def perform(self, record):
        return record


def names(query):
    return "".join(job.name for job in query)


class TestDue:
    def test_a_job_for_later_is_scheduled_and_one_that_is_due_is_queued_now(self, clock):
        Task.create_many(
            [
                {"name": "a"},
                {"name": "b", "run_at": clock.now() + timedelta(seconds=60)},
                {"name": "c", "run_at": clock.now() - timedelta(seconds=60)},
            ]
        )
        assert (names(Task.query.scheduled), names(Task.query.queued_now), names(Task.query.queued)) == (
            "b",
            "ac",
            "abc",
        )

    def test_at_the_very_moment_it_is_due(self, clock):
        Task.create(name="a", run_at=clock.now() + timedelta(seconds=60))
        clock.advance(59.999999)
        assert (names(Task.query.scheduled), names(Task.query.queued_now)) == ("a", "")
        clock.advance(0.000001)
        assert (names(Task.query.scheduled), names(Task.query.queued_now)) == ("", "a")

    def test_only_queued_jobs_are_one_of_both(self, clock):
        later = clock.now() + timedelta(seconds=60)
        for job in Task.create_many([{"run_at": later}, {}]):
            job.pause()
        assert (Task.query.scheduled.count(), Task.query.queued_now.count()) == (0, 0)

    def test_they_may_be_narrowed_further_and_moved_in_bulk(self, clock):
        later = clock.now() + timedelta(seconds=60)
        Task.create_many([{"name": "a", "run_at": later}, {"name": "b", "run_at": later}, {"name": "c"}])
        assert names(Task.query.scheduled.where(name="b")) == "b"
        assert Task.query.queued_now.pause() == 1
        assert Task.query.scheduled.pause() == 2
        assert Task.query.paused.count() == 3

    def test_counts_of_them_need_no_reading_of_jobs(self, clock):
        Task.create_many([{"run_at": clock.now() + timedelta(seconds=n)} for n in range(-2, 3)])
        assert (Task.query.queued_now.count(), Task.query.scheduled.count()) == (3, 2)
        assert Task.query.queued_now.exists()


class TestOrder:
    @pytest.fixture(autouse=True)
    def _tasks(self, configured_store):
        day = date(2026, 1, 1)
        Task.create_many(
            [
                {"name": "a", "size": 10, "priority": 20, "due": day},
                {"name": "b", "size": 9, "priority": 10},
                {"name": "c", "size": None, "priority": 20, "due": day - timedelta(days=1)},
                {"name": "d", "size": 100, "priority": 10, "due": day + timedelta(days=40)},
            ]
        )

    @pytest.mark.parametrize(
        ("order", "found"),
        [
            (["name"], "abcd"),
            (["-name"], "dcba"),
            (["size"], "cbad"),  # As numbers; what is not set comes first,
            (["-size"], "dabc"),  # or last.
            (["due"], "bcad"),
            (["-due"], "dacb"),
            (["priority"], "bdac"),  # Ties by age.
            (["-priority"], "acbd"),
            (["priority", "-name"], "dbca"),
            (["priority", "-size"], "dbac"),
            (["created_at"], "abcd"),
            (["state", "-id"], "dcba"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else value,
    )
    def test_jobs_come_by_standard_and_own_fields(self, order, found):
        assert names(Task.query.order_by(*order)) == found

    @pytest.mark.parametrize("order", [["name"], ["-size"], ["priority", "-name"], ["due"]], ids=" ".join)
    def test_the_first_is_the_first_and_the_last_the_last_of_that_order(self, order):
        query = Task.query.order_by(*order)
        found = list(query)
        assert query.first().id == found[0].id
        assert query.last().id == found[-1].id

    def test_ties_come_newest_first_where_that_is_asked(self):
        assert names(Task.query.order_by("priority").newest_first()) == "dbca"

    def test_a_limit_holds_in_that_order(self):
        assert names(Task.query.order_by("-size").limit(2)) == "da"

    def test_it_goes_with_conditions_and_states(self):
        Task.query.where(name="d").pause()
        assert names(Task.query.queued.where(priority__le=20).order_by("-name")) == "cba"

    def test_a_new_order_takes_the_place_of_the_old_one(self):
        assert names(Task.query.order_by("-name").order_by("name")) == "abcd"

    def test_no_order_is_that_of_age(self):
        assert names(Task.query.order_by("-name").order_by()) == "abcd"

    @pytest.mark.parametrize("name", ["nobody", "-nobody", "--name", "", "-", "name; DROP TABLE jobs", 'name") --'])
    def test_what_is_no_field_is_refused(self, name):
        with pytest.raises(InvalidQuery, match="has no field"):
            list(Task.query.order_by(name))

    def test_a_bulk_move_follows_it(self):
        assert Task.query.order_by("-size").limit(1).pause() == 1
        assert names(Task.query.paused) == "d"

    def test_a_job_destroyed_while_one_iterates_is_left_out(self):
        found = []
        for job in Task.query.order_by("name"):
            found.append(job.name)
            Task.query.where(name="c").destroy()
        assert found == ["a", "b", "d"]


class TestReading:
    def test_the_first_and_the_last_by_age(self):
        assert (Task.query.first(), Task.query.last()) == (None, None)
        made = Task.create_many([{"name": name} for name in "abc"])
        assert (Task.query.first().id, Task.query.last().id) == (made[0].id, made[-1].id)
        assert Task.query.where(name__ne="c").last().name == "b"
        assert Task.query.limit(2).last().name == "c"

    def test_iterate_reads_what_iterating_does_and_more_than_a_page(self):
        Task.create_many([{"size": n} for n in range(450)])
        assert [job.size for job in Task.query.iterate()] == list(range(450))
        assert [job.size for job in Task.query.order_by("-size").iterate()] == list(range(449, -1, -1))
        assert next(Task.query.iterate()).size == 0

    def test_jobs_moved_while_one_iterates_are_each_read_once(self):
        Task.create_many([{"size": n} for n in range(450)])
        seen = []
        for job in Task.query.queued:
            seen.append(job.size)
            job.abort()
        assert seen == list(range(450))

    def test_nothing_is_read_before_it_is_asked_for(self):
        query = Task.query.where(name="a")
        Task.create(name="a")
        assert query.exists()

    def test_a_query_may_be_used_many_times(self):
        query = Task.query.queued
        assert query.count() == 0
        Task.create()
        assert query.count() == 1
        assert len(list(query)) == len(list(query)) == 1

    def test_states_that_exclude_each_other_are_refused(self):
        with pytest.raises(InvalidQuery, match="no job is both queued and failed"):
            _ = Task.query.queued.failed

    def test_batch_jobs_are_asked_for_by_their_own_columns(self):
        job = Lines()
        job.upload(["a", "b"])
        job.save()
        assert Lines.query.where(record_count__gt=1).first().id == job.id
        assert Job.query.where(batch=True).count() == 1


@pytest.mark.sqlite("plans of SQLite")
class TestIndexed:
    def plan(self, store, condition):
        name = "json_extract(fields, '$.\"customer\"')"
        with store.connections.reading() as connection:
            lines = connection.execute(f"EXPLAIN QUERY PLAN SELECT * FROM jobs WHERE {name} {condition}").fetchall()
        return " ".join(line[-1] for line in lines)

    def test_the_store_has_an_index_once_a_job_of_the_class_is_there(self, configured_store):
        Task.create_many([{"customer": f"c{n}"} for n in range(50)])
        with configured_store.connections.reading() as connection:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
        assert ("jobs_field_customer",) in found

    @pytest.mark.parametrize(
        ("condition", "found"),
        [({"customer": "c7"}, 1), ({"customer__in": ["c1", "c2", "no"]}, 2), ({"customer__gt": "c48"}, 6)],
        ids=str,
    )
    def test_conditions_on_it_read_only_the_jobs_they_find(self, configured_store, monkeypatch, condition, found):
        Task.create_many([{"customer": f"c{n}"} for n in range(50)])
        statements = []
        with configured_store.connections.reading() as connection:
            connection.set_trace_callback(statements.append)
            try:
                assert Task.query.where(**condition).count() == found
                assert len(list(Task.query.where(**condition))) == found
            finally:
                connection.set_trace_callback(None)
            asked = [text for text in statements if "customer" in text]
            assert len(asked) == 2
            for text in asked:
                plan = " ".join(row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall())
                assert "jobs_field_customer" in plan, plan

    def test_a_subclass_has_it_too(self, configured_store):
        class Special(Task):
            shade: str = field("", indexed=True)

        assert Special.indexed_fields() == ["customer", "shade"]
        Special.create()
        with configured_store.connections.reading() as connection:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
        assert {("jobs_field_customer",), ("jobs_field_shade",)} <= set(found)


class TestBulkUpdate:
    def test_all_are_set_and_counted_and_others_stay(self):
        Task.create_many([{"name": name} for name in "abc"])
        assert Task.query.where(name__ne="c").update(size="5", priority=7) == 2
        assert [(job.size, job.priority) for job in Task.query] == [(5, 7), (5, 7), (None, 50)]

    def test_a_wrong_value_changes_the_job_it_meets_in_nothing(self):
        Task.create_many([{}, {}])
        with pytest.raises(ValueError, match="size"):
            Task.query.update(name="new", size="many")
        assert names(Task.query) == ""

    def test_an_unknown_field_is_refused(self):
        Task.create()
        with pytest.raises(ValueError, match="nobody"):
            Task.query.update(nobody=1)

    def test_more_than_a_page_is_changed_whole_though_it_changes_what_was_asked_for(self):
        Task.create_many([{"size": 0} for _ in range(450)])
        assert Task.query.where(size=0).update(size=1) == 450

    def test_jobs_that_have_ended_may_be_changed_too(self):
        Task.create().abort()
        assert Task.query.update(description="why") == 1

    def test_jobs_of_kinds_not_imported_cannot_be_changed_but_moved_and_destroyed(self):
        class Foreign(Job):
            pass

        Foreign.create_many([{}, {}])
        kinds.forget("Foreign")
        with pytest.raises(UnknownKind, match="Foreign"):
            Job.query.update(priority=1)
        assert Job.query.pause() == 2
        assert Job.query.counts() == {State.PAUSED: 2}
        assert Job.query.destroy() == 2

    def test_a_job_that_goes_meanwhile_is_not_counted(self):
        class Going(Job):
            name: str = ""

            def before_update(self):
                Going.query.where(name="b").destroy()

        Going.create_many([{"name": name} for name in "abc"])
        assert Going.query.update(priority=1) == 2
        assert names(Going.query) == "ac"
