"""Limits as one claim sees them: what runs in the store, and what the claim itself has taken."""

import pytest

from penstock.clock import now
from penstock.ids import new_id
from penstock.server.limits import Limits, limit_name
from penstock.server.messages import KindFacts
from penstock.store.rows import JobRow


def facts(kind="Copy", *, name=None, limit=None, depends_on=()):
    return KindFacts(kind, False, [], name or kind, limit, list(depends_on))


@pytest.fixture
def limits(sqlite_memory):
    return Limits(sqlite_memory)


@pytest.fixture
def run(sqlite_memory):
    """Have jobs run under a limit."""

    def start(count=1, *, kind="Copy", limit="Copy"):
        rows = [JobRow(id=new_id(), kind=kind, batch=False, created_at=now(), limit_name=limit) for _ in range(count)]
        sqlite_memory.insert_jobs(rows)
        return sqlite_memory.claim_jobs(rows, server="another", now=now())

    return start


class TestNames:
    @pytest.mark.parametrize(
        ("limit", "group", "name"),
        [(None, None, None), (3, None, "Copy"), (3, "g", "g"), (None, "g", "g")],
    )
    def test_a_job_counts_for_its_group_or_else_for_its_kind_where_that_has_a_limit(self, limit, group, name):
        assert limit_name(facts(limit=limit), group) == name

    def test_an_alias_counts_for_its_class(self):
        assert limit_name(facts("old_copy", name="Copy", limit=3), None) == "Copy"


class TestFull:
    def test_without_a_limit_a_kind_is_never_full(self, limits, run):
        run(5)
        assert not limits.is_full(facts())
        assert not limits.is_full(facts(), "g")

    @pytest.mark.parametrize(("running", "full"), [(0, False), (2, False), (3, True), (4, True)])
    def test_a_kind_is_full_when_as_many_run_as_may(self, limits, run, running, full):
        run(running)
        assert limits.is_full(facts(limit=3)) == full

    def test_what_the_claim_has_taken_counts_too(self, limits, run):
        run(1)
        for taken in range(2):
            assert not limits.is_full(facts(limit=3)), taken
            limits.count(facts(limit=3), None)
        assert limits.is_full(facts(limit=3))

    def test_a_group_and_its_kind_are_counted_apart(self, limits, run):
        run(3)
        assert limits.is_full(facts(limit=3))
        assert not limits.is_full(facts(limit=3), "g")
        run(3, limit="h")
        assert not limits.is_full(facts(limit=3), "g")

    def test_a_group_is_full_for_each_kind_at_the_limit_of_that_kind(self, limits, run):
        run(1, limit="g")
        run(1, kind="Tiny", limit="g")
        assert limits.is_full(facts(limit=2), "g")
        assert not limits.is_full(facts("Tiny", limit=3), "g")
        assert not limits.is_full(facts("Free"), "g")

    def test_what_a_claim_takes_of_a_group_counts_for_all_kinds_in_it(self, limits):
        limits.count(facts("Free"), "g")
        limits.count(facts("Tiny", limit=5), "g")
        assert limits.is_full(facts(limit=2), "g")
        assert not limits.is_full(facts(limit=2))

    def test_a_class_and_its_alias_share_a_limit(self, limits, run):
        run(1)
        limits.count(facts("old_copy", name="Copy", limit=2), None)
        assert limits.is_full(facts(limit=2))
        assert limits.is_full(facts("old_copy", name="Copy", limit=2))

    def test_the_store_is_asked_once_and_only_where_something_has_a_limit(self, sqlite_memory, limits):
        asked = []
        with sqlite_memory.connections.reading() as connection:
            connection.set_trace_callback(asked.append)
        limits.is_full(facts())
        assert asked == []
        for group in (None, "g", "h"):
            limits.is_full(facts(limit=3), group)
        assert len(asked) == 1


class TestDependencies:
    def test_a_kind_that_depends_on_none_is_never_blocked(self, limits, run):
        run()
        limits.count(facts(), None)
        assert not limits.blocks(facts())

    def test_it_is_blocked_while_a_job_of_one_of_them_runs(self, sqlite_memory, limits, run):
        (row,) = run(kind="Tiny")
        dependent = facts(depends_on=["Lines", "Tiny"])
        assert limits.blocks(dependent)
        sqlite_memory.update_job(row.id, {"state": "completed", "server": None})
        assert limits.blocks(dependent), "it was looked up once for the claim"
        assert not Limits(sqlite_memory).blocks(dependent)

    def test_a_job_that_waits_blocks_nobody(self, sqlite_memory, limits):
        sqlite_memory.insert_jobs([JobRow(id=new_id(), kind="Tiny", batch=False, created_at=now())])
        assert not limits.blocks(facts(depends_on=["Tiny"]))

    def test_a_job_that_the_claim_has_taken_blocks_what_comes_after(self, limits):
        dependent = facts(depends_on=["Tiny"])
        assert not limits.blocks(dependent)
        limits.count(facts("Tiny"), None)
        assert limits.blocks(dependent)

    def test_a_job_taken_under_an_alias_blocks_too(self, limits):
        limits.count(facts("old_tiny", name="Tiny"), "g")
        assert limits.blocks(facts(depends_on=["Tiny"]))
        assert limits.blocks(facts(depends_on=["old_tiny"]))

    def test_a_kind_may_depend_on_itself(self, limits):
        lonely = facts(depends_on=["Copy"])
        assert not limits.blocks(lonely)
        limits.count(lonely, None)
        assert limits.blocks(lonely)

    def test_each_set_of_dependencies_is_looked_up_by_itself(self, limits, run):
        run(kind="Tiny")
        assert not limits.blocks(facts(depends_on=["Lines"]))
        assert limits.blocks(facts(depends_on=["Tiny"]))
        assert not limits.blocks(facts(depends_on=["Lines"]))
