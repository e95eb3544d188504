"""What the code of a batch job counts: with the record that succeeded, and added up over all slices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import BatchJob, hooks
from penstock.batch.statistics import nested
from penstock.states import State

BAD: set = set()


@pytest.fixture(autouse=True)
def _forgetful():
    BAD.clear()


class Counting(BatchJob, kind="tests.batch.statistics.Counting"):
    slice_size = 10
    collect_output = True
    destroy_on_complete = False

    def perform(self, number):
        self.add_statistic("seen")
        self.add_statistic("of.odd" if number % 2 else "of.even", number)
        if number in BAD:
            raise ValueError("bad")
        return number


class CountingAsync(Counting, kind="tests.batch.statistics.CountingAsync"):
    concurrency = 4

    async def perform(self, number):
        return super().perform(number)


EXPECTED = {"seen": 74, "of": {"odd": sum(range(1, 75, 2)), "even": sum(range(2, 75, 2))}}


@pytest.fixture(params=[Counting, CountingAsync])
def run(request, driver):
    def start(**values):
        job = request.param(**values)
        job.upload(range(1, 75))
        job.save()
        driver.run()
        return job.reload()

    return start


def test_counts_of_all_slices_add_up_and_are_nested_by_dots(run):
    assert run().statistics == EXPECTED


def test_a_record_that_fails_counts_when_it_has_succeeded(run, driver):
    BAD.update({1, 42, 50})
    job = run()
    assert job.statistics["seen"] == 74 - 10 - 9
    while job.state is State.FAILED:
        BAD.pop()
        job.retry()
        driver.run()
        job.reload()
    assert job.statistics == EXPECTED


def test_a_rejected_record_does_not_count(run, driver):
    BAD.update({1, 42, 43})
    job = run(on_record_error="reject")
    assert job.statistics["seen"] == 71
    numbers = set(BAD)
    BAD.clear()
    job.resubmit({number: number for number in numbers})
    driver.run()
    assert job.statistics == EXPECTED


def test_a_record_whose_result_cannot_be_stored_does_not_count(driver):
    class Odd(Counting):
        def perform(self, number):
            self.add_statistic("seen")
            return {number} if number == 5 else number

    job = Odd()
    job.upload(range(1, 11))
    job.save()
    driver.run()
    assert job.statistics == {"seen": 4}


def test_a_slice_whose_worker_died_counts_once(driver):
    job = Counting()
    job.upload(range(1, 75))
    job.save()
    driver.crash(driver.take())
    driver.run()
    assert job.statistics == EXPECTED


def test_in_a_transaction_a_slice_that_is_rolled_back_counts_nothing(driver):
    from penstock import Transaction

    class Safe(Transaction, Counting):
        def transaction(self):
            from contextlib import nullcontext

            return nullcontext()

    BAD.add(5)
    job = Safe()
    job.upload(range(1, 75))
    job.save()
    driver.run()
    assert job.statistics["seen"] == 64
    BAD.clear()
    job.reload().retry()
    driver.run()
    assert job.statistics == EXPECTED


def test_what_hooks_of_a_slice_count_counts_where_the_slice_is_through(driver):
    class Hooked(Counting):
        @hooks.before_slice
        def _before(self):
            self.add_statistic("before")

        @hooks.after_slice
        def _after(self):
            self.add_statistic("after")

    BAD.update({1, 15})
    job = Hooked()
    job.upload(range(1, 31))
    job.save()
    driver.run()
    assert {name: job.statistics.get(name) for name in ("before", "after")} == {"before": 1, "after": 1}
    BAD.clear()
    job.reload().retry()
    driver.run()
    assert {name: job.statistics.get(name) for name in ("before", "after")} == {"before": 3, "after": 3}


def test_performed_here_and_now_they_are_kept_too(configured_store):
    job = Counting()
    job.upload(range(1, 75))
    assert job.perform_now().statistics == EXPECTED


def test_an_empty_key_counts_nothing_and_a_job_without_counts_has_none(driver):
    class Quiet(Counting):
        def perform(self, number):
            self.add_statistic("")

    job = Quiet()
    job.upload([1])
    assert job.statistics == {}
    job.save()
    driver.run()
    assert job.statistics == {}


def test_a_key_that_is_the_beginning_of_another_has_its_own_figure():
    assert nested({"a": 1, "a.b": 2, "a.b.c": 3, "a-b": 4}) == {"a": {"": 1, "b": {"": 2, "c": 3}}, "a-b": 4}


KEYS = st.lists(st.sampled_from(["a", "b", "-"]), min_size=1, max_size=3).map(".".join)


@given(st.dictionaries(KEYS, st.integers(1, 99)))
def test_no_figure_is_lost_when_they_are_nested(counted):
    def flat(found, before=()):
        for name, value in found.items():
            path = (*before, name) if name else before
            if isinstance(value, dict):
                yield from flat(value, path)
            else:
                yield ".".join(path), value

    assert dict(flat(nested(counted))) == counted
