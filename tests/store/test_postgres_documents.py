"""Documents and texts that PostgreSQL makes difficult, and that questions have the answers they have in SQLite."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import PenstockError
from penstock.ids import new_id
from penstock.query import Filter, Query, Span
from penstock.store.rows import JobRow


@pytest.fixture
def store(postgres):
    return postgres


def found(store, *filters, **asked):
    return [row.id for row in store.find_jobs(Query(filters=filters, **asked))]


class TestText:
    def test_the_character_nul_in_a_document_or_an_exception_comes_back(self, store, add_job):
        fields, exception = json.dumps({"note": "a\0b", "city": "Ulm"}), json.dumps({"message": "\0"})
        job = add_job(fields=fields, exception=exception)
        assert (store.job(job.id).fields, store.job(job.id).exception) == (fields, exception)
        store.update_job(job.id, {"fields": {"more": "\0", "city": "Bonn"}})
        assert json.loads(store.job(job.id).fields) == {"note": "a\0b", "city": "Bonn", "more": "\0"}

    @pytest.mark.parametrize(
        "text", ["\0", "\0\0", "a\0", "\\\0", "\\u0000\0", "\ud800", "x\udc00", "😀\ud83d", "\ude00\ud83d"]
    )
    def test_documents_that_hold_what_postgresql_refuses_do_not_spoil_questions_about_others(
        self, store, add_job, text
    ):
        odd = add_job(fields=json.dumps({"note": text, "city": "Ulm"}))
        other = add_job(fields=json.dumps({"note": "😀 \\u0000", "city": "Bonn"}))
        assert found(store, Filter("city", "eq", "Ulm")) == [odd.id]
        assert found(store, Filter("note", "eq", "😀 \\u0000")) == [other.id]
        assert found(store, Filter("note", "ne", None), order=("city",)) == [other.id, odd.id]
        store.index_fields(["note"])
        assert found(store, Filter("note", "contains", "😀 ")) == [other.id]

    def test_nul_in_a_column_is_kept_as_its_picture_and_found_as_it_was_asked_for(self, store, add_job, clock):
        job = add_job(throttle_group="a\0b", unique_key="k\0", worker="\0")
        row = store.job(job.id)
        assert (row.throttle_group, row.unique_key, row.worker) == ("a␀b", "k␀", "␀")
        assert [one.id for one in store.candidates([], groups=[("Copy", "a\0b")], limit=9)] == [job.id]
        assert store.update_job(job.id, {"priority": 1}, expect={"worker": "\0"})
        assert found(store, Filter("worker", "eq", "\0")) == [job.id]
        store.hold_job(job.id, until=clock.now(), reason="why\0", now=clock.now())
        assert store.job(job.id).throttled_by == "why␀"

    def test_what_is_no_json_is_refused(self, store, new_row):
        with pytest.raises(PenstockError, match="refused a value"):
            store.insert_jobs([new_row(fields="{")])

    def test_fields_that_are_not_changed_are_kept_to_the_letter(self, store, add_job):
        job = add_job(fields='{"b":1.10,"a":1e400,"n":123456789012345678901234567890, "c":{"z": 1,"a":2}}')
        store.update_job(job.id, {"fields": {"d": 1}})
        assert (
            store.job(job.id).fields
            == '{"b":1.10,"a":1e400,"n":123456789012345678901234567890,"c":{"z": 1,"a":2},"d":1}'
        )

    def test_text_orders_by_code_point_whatever_the_locale(self, store, add_job):
        words = ["a", "B", "ä", "Z", "_", "é", "e", "10", "9", "😀", "\uffff"]
        ids = {word: add_job(fields=json.dumps({"word": word}), worker=word).id for word in words}
        expected = [ids[word] for word in sorted(words)]
        assert found(store, order=("word",)) == found(store, order=("worker",)) == expected
        assert found(store, Filter("word", "lt", "a"), order=("word",)) == expected[: sorted(words).index("a")]


class TestDecimals:
    NUMBERS = (
        "1E+3",
        "1000.0",
        "-0",
        "0.00",
        "1.5",
        "-1E-9",
        "Infinity",
        "-Infinity",
        "NaN",
        "1E+400000",
        "-1E+400000",
    )

    @pytest.fixture
    def numbers(self, store, add_job):
        return {add_job(fields=json.dumps({"price": text})).id: text for text in self.NUMBERS}

    @pytest.mark.parametrize(
        ("operator", "value", "texts"),
        [
            ("eq", "1000", {"1E+3", "1000.0"}),
            ("eq", "0", {"-0", "0.00"}),
            ("lt", "0", {"-1E-9", "-Infinity", "-1E+400000"}),
            ("gt", "1000.00", {"Infinity", "1E+400000"}),
            ("ge", "1000.00", {"1E+3", "1000.0", "Infinity", "1E+400000"}),
            ("ne", "0", set(NUMBERS) - {"-0", "0.00"}),
        ],
    )
    def test_they_compare_by_value_however_they_are_written(self, store, numbers, operator, value, texts):
        ids = found(store, Filter("price", operator, Decimal(value)))
        assert {numbers[job] for job in ids} == texts

    def test_they_order_by_value_and_what_is_no_number_last(self, store, numbers):
        listed = [numbers[job] for job in found(store, order=("price",), decimals=frozenset({"price"}))]
        assert listed[-1] == "NaN"
        assert [text for text in listed if "00000" not in text] == [
            "-Infinity", "-1E-9", "-0", "0.00", "1.5", "1E+3", "1000.0", "Infinity", "NaN",
        ]  # fmt: skip


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.1, 1.0, 1e300, 1e-300]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3),
    st.sampled_from(["Infinity", "-Infinity", "NaN", "", "a", "aa"]),
)
OPERATORS = st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"])


class TestAsSqlite:
    @given(values=st.lists(VALUES, max_size=8), operator=OPERATORS, asked=VALUES, indexed=st.booleans())
    @settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_comparisons_find_the_same(self, postgres, sqlite_memory, values, operator, asked, indexed):
        kind = f"K{new_id().hex}"
        rows = [
            JobRow(id=new_id(), kind=kind, batch=False, created_at=MOMENT, fields=json.dumps({"value": value}))
            for value in values
        ]
        rows.append(JobRow(id=new_id(), kind=kind, batch=False, created_at=MOMENT))
        for store in (postgres, sqlite_memory):
            if indexed:
                store.index_fields(["value"])
            store.insert_jobs(rows)
        if asked is None and operator not in ("eq", "ne"):
            operator = "eq"
        filters = [Filter("value", operator, asked), Filter("value", "in", (asked, "a"))]
        if isinstance(asked, str):
            filters.append(Filter("value", operator, Span(asked, f"{asked}z")))
            if not any(isinstance(value, float) for value in values):  # Whose text is written in another way.
                filters.append(Filter("value", "contains", asked))
        for filter_ in filters:
            answers = [found(store, filter_, kinds=(kind,)) for store in (postgres, sqlite_memory)]
            assert answers[0] == answers[1], filter_
        for order in ("value", "-value"):
            answers = [found(store, kinds=(kind,), order=(order,)) for store in (postgres, sqlite_memory)]
            assert answers[0] == answers[1]


MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
