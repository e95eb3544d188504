"""`SomeJob.query`: which jobs, how many, moved in bulk."""

from datetime import date, timedelta
from enum import StrEnum

import pytest

from penstock import BatchJob, Job, State
from penstock.errors import InvalidQuery

pytestmark = pytest.mark.usefixtures("configured_store")


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Parcel(Job, kind="querying.Parcel"):
    to: str = "ada"
    weight: int = 1
    day: date | None = None
    colour: Colour = Colour.RED
    urgent: bool = False
    tags: list[str] = []  # noqa: RUF012


class Crate(Parcel, kind="querying.Crate"):
    pass


class Other(Job, kind="querying.Other", aliases=["querying.Older"]):
    pass


class Lines(BatchJob, kind="querying.Lines"):
    def perform(self, record):
        return record


def names(query):
    return [job.to for job in query]


class TestWhichJobs:
    def test_a_class_asks_for_its_own_and_its_subclasses_jobs(self):
        parcel, crate = Parcel.create(), Crate.create()
        Other.create()
        assert [job.id for job in Parcel.query] == [parcel.id, crate.id]
        assert [type(job) for job in Parcel.query] == [Parcel, Crate]
        assert [job.id for job in Crate.query] == [crate.id]

    def test_the_base_class_asks_for_all_jobs_and_the_batch_base_for_batch_jobs(self):
        Parcel.create()
        Other.create()
        Lines.create()
        assert Job.query.count() == 3
        assert [type(job) for job in BatchJob.query] == [Lines]

    def test_an_abstract_class_of_a_user_asks_for_its_subclasses_only(self):
        class Common(Job, abstract=True):
            pass

        class Mine(Common):
            pass

        mine = Mine.create()
        Parcel.create()
        assert [job.id for job in Common.query] == [mine.id]

    def test_an_abstract_class_without_subclasses_asks_for_nothing(self):
        class Lonely(Job, abstract=True):
            pass

        Parcel.create()
        assert Lonely.query.count() == 0

    def test_a_class_whose_place_was_taken_by_a_newer_self_asks_for_its_kind_and_nothing_else(self):
        def define():
            class Again(Job):
                pass

            return Again

        older, _ = define(), define()
        Parcel.create()
        mine = older.create()
        assert list(older.query.counts().values()) == [1]
        assert older.query.first().id == mine.id

    def test_jobs_stored_under_an_alias_are_of_the_class(self, configured_store):
        job = Other.create()
        configured_store.update_job(job.id, {"kind": "querying.Older"})
        assert [found.id for found in Other.query] == [job.id]

    def test_jobs_of_kinds_that_were_not_imported_are_counted_by_the_base_class(self, configured_store):
        job = Parcel.create()
        configured_store.update_job(job.id, {"kind": "Elsewhere"})
        assert Job.query.count() == 1
        assert Parcel.query.count() == 0


class TestWhere:
    @pytest.fixture(autouse=True)
    def _parcels(self, configured_store):
        today = date(2026, 3, 1)
        Parcel.create_many(
            [
                {"to": "ada", "weight": 1, "priority": 10, "day": today, "urgent": True},
                {"to": "grace", "weight": 2, "priority": 20, "day": today + timedelta(days=1), "colour": "blue"},
                {"to": "Ada L", "weight": 3, "priority": 30},
            ]
        )

    @pytest.mark.parametrize(
        ("condition", "found"),
        [
            ({"to": "ada"}, ["ada"]),
            ({"to__ne": "ada"}, ["grace", "Ada L"]),
            ({"weight__gt": 1}, ["grace", "Ada L"]),
            ({"weight__ge": 3}, ["Ada L"]),
            ({"weight__lt": 2}, ["ada"]),
            ({"weight__le": 2, "to__contains": "a"}, ["ada", "grace"]),
            ({"to__in": ["grace", "Ada L"]}, ["grace", "Ada L"]),
            ({"to__in": []}, []),
            ({"to__contains": "Ada"}, ["Ada L"]),
            ({"priority__lt": 25}, ["ada", "grace"]),
            ({"state": State.QUEUED, "priority": 30}, ["Ada L"]),
            ({"day": date(2026, 3, 1)}, ["ada"]),
            ({"day__gt": date(2026, 3, 1)}, ["grace"]),
            ({"day": None}, ["Ada L"]),
            ({"day__ne": None}, ["ada", "grace"]),
            ({"colour": Colour.BLUE}, ["grace"]),
            ({"colour__in": ["blue"]}, ["grace"]),
            ({"urgent": True}, ["ada"]),
            ({"urgent": False}, ["grace", "Ada L"]),
            ({"kind": "querying.Parcel", "weight": 1}, ["ada"]),
            ({"server": None, "weight": 1}, ["ada"]),
        ],
        ids=str,
    )
    def test_conditions_mean_what_they_say(self, condition, found):
        assert names(Parcel.query.where(**condition)) == found
        assert Parcel.query.where(**condition).count() == len(found)
        assert Parcel.query.where(**condition).exists() is bool(found)

    def test_conditions_add_up(self):
        assert names(Parcel.query.where(weight__gt=1).where(weight__lt=3)) == ["grace"]

    @pytest.mark.parametrize(
        "condition",
        [{"wait": 1}, {"wait__gt": 1}, {"wait": None}, {"wait__ne": None}, {"wait__contains": "a"}, {"wait__in": []}],
        ids=str,
    )
    def test_an_unknown_field_is_refused_with_the_known_ones(self, condition):
        with pytest.raises(InvalidQuery, match=r"Parcel has no field 'wait'; known: .*colour.*weight"):
            Parcel.query.where(**condition)

    @pytest.mark.parametrize(
        "condition",
        [
            {"weight": "heavy"},
            {"day__gt": "soon"},
            {"colour": "green"},
            {"weight__in": [1, "x"]},
            {"state": "cancelled"},
            {"run_at__lt": "soon"},
        ],
        ids=str,
    )
    def test_a_value_that_does_not_fit_its_field_is_refused(self, condition):
        with pytest.raises(InvalidQuery, match=next(iter(condition)).partition("__")[0]):
            list(Parcel.query.where(**condition))

    def test_a_list_that_no_store_can_compare_is_refused_or_found(self):
        Parcel.create(to="tagged", tags=["a", "b"])
        try:
            found = names(Parcel.query.where(tags=["a", "b"]))
        except InvalidQuery:
            return
        assert found == ["tagged"]


class TestSteps:
    @pytest.fixture(autouse=True)
    def _parcels(self, configured_store):
        Parcel.create_many([{"to": name} for name in "abc"])

    def test_first_and_last(self):
        assert Parcel.query.first().to == "a"
        assert Parcel.query.last().to == "c"
        assert Parcel.query.newest_first().first().to == "c"
        assert Parcel.query.newest_first().last().to == "a"
        assert Crate.query.first() is None
        assert Crate.query.last() is None

    def test_a_limit_bounds_what_is_read_and_not_the_count(self):
        assert names(Parcel.query.limit(2)) == ["a", "b"]
        assert names(Parcel.query.newest_first().limit(2)) == ["c", "b"]
        assert Parcel.query.limit(2).count() == 3

    def test_a_step_leaves_the_query_as_it_was(self):
        query = Parcel.query
        query.where(to="a")
        query.limit(1)
        assert names(query) == ["a", "b", "c"]

    def test_states_by_name(self):
        Parcel.query.where(to="a").first().abort()
        Parcel.query.where(to="b").first().fail("x")
        assert names(Parcel.query.aborted) == ["a"]
        assert names(Parcel.query.failed) == ["b"]
        assert names(Parcel.query.queued) == ["c"]
        assert [query.count() for query in (Parcel.query.running, Parcel.query.paused, Parcel.query.completed)] == [
            0
        ] * 3
        assert names(Parcel.query.in_states("aborted", State.FAILED)) == ["a", "b"]
        assert Parcel.query.counts() == {State.ABORTED: 1, State.FAILED: 1, State.QUEUED: 1}


class TestBulk:
    def test_moves_are_made_where_they_apply_and_counted(self):
        Parcel.create_many([{"to": name} for name in "abcd"])
        Parcel.query.where(to="a").first().fail("x")
        assert Parcel.query.pause() == 3
        assert Parcel.query.retry() == 1
        assert Parcel.query.where(to__in=["b", "c"]).resume() == 2
        assert Parcel.query.counts() == {State.QUEUED: 3, State.PAUSED: 1}
        assert Parcel.query.abort() == 4
        assert Parcel.query.abort() == 0

    def test_what_is_destroyed_is_counted_and_others_stay(self):
        Parcel.create_many([{"weight": n % 2} for n in range(10)])
        assert Parcel.query.where(weight=1).destroy() == 5
        assert Parcel.query.count() == 5

    def test_a_limit_bounds_a_bulk_move(self):
        Parcel.create_many([{} for _ in range(5)])
        assert Parcel.query.limit(2).pause() == 2
        assert Parcel.query.paused.count() == 2

    def test_more_than_a_page_is_moved_whole(self):
        Parcel.create_many([{} for _ in range(450)])
        assert Parcel.query.queued.pause() == 450
