"""The question: which jobs."""

import pytest

from penstock.errors import InvalidQuery
from penstock.query import OPERATORS, Filter, Query
from penstock.states import State


def filters(**conditions):
    return Query().where(**conditions).filters


class TestWhere:
    def test_a_name_alone_asks_for_equality(self):
        assert filters(name="ada") == (Filter("name", "eq", "ada"),)

    @pytest.mark.parametrize("operator", sorted(OPERATORS.keys() - {"in", "contains"}))
    def test_an_operator_follows_two_underscores(self, operator):
        assert filters(**{f"size__{operator}": 3}) == (Filter("size", operator, 3),)

    def test_in_takes_any_collection(self):
        for values in ([1, 2], (1, 2), iter([1, 2])):
            assert filters(size__in=values) == (Filter("size", "in", (1, 2)),)

    @pytest.mark.parametrize("text", ["abc", b"abc"])
    def test_in_refuses_one_text_whose_letters_would_be_meant(self, text):
        with pytest.raises(InvalidQuery, match="takes a list of values"):
            filters(name__in=text)

    def test_in_refuses_what_is_no_collection(self):
        with pytest.raises(InvalidQuery, match="takes a list of values"):
            filters(name__in=5)

    def test_contains_takes_text_only(self):
        assert filters(name__contains="a") == (Filter("name", "contains", "a"),)
        with pytest.raises(InvalidQuery, match="takes text"):
            filters(name__contains=5)

    def test_conditions_add_up_and_the_query_they_narrow_stays_as_it_was(self):
        wide = Query().where(a=1)
        narrow = wide.where(b=2, c__gt=3)
        assert wide.filters == (Filter("a", "eq", 1),)
        assert narrow.filters == (Filter("a", "eq", 1), Filter("b", "eq", 2), Filter("c", "gt", 3))

    def test_an_unknown_operator_is_named_with_the_known_ones(self):
        with pytest.raises(InvalidQuery, match="no operator 'like'; known: eq, ne, lt, le, gt, ge, in, contains"):
            filters(name__like="x")

    @pytest.mark.parametrize("operator", ["eq", "ne"])
    def test_none_asks_whether_a_field_is_set(self, operator):
        assert filters(**{f"name__{operator}": None}) == (Filter("name", operator, None),)

    @pytest.mark.parametrize("operator", ["lt", "le", "gt", "ge", "contains"])
    def test_other_operators_refuse_none(self, operator):
        with pytest.raises(InvalidQuery, match="only eq and ne compare with None"):
            filters(**{f"name__{operator}": None})

    def test_each_value_is_converted_with_the_name_of_its_field(self):
        asked = []

        def convert(name, value):
            asked.append(name)
            return value * 2

        query = Query().where(convert, a=1, b__in=[2, 3])
        assert query.filters == (Filter("a", "eq", 2), Filter("b", "in", (4, 6)))
        assert asked == ["a", "b", "b"]


class TestStates:
    def test_narrowed_twice_states_named_both_times_are_left(self):
        query = Query().in_states(State.QUEUED, State.FAILED).in_states(State.FAILED, State.ABORTED)
        assert query.states == (State.FAILED,)

    def test_states_that_no_job_has_together_are_refused(self):
        with pytest.raises(InvalidQuery, match="no job is both queued and failed"):
            Query().in_states(State.QUEUED).in_states(State.FAILED)


def test_standard_fields_are_columns_and_others_are_not():
    assert Filter("priority", "eq", 1).is_column
    assert not Filter("name", "eq", 1).is_column


def test_a_query_is_a_value():
    assert Query(kinds=("A",)).where(a=1) == Query(kinds=("A",)).where(a=1)
