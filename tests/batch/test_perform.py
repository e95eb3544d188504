"""Performing a slice: results in order, up to the first record that fails, and on from there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import BatchJob, OutputCategory, Result
from penstock.batch.perform import SliceWork, perform_slice
from penstock.records import decode_records, encode_records


class Sorted(BatchJob, kind="tests.batch.perform.Sorted"):
    output_categories = ["main", "bad", OutputCategory(name="some", nils=False)]  # noqa: RUF012

    def perform(self, record):
        answer = ANSWERS.get(record, record)
        if isinstance(answer, BaseException):
            raise answer
        return answer


ANSWERS: dict = {}


@pytest.fixture(autouse=True)
def _answers():
    ANSWERS.clear()


def work(records, *, done=0, first=1):
    return SliceWork(1, first, done, encode_records(records))


def outputs_of(outcome):
    return {output.category: decode_records(output.payload) for output in outcome.outputs}


def test_results_come_in_the_order_of_the_records():
    outcome = perform_slice(Sorted(), work(["a", "b", "c"]))
    assert (outcome.done, outcome.failure, outcome.error) == (3, None, None)
    assert outputs_of(outcome) == {"main": ["a", "b", "c"]}


@given(data=st.data(), count=st.integers(1, 30), first=st.integers(1, 1000))
def test_a_slice_stops_at_the_record_that_raises_and_goes_on_there(data, count, first):
    bad = data.draw(st.integers(0, count - 1))
    records = [f"r{number}" for number in range(count)]
    ANSWERS.clear()
    ANSWERS[records[bad]] = ValueError("no")
    outcome = perform_slice(Sorted(), work(records, first=first))
    assert outcome.done == bad
    assert outcome.failure.record_number == first + bad
    assert outputs_of(outcome) == ({"main": records[:bad]} if bad else {})
    again = perform_slice(Sorted(), work(records, first=first, done=bad))
    assert (again.done, again.outputs) == (bad, ())
    ANSWERS.clear()
    rest = perform_slice(Sorted(), work(records, first=first, done=bad))
    assert rest.done == count
    assert outputs_of(rest) == {"main": records[bad:]}


VALUES = st.one_of(
    st.none(),
    st.text(max_size=5),
    st.integers(),
    st.sampled_from(["main", "bad", "some"]).flatmap(
        lambda name: st.builds(Result, st.one_of(st.none(), st.text(max_size=3)), st.just(name))
    ),
    st.just(Result("lost", "nowhere")),
    st.builds(object),
    st.just(Result(object(), "bad")),
)


@given(st.lists(VALUES, min_size=1, max_size=20))
def test_every_record_before_the_one_that_fails_is_in_its_category(values):
    ANSWERS.clear()
    ANSWERS.update(enumerate(values))
    outcome = perform_slice(Sorted(), work(list(range(len(values)))))
    expected, stopped = {}, len(values)
    for position, value in enumerate(values):
        plain, name = value if isinstance(value, Result) else (value, "main")
        if name == "nowhere" or type(plain) is object:
            stopped = position
            break
        if plain is not None or name != "some":
            expected.setdefault(name, []).append(plain)
    assert outcome.done == stopped
    assert outputs_of(outcome) == expected
    assert [output.record_count for output in outcome.outputs] == [len(each) for each in outputs_of(outcome).values()]
    assert (outcome.failure is None) == (stopped == len(values))
    if outcome.failure:
        assert outcome.failure.record_number == stopped + 1


def test_an_unknown_category_is_a_failure_that_names_those_there_are():
    ANSWERS["b"] = Result("x", "nowhere")
    outcome = perform_slice(Sorted(), work(["a", "b", "c"], first=11))
    assert outcome.failure.record_number == 12
    assert outcome.failure.message == "there is no output category 'nowhere'; the job has: main, bad, some"


def test_a_result_that_cannot_be_stored_is_a_failure_that_names_its_type():
    ANSWERS["c"] = {1, 2}
    outcome = perform_slice(Sorted(), work(["a", "b", "c"], first=11))
    assert outcome.failure.record_number == 13
    assert "builtins.set" in outcome.failure.message
    assert outputs_of(outcome) == {"main": ["a", "b"]}


def test_text_with_a_newline_stays_one_result():
    ANSWERS["a"] = "two\nlines"
    assert outputs_of(perform_slice(Sorted(), work(["a", "b"]))) == {"main": ["two\nlines", "b"]}


def test_a_job_without_output_drops_results_whatever_they_are():
    class Quiet(BatchJob):
        def perform(self, record):
            return object()

    outcome = perform_slice(Quiet(), work(["a", "b"]))
    assert (outcome.done, outcome.outputs, outcome.failure) == (2, (), None)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_what_would_end_the_process_is_a_failure_of_its_record(error):
    ANSWERS["b"] = error
    outcome = perform_slice(Sorted(), work(["a", "b"]), worker_name="w:1")
    assert (outcome.done, outcome.failure.class_name) == (1, type(error).__name__)
    assert outcome.failure.worker_name == "w:1"
    assert outcome.error is error


def test_record_number_counts_from_one_through_the_job_and_goes_on_after_what_is_done():
    seen = []

    class Counting(BatchJob):
        def perform(self, record):
            seen.append((record, self.record_number))

    perform_slice(Counting(), work(["a", "b", "c"], first=101, done=1))
    assert seen == [("b", 102), ("c", 103)]


def test_record_number_is_unknown_outside_perform():
    with pytest.raises(AttributeError, match="only while perform runs"):
        _ = Sorted().record_number


def test_watched_records_are_told_before_they_are_performed():
    told = []
    job = Sorted()
    job.watch_records(told.append)
    ANSWERS["b"] = ValueError()
    perform_slice(job, work(["a", "b", "c"], first=5))
    assert told == [5, 6]
