"""Lists of jobs in pages, on every engine: each job once, in its order, whatever the size of the page."""

import json
from datetime import timedelta

import pytest

from penstock import clock as penstock_clock
from penstock.errors import InvalidQuery
from penstock.query import Filter
from penstock.states import State
from penstock.store.browsing import Listing, Wanted

pytestmark = pytest.mark.usefixtures("clock")
ANY = Wanted()


def pages(store, listing, wanted=ANY, *, limit=2, scan=50, **options):
    found, after, count = [], None, 0
    while True:
        page = store.browse(listing, wanted, after=after, limit=limit, scan=scan, **options)
        assert len(page.rows) <= limit
        found += page.rows
        after = page.next
        count += 1
        assert count < 100
        if after is None:
            return found


@pytest.fixture
def jobs(store, add_job, add_batch, clock):
    """A few jobs of every state, by a name; made in this order, a second apart."""
    now, made = penstock_clock.now(), {}

    def add(name, kind="Copy", **columns):
        clock.advance(1)
        fields = f'{{"description": "The {name}", "number": {len(made)}}}'
        made[name] = add_job(kind, fields=fields, **columns)

    add("late", priority=70)
    add("urgent", "Other", priority=3)
    add("same", priority=70)
    add("third", "Third", priority=50)
    add("grouped", throttle_group="a", priority=1)
    add("grouped too", throttle_group="b", priority=9)
    add("held", held_until=now + timedelta(days=1), priority=1)
    add("tomorrow", run_at=now + timedelta(days=1))
    add("next week", run_at=now + timedelta(days=7))
    add("tomorrow too", run_at=now + timedelta(days=1))
    add("running", state=State.RUNNING, server="s", priority=60)
    for state in (State.PAUSED, State.COMPLETED, State.FAILED, State.ABORTED):
        add(f"{state} late", state=state, completed_at=now + timedelta(hours=2))
        add(f"{state} early", state=state, completed_at=now + timedelta(hours=1))
        add(f"{state} late too", state=state, completed_at=now + timedelta(hours=2))
    made["batch"] = add_batch([1, 1], priority=40)
    add_job(batch=True, draft=True)
    return made


EXPECTED = {
    Listing.RUNNING: ["batch", "running"],
    Listing.QUEUED_NOW: ["urgent", "third", "late", "same", "grouped", "grouped too", "held"],
    Listing.SCHEDULED: ["tomorrow", "tomorrow too", "next week"],
    **{
        Listing(state): [f"{state} late too", f"{state} late", f"{state} early"]
        for state in ("paused", "completed", "failed", "aborted")
    },
}
EXPECTED[Listing.QUEUED] = EXPECTED[Listing.QUEUED_NOW] + EXPECTED[Listing.SCHEDULED]


def names(jobs, rows):
    known = {row.id: name for name, row in jobs.items()}
    return [known[row.id] for row in rows]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_each_job_of_a_list_comes_once_and_in_order(store, jobs, limit):
    for listing, expected in EXPECTED.items():
        assert names(jobs, pages(store, listing, limit=limit)) == expected


def test_all_jobs_come_newest_first_or_oldest_first_and_no_drafts(store, jobs):
    for limit in (1, 7, 100):
        assert names(jobs, pages(store, Listing.ALL, limit=limit)) == list(jobs)[::-1]
        assert names(jobs, pages(store, Listing.ALL, limit=limit, newest=False)) == list(jobs)


def number_of(row):
    return json.loads(row.fields).get("number", 0)


@pytest.mark.parametrize("scan", [3, 50])
@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Wanted(kinds=["Other", "Third"]), lambda row: row.kind in ("Other", "Third")),
        (Wanted([Filter("priority", "gt", 50)]), lambda row: row.priority > 50),
        (Wanted(search="lAtE"), lambda row: "late" in row.fields),
        (Wanted(search="thir"), lambda row: row.kind == "Third"),
        (Wanted([Filter("number", "ge", 9)]), lambda row: number_of(row) >= 9),
        (Wanted([Filter("priority", "eq", 70)], ["Copy"], "late"), lambda row: row.priority == 70 and "late" in row.fields),  # noqa: E501
    ],
    ids=["kinds", "column", "search", "search kind", "field", "several"],
)  # fmt: skip
def test_what_is_wanted_is_found_wherever_it_stands(store, jobs, wanted, fits, scan):
    for listing in (*EXPECTED, Listing.ALL):
        every = pages(store, listing, limit=100)
        for limit in (1, 100):
            found = pages(store, listing, wanted, limit=limit, scan=scan)
            assert [row.id for row in found] == [row.id for row in every if fits(row)], (listing, limit)


def test_an_indexed_field_leads_to_its_jobs_the_newest_first(store, jobs):
    store.index_fields(["description"])
    assert store.is_indexed("description")
    assert not store.is_indexed("number")
    for listing in (*EXPECTED, Listing.ALL):
        listed = names(jobs, pages(store, listing, limit=100))
        for name in ("tomorrow", "failed late", "running", "held"):
            found = pages(store, listing, Wanted([Filter("description", "eq", f"The {name}")]), limit=1)
            assert names(jobs, found) == [it for it in listed if it == name], (listing, name)


def test_a_page_says_where_the_next_one_begins_though_it_found_nothing(store, add_job):
    wanted = add_job("Wanted")
    for _ in range(30):
        add_job()
    page = store.browse(Listing.ALL, Wanted(kinds=["Wanted"]), limit=5, scan=10)
    assert page.rows == []
    assert page.next is not None
    assert [row.id for row in pages(store, Listing.ALL, Wanted(kinds=["Wanted"]), scan=10)] == [wanted.id]


@pytest.mark.parametrize(
    "order", ["priority", "-priority", "number", "-number", "description", "-kind", "-run_at", "id"]
)
def test_a_list_is_sorted_by_any_field_what_is_not_set_first(store, jobs, order):
    name = order.removeprefix("-")

    def rank(row):
        value = getattr(row, name) if hasattr(row, name) else json.loads(row.fields).get(name)
        return (value is not None, value)

    for listing in (*EXPECTED, Listing.ALL):
        every = [rank(row) for row in pages(store, listing, limit=100)]
        page = store.browse(listing, ANY, limit=5, scan=50, order=order)
        assert [rank(row) for row in page.rows] == sorted(every, reverse=order != name)[:5], listing
        assert page.next is None


def test_a_sorted_list_says_that_there_was_more_to_look_through(store, add_job):
    made = [add_job(priority=priority) for priority in (5, 9, 7, 1)]
    wanted = Wanted([Filter("priority", "gt", 5)])
    page = store.browse(Listing.ALL, wanted, limit=5, scan=3, order="priority")
    assert [row.id for row in page.rows] == [made[2].id, made[1].id]
    assert page.next is not None
    assert store.browse(Listing.ALL, wanted, limit=5, scan=4, order="priority").next is None


@pytest.mark.parametrize("after", ["", "x", "bm8=", "WyJhbGwiLCBbMSwgMiwgM11d", "ä"])
def test_a_place_that_is_none_is_refused(store, after):
    with pytest.raises(InvalidQuery, match="no place in a list"):
        store.browse(Listing.ALL, ANY, after=after, limit=5, scan=10)


def test_a_place_of_another_list_is_refused(store, jobs):
    page = store.browse(Listing.FAILED, ANY, limit=1, scan=10)
    with pytest.raises(InvalidQuery, match="another list"):
        store.browse(Listing.COMPLETED, ANY, after=page.next, limit=1, scan=10)


def test_counts_stop_where_they_are_told_to(store, jobs):
    counts = store.counts_up_to(100)
    assert counts == {str(listing): len(found) for listing, found in EXPECTED.items()}
    assert store.counts_up_to(2)["queued"] == 2
