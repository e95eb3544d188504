"""Jobs found in an order of their fields, those that are due by a moment, and fields that are indexed."""

from datetime import timedelta

import pytest

from penstock.errors import InvalidQuery
from penstock.query import Filter, Query
from penstock.states import State


@pytest.fixture
def found(store):
    """Return the ids that a query finds."""
    return lambda **asked: [row.id for row in store.find_jobs(Query(**asked))]


class TestOrder:
    def test_a_column_orders_upwards_and_with_a_minus_downwards(self, add_job, found):
        ids = {priority: add_job(priority=priority).id for priority in (30, 10, 20)}
        assert found(order=("priority",)) == [ids[10], ids[20], ids[30]]
        assert found(order=("-priority",)) == [ids[30], ids[20], ids[10]]

    def test_a_field_orders_by_its_value_and_not_by_its_text(self, add_job, found):
        ids = {size: add_job(fields=f'{{"size": {size}}}').id for size in (10, 9, 100)}
        assert found(order=("size",)) == [ids[9], ids[10], ids[100]]
        assert found(order=("-size",)) == [ids[100], ids[10], ids[9]]

    def test_what_is_alike_comes_in_the_order_of_creation(self, add_job, found):
        first, urgent, second = add_job(), add_job(priority=1), add_job()
        assert found(order=("priority",)) == [urgent.id, first.id, second.id]
        assert found(order=("priority",), newest_first=True) == [urgent.id, second.id, first.id]
        assert found(order=("-priority",)) == [first.id, second.id, urgent.id]

    def test_the_first_name_counts_most(self, add_job, found):
        ids = {
            (priority, name): add_job(priority=priority, fields=f'{{"name": "{name}"}}').id
            for priority, name in ((2, "a"), (1, "b"), (2, "b"), (1, "a"))
        }
        assert found(order=("priority", "-name")) == [ids[1, "b"], ids[1, "a"], ids[2, "b"], ids[2, "a"]]
        assert found(order=("name", "priority")) == [ids[1, "a"], ids[2, "a"], ids[1, "b"], ids[2, "b"]]

    def test_jobs_that_have_not_the_field_are_found_all_together(self, add_job, found):
        without = [add_job().id, add_job().id]
        ids = [add_job(fields=f'{{"size": {size}}}').id for size in (2, 1)]
        for order in ("size", "-size"):
            listed = found(order=(order,))
            assert [job for job in listed if job in without] == without
            assert listed.index(without[1]) - listed.index(without[0]) == 1
            assert [job for job in listed if job in ids] == (ids if order == "-size" else ids[::-1])

    @pytest.mark.parametrize("limit", [0, 1, 3, 250, 300])
    def test_a_limit_keeps_the_first(self, store, new_row, found, limit):
        rows = [new_row(priority=1 + n * 37 % 100) for n in range(250)]
        store.insert_jobs(rows)
        wanted = [row.id for row in sorted(rows, key=lambda row: (row.priority, row.id))]
        assert found(order=("priority",), limit=limit) == wanted[:limit]

    def test_it_narrows_as_without_an_order(self, add_job, found):
        wanted = [add_job("A", state=State.FAILED, priority=p, fields='{"x": 1}').id for p in (2, 1)]
        add_job("B", state=State.FAILED, fields='{"x": 1}')
        add_job("A", fields='{"x": 1}')
        add_job("A", state=State.FAILED, fields='{"x": 2}')
        add_job("A", state=State.FAILED, fields='{"x": 1}', draft=True, uploader="u")
        query = {"kinds": ("A",), "states": (State.FAILED,), "filters": (Filter("x", "eq", 1),)}
        assert found(order=("priority",), **query) == wanted[::-1]

    def test_jobs_may_be_destroyed_while_they_are_read(self, store, new_row):
        store.insert_jobs([new_row(priority=1 + n % 3) for n in range(250)])
        assert sum(store.destroy_job(row.id) for row in store.find_jobs(Query(order=("priority",)))) == 250
        assert store.count_jobs(Query()) == 0

    def test_a_job_that_goes_while_others_are_read_is_left_out(self, store, add_job):
        jobs = [add_job(priority=priority) for priority in (1, 2, 3)]
        reading = store.find_jobs(Query(order=("priority",)))
        assert next(reading).id == jobs[0].id
        store.destroy_job(jobs[1].id)
        assert [row.id for row in reading] == [jobs[2].id]

    @pytest.mark.parametrize("name", ["x'); DROP TABLE jobs; --", "priority; --", '"', "--priority", "", "-"])
    def test_a_name_like_sql_is_refused(self, store, add_job, name):
        add_job()
        with pytest.raises(InvalidQuery, match="no name of a field"):
            list(store.find_jobs(Query(order=(name,))))
        assert store.count_jobs(Query()) == 1


class TestDueBy:
    @pytest.mark.parametrize(("by", "names"), [(-1, "n"), (0, "nz"), (4, "nz"), (5, "nzf"), (99, "nzf")])
    def test_only_jobs_that_are_due_by_then_are_found_and_counted(self, store, add_job, clock, by, names):
        ids = {
            add_job(run_at=None if seconds is None else clock.now() + timedelta(seconds=seconds)).id: name
            for name, seconds in (("n", None), ("z", 0), ("f", 5))
        }
        query = Query(due_by=clock.now() + timedelta(seconds=by))
        assert "".join(ids[row.id] for row in store.find_jobs(query)) == names
        assert store.count_jobs(query) == len(names)
        assert store.count_by_state(query) == {State.QUEUED: len(names)}

    def test_it_goes_with_order_and_limit(self, add_job, found, clock):
        ids = [add_job(priority=priority).id for priority in (3, 2, 1)]
        add_job(priority=1, run_at=clock.now() + timedelta(seconds=9))
        assert found(due_by=clock.now(), order=("priority",), limit=2) == [ids[2], ids[1]]


class TestIndexedFields:
    FILTERS = (
        Filter("name", "eq", "b"), Filter("name", "ne", "b"), Filter("name", "eq", None), Filter("name", "ne", None),
        Filter("name", "lt", "b"), Filter("name", "ge", "b"), Filter("name", "in", ("a", "c")),
        Filter("name", "in", ()), Filter("name", "contains", "b"),
    )  # fmt: skip

    @pytest.mark.parametrize("filter_", FILTERS, ids=lambda filter_: f"{filter_.operator}-{filter_.value}")
    def test_an_index_changes_no_answer(self, store, add_job, found, filter_):
        for name in ("a", "b", "bb", "c"):
            add_job(fields=f'{{"name": "{name}"}}')
        add_job(fields='{"name": null}')
        add_job(fields="{}")
        before = found(filters=(filter_,)), found(filters=(filter_,), order=("-name",))
        store.index_fields(["name"])
        assert (found(filters=(filter_,)), found(filters=(filter_,), order=("-name",))) == before

    def test_asked_for_again_an_index_stays(self, store, add_job, found):
        job = add_job(fields='{"name": "a"}')
        store.index_fields(["name", "other"])
        store.index_fields(["name"])
        store.index_fields([])
        assert found(filters=(Filter("name", "eq", "a"),)) == [job.id]

    @pytest.mark.parametrize("name", ["größe", "_private", "select", "index", "Name", "名前"])
    def test_any_name_of_a_field_can_be_indexed(self, store, add_job, found, name):
        job = add_job(fields=f'{{"{name}": 1}}')
        add_job(fields=f'{{"{name}": 2}}')
        store.index_fields([name])
        assert found(filters=(Filter(name, "eq", 1),)) == [job.id]

    @pytest.mark.parametrize("name", ["x'); DROP TABLE jobs; --", 'a"b', "a.b", "", "1a", "a b"])
    def test_a_name_like_sql_is_refused(self, store, add_job, name):
        add_job()
        with pytest.raises(InvalidQuery, match="no name of a field"):
            store.index_fields([name])
        assert store.count_jobs(Query()) == 1

    def test_jobs_stored_changed_and_removed_afterwards_are_found_as_they_are(self, store, add_job, found):
        store.index_fields(["name"])
        first, second = add_job(fields='{"name": "a"}'), add_job(fields='{"name": "a"}')
        asked = (Filter("name", "eq", "a"),)
        assert found(filters=asked) == [first.id, second.id]
        store.update_job(first.id, {"fields": {"name": "b"}})
        assert found(filters=asked) == [second.id]
        store.destroy_job(second.id)
        assert found(filters=asked) == []

    def test_values_of_any_type_can_be_indexed(self, store, add_job, found):
        store.index_fields(["value"])
        documents = {1: "1", "1": '"1"', 1.5: "1.5", None: "null", "list": "[1, 2]", "dict": '{"a": 1}'}
        ids = {value: add_job(fields=f'{{"value": {text}}}').id for value, text in documents.items()}
        for value in (1, "1", 1.5):
            assert found(filters=(Filter("value", "eq", value),)) == [ids[value]]
