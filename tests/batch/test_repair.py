"""Failed records: looked at, corrected in their slice, rejected."""

import pytest

from penstock import BatchJob, Result
from penstock.batch.repair import exceptions_of
from penstock.errors import InputError, UnstorableValue
from penstock.states import State

DONE: list = []
BAD: dict = {}


@pytest.fixture(autouse=True)
def _forgetful():
    DONE.clear()
    BAD.clear()


class Strict(BatchJob, kind="tests.batch.repair.Strict"):
    slice_size = 10
    output_categories = ["main", "odd"]  # noqa: RUF012
    destroy_on_complete = False

    def perform(self, record):
        if record in BAD:
            raise BAD[record]
        DONE.append(self.record_number)
        return Result(record, "odd") if isinstance(record, int) and record % 2 else record


@pytest.fixture
def job(driver):
    made = Strict()
    made.upload(range(1, 75))
    return made.save()


def outputs(job, category=None):
    output = job.output if category is None else job.output[category]
    return list(output.records())


def retry(driver, job):
    job.reload()
    job.retry()
    driver.run()
    return job.reload()


EVENS, ODDS = list(range(2, 75, 2)), list(range(1, 75, 2))


def test_one_bad_record_of_74_fails_its_slice_alone_and_after_correction_only_what_follows_it_is_done(
    driver, job, balanced
):
    BAD[42] = ValueError("bad")
    driver.run()
    assert job.reload().state is State.FAILED
    (failed,) = job.each_failed_record()
    assert (failed.record_number, failed.record, failed.slice_number) == (42, 42, 5)
    assert (failed.failure.class_name, failed.failure.message) == ("ValueError", "bad")
    view = balanced(job)
    assert (view["processed"], view["failed"]) == (65, 9)
    assert sorted(DONE) == [n for n in range(1, 75) if n not in range(42, 51)]
    DONE.clear()
    BAD.clear()
    assert retry(driver, job).state is State.COMPLETED
    assert list(range(42, 51)) == DONE
    assert (outputs(job), outputs(job, "odd")) == (EVENS, ODDS)
    balanced(job)


def test_in_a_transaction_the_whole_slice_is_done_again_and_nothing_is_doubled(driver, balanced):
    from penstock import Transaction

    class Safe(Transaction, Strict):
        def transaction(self):
            return Written()

    class Written:
        def commit(self):
            kept.extend(DONE)
            DONE.clear()

        def rollback(self):
            DONE.clear()

    kept = []
    BAD[42] = ValueError("bad")
    job = Safe()
    job.upload(range(1, 75))
    job.save()
    driver.run()
    assert job.reload().state is State.FAILED
    assert [failed.record_number for failed in job.each_failed_record()] == [42]
    assert sorted(kept) == [n for n in range(1, 75) if n not in range(41, 51)]
    assert balanced(job)["failed"] == 10
    for number, message in ((42, "correct record 42 instead"), (41, "stopped at record 42")):
        with pytest.raises(InputError, match=message):
            job.reject_failed(number)
    BAD.clear()
    assert retry(driver, job).state is State.COMPLETED
    assert sorted(kept) == list(range(1, 75))
    assert (outputs(job), outputs(job, "odd")) == (EVENS, ODDS)
    balanced(job)


def test_a_record_put_in_the_place_of_the_failed_one_is_performed_by_a_retry(driver, job, balanced):
    BAD[42] = ValueError("bad")
    driver.run()
    job.edit_record(42, "forty-two")
    DONE.clear()
    assert retry(driver, job).state is State.COMPLETED
    assert list(range(42, 51)) == DONE
    assert outputs(job) == [n if n != 42 else "forty-two" for n in EVENS]
    balanced(job)


def test_a_record_behind_the_failed_one_may_be_put_right_too(driver, job):
    BAD.update({42: ValueError(), 44: ValueError()})
    driver.run()
    job.edit_record(44, "now 44").edit_record(42, "two\nlines")
    assert retry(driver, job).state is State.COMPLETED
    assert outputs(job)[20:22] == ["two\nlines", "now 44"]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (41, r"record 41 is done; its slice stopped at 42"),
        (7, r"no failed slice holds record 7"),
        (99, r"no failed slice holds record 99"),
        (0, r"no failed slice holds record 0"),
    ],
)
def test_a_record_that_is_done_or_not_there_is_not_edited_rejected_nor_deleted(driver, job, number, message):
    BAD[42] = ValueError("bad")
    driver.run()
    for call in (
        lambda: job.edit_record(number, "x"),
        lambda: job.reject_failed(number),
        lambda: job.delete_failed(number),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_what_cannot_be_stored_is_no_record(driver, job):
    BAD[42] = ValueError("bad")
    driver.run()
    with pytest.raises(UnstorableValue):
        job.edit_record(42, {1, 2})
    assert next(job.each_failed_record()).record == 42


def test_a_rejected_record_is_left_out_and_kept_and_the_rest_of_its_slice_goes_on(driver, job, balanced):
    BAD[42] = ValueError("bad\nin two lines")
    driver.run()
    DONE.clear()
    job.reject_failed(42)
    balanced(job)
    assert list(job.each_failed_record()) == []
    assert retry(driver, job).state is State.COMPLETED
    assert list(range(43, 51)) == DONE
    assert outputs(job) == [n for n in EVENS if n != 42]
    (told,) = outputs(job, "rejects")
    assert told == {"record_number": 42, "line": None, "reason": "ValueError: bad\nin two lines", "record": 42}
    assert balanced(job)["rejected"] == 1
    assert job.resubmit({42: 142}) == 1
    driver.run()
    assert outputs(job.reload()) == [n if n != 42 else 142 for n in EVENS]
    balanced(job)


def test_a_deleted_record_is_left_out_of_every_output_and_the_rest_of_its_slice_goes_on(driver, job, balanced):
    BAD[42] = ValueError("bad")
    driver.run()
    DONE.clear()
    job.delete_failed(42)
    balanced(job)
    assert retry(driver, job).state is State.COMPLETED
    assert list(range(43, 51)) == DONE
    assert (outputs(job), outputs(job, "odd")) == ([n for n in EVENS if n != 42], ODDS)
    view = balanced(job)
    assert (view["processed"], view["rejected"]) == (74, 0)
    with pytest.raises(InputError, match=r"record 42 of job .* is not rejected now"):
        job.resubmit({42: 142})


def test_of_equal_records_only_the_one_that_failed_is_deleted(driver, balanced):
    job = Strict()
    job.upload([2, 2, 2, 4])
    job.save()
    BAD[2] = ValueError("bad")
    driver.run()
    job.delete_failed(1)
    BAD.clear()
    assert retry(driver, job).state is State.COMPLETED
    assert outputs(job) == [2, 2, 4]
    balanced(job)


def test_a_job_of_which_a_record_was_rejected_is_kept(driver, job):
    job.destroy_on_complete = True
    job.save()
    BAD[42] = ValueError("bad")
    driver.run()
    job.reject_failed(42)
    assert retry(driver, job).state is State.COMPLETED


def test_the_record_behind_a_rejected_one_is_not_taken_for_failed(driver, job, balanced):
    BAD[42] = ValueError("bad")
    driver.run()
    job.reject_failed(42)
    for number in (42, 43):
        with pytest.raises(InputError, match=f"no failed slice holds record {number}"):
            job.reject_failed(number)
    balanced(job)


def test_one_bad_record_after_the_other_may_be_rejected(driver, job, balanced):
    BAD.update({41: ValueError("a"), 42: ValueError("b"), 50: ValueError("c")})
    driver.run()
    for number in (41, 42, 50):
        (failed,) = job.each_failed_record()
        assert failed.record_number == number
        job.reject_failed(number)
        balanced(job)
        retry(driver, job)
    assert job.state is State.COMPLETED
    assert [told["record"] for told in outputs(job, "rejects")] == [41, 42, 50]
    balanced(job)


def test_rejected_while_the_job_runs_its_slice_goes_on_without_a_retry(driver, job, balanced):
    BAD[2] = ValueError("bad")
    driver.step()
    assert job.reload().state is State.RUNNING
    job.reject_failed(2)
    driver.run()
    assert job.reload().state is State.COMPLETED
    assert outputs(job) == EVENS[1:]
    balanced(job)


def test_the_only_record_left_may_be_rejected(driver, balanced):
    BAD[1] = ValueError("bad")
    job = Strict()
    job.upload([1])
    job.save()
    driver.run()
    job.reject_failed(1)
    assert retry(driver, job).state is State.COMPLETED
    assert outputs(job, "odd") == []
    assert balanced(job)["rejected"] == 1


def test_a_slice_that_was_retried_meanwhile_is_not_touched(driver, job):
    BAD[42] = ValueError("bad")
    driver.run()
    retry(driver, job)
    job.retry()
    with pytest.raises(InputError, match="no failed slice holds record 42"):
        job.edit_record(42, "x")
    with pytest.raises(InputError, match="no failed slice holds record 42"):
        job.reject_failed(42)


def test_a_slice_of_records_that_came_back_is_repaired_as_others_are(driver, balanced):
    class Rejecting(Strict):
        on_record_error = "reject"

    BAD.update({n: ValueError("bad") for n in (5, 42, 43, 70)})
    job = Rejecting()
    job.upload(range(1, 75))
    job.save()
    driver.run()
    BAD["stop"] = SystemExit(1)
    job.resubmit({5: 105, 42: "stop", 43: "stop", 70: 170})
    driver.run()
    assert [failed.record_number for failed in job.each_failed_record()] == [42]
    with pytest.raises(InputError, match="record 5 is done; its slice stopped at 42"):
        job.edit_record(5, 5)
    job.edit_record(42, 142)
    retry(driver, job)
    assert [failed.record_number for failed in job.each_failed_record()] == [43]
    job.reject_failed(43)
    balanced(job)
    assert retry(driver, job).state is State.COMPLETED
    assert outputs(job) == [{42: 142, 70: 170}.get(n, n) for n in EVENS]
    assert outputs(job, "odd") == [{5: 105}.get(n, n) for n in ODDS if n != 43]
    assert [told["record_number"] for told in outputs(job, "rejects")] == [43]
    balanced(job)


def test_exceptions_are_told_by_class_with_their_messages_and_records(driver, job, configured_store):
    BAD.update({1: ValueError("a"), 11: ValueError("b"), 21: ValueError("b"), 31: KeyError("k")})
    driver.run()
    first, second = exceptions_of(configured_store, job.id)
    assert (first.class_name, first.messages, first.records) == (
        "ValueError",
        {"ValueError: b": 2, "ValueError: a": 1},
        [1, 11, 21],
    )
    assert (second.class_name, second.records) == ("KeyError", [31])


def test_a_job_without_failures_has_no_failed_records(driver, job, configured_store):
    driver.run()
    assert (list(job.each_failed_record()), exceptions_of(configured_store, job.id)) == ([], [])
