"""Records that raise are rejected, and the slice goes on: where they are kept, how many there may be."""

import csv
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import BatchJob, InputCategory, OutputCategory, Result
from penstock.batch.perform import SliceWork, perform_slice
from penstock.errors import ConfigurationError, KeyringError
from penstock.hooks import after_complete
from penstock.model.failure import parse_failure
from penstock.records import decode_records, encode_records
from penstock.states import State

BAD: set = set()


@pytest.fixture(autouse=True)
def _forgetful():
    BAD.clear()


class Tens(BatchJob, kind="tests.batch.rejects.Tens"):
    slice_size = 10
    collect_output = True
    on_record_error = "reject"

    def perform(self, record):
        if record in BAD:
            raise ValueError(f"bad {record}")
        return record * 10


def run(driver, cls=Tens, records=range(1, 75), **values):
    job = cls(**values)
    job.upload(records)
    job.save()
    driver.run()
    return job.reload() if driver.row(job.id) is not None and not driver.row(job.id).draft else None


def rejects(job):
    return list(job.output["rejects"].records())


def test_a_record_that_raises_is_rejected_and_the_rest_of_its_slice_is_done(driver, balanced):
    BAD.update({42, 43, 50, 51})
    job = run(driver)
    assert job.state is State.COMPLETED
    assert list(job.output.records()) == [n * 10 for n in range(1, 75) if n not in BAD]
    assert rejects(job) == [
        {"record_number": n, "line": None, "reason": f"ValueError: bad {n}", "record": n} for n in sorted(BAD)
    ]
    assert balanced(job)["outputs"] == {"main": 70, "rejects": 4}


def test_every_record_may_be_rejected(driver, balanced):
    BAD.update(range(1, 75))
    job = run(driver)
    assert (job.state, list(job.output.records()), len(rejects(job))) == (State.COMPLETED, [], 74)
    balanced(job)


def test_a_job_that_rejected_a_record_is_kept_although_it_would_be_destroyed(driver):
    BAD.add(3)
    job = run(driver)
    assert (job.state, job.destroy_on_complete) == (State.COMPLETED, False)


def test_a_job_that_rejected_nothing_is_destroyed_as_its_class_says(driver):
    assert run(driver) is None


def test_a_job_that_is_completed_from_within_a_slice_keeps_its_rejects(driver):
    class Early(Tens):
        def perform(self, record):
            if record == 15:
                self.complete()
            return super().perform(record)

    BAD.add(12)
    job = run(driver, Early)
    assert (job.state, [told["record_number"] for told in rejects(job)]) == (State.COMPLETED, [12])


def test_a_job_with_rejects_is_kept_when_its_last_hook_has_run(driver):
    class Hooked(Tens):
        @after_complete
        def tell(self):
            pass

    BAD.add(3)
    assert len(rejects(run(driver, Hooked))) == 1


def test_rejects_are_kept_of_a_job_that_collects_nothing_else(driver, balanced):
    class Silent(Tens):
        collect_output = False

    BAD.update({7, 9})
    job = run(driver, Silent)
    assert [told["record"] for told in rejects(job)] == [7, 9]
    assert balanced(job)["outputs"] == {"rejects": 2}


# What is rejected, and what fails -----------------------------------------------------------------


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), MemoryError("full"), KeyringError("none")])
def test_what_is_not_about_the_record_fails_its_slice_all_the_same(driver, balanced, error):
    class Troubled(Tens, kind="tests.batch.rejects.Troubled"):
        def perform(self, record):
            if record == 4:
                raise error
            return super().perform(record)

    BAD.add(2)
    job = run(driver, Troubled, range(1, 11))
    assert job.state is State.FAILED
    assert [failed.record_number for failed in job.each_failed_record()] == [4]
    assert list(job.output.records()) == [10, 30]
    assert len(rejects(job)) == 1
    balanced(job)


def test_a_subclass_may_let_some_exceptions_fail_the_slice(driver):
    class Picky(Tens):
        def rejects_record(self, error):
            return super().rejects_record(error) and not isinstance(error, ValueError)

    BAD.add(4)
    assert run(driver, Picky).state is State.FAILED


def test_a_result_that_cannot_be_stored_rejects_its_record(driver, balanced):
    class Odd(Tens):
        def perform(self, record):
            return {record} if record in BAD else record

    BAD.update({1, 5, 10})
    job = run(driver, Odd, range(1, 11))
    assert list(job.output.records()) == [2, 3, 4, 6, 7, 8, 9]
    assert [told["record"] for told in rejects(job)] == [1, 5, 10]
    assert "builtins.set cannot be stored" in rejects(job)[0]["reason"]
    balanced(job)


def test_a_result_for_an_output_that_there_is_not_is_a_fault_of_the_code_and_fails(driver):
    class Lost(Tens):
        def perform(self, record):
            return Result(record, "nowhere")

    job = run(driver, Lost)
    assert job.state is State.FAILED
    assert next(job.each_failed_record()).failure.class_name.endswith("UnknownCategory")


def test_a_result_cannot_be_put_among_the_rejects(driver):
    class Sly(Tens):
        def perform(self, record):
            return Result(record, "rejects")

    job = run(driver, Sly)
    assert job.state is State.FAILED
    assert "raise an exception" in next(job.each_failed_record()).failure.message


def test_a_row_that_its_format_cannot_read_is_rejected_with_its_line(driver, tmp_path, balanced):
    class Rows(BatchJob):
        input_category = InputCategory(format="csv")
        slice_size = 2
        collect_output = True
        on_record_error = "reject"

        def perform(self, row):
            return int(row["n"])

    path = tmp_path / "in.csv"
    path.write_text('n,text\n1,"a\nb"\nx,c\n"3"y,d\n4,e\n')
    job = Rows()
    job.upload(path)
    job.save()
    driver.run()
    job.reload()
    assert list(job.output.records()) == [1, 4]
    assert [(told["record_number"], told["line"], told["record"]) for told in rejects(job)] == [
        (2, 4, "x,c"),
        (3, 5, '"3"y,d'),
    ]
    balanced(job)


def test_several_outputs_stay_in_order_around_what_is_rejected(driver, balanced):
    class Parted(Tens):
        output_categories = ["main", "odd", OutputCategory(name="some", nils=False)]  # noqa: RUF012

        def perform(self, record):
            super().perform(record)
            return Result(None, "some") if record % 5 == 0 else Result(record, "odd" if record % 2 else "main")

    BAD.update({3, 4, 11, 12})
    job = run(driver, Parted)
    kept = [n for n in range(1, 75) if n not in BAD and n % 5]
    assert list(job.output["odd"].records()) == [n for n in kept if n % 2]
    assert list(job.output["main"].records()) == [n for n in kept if not n % 2]
    assert list(job.output["some"].records()) == []
    balanced(job)


class Swinging(BatchJob, kind="tests.batch.rejects.Swinging"):
    output_categories = ["main", "other"]  # noqa: RUF012
    on_record_error = "reject"

    def perform(self, record):
        kind, value = record
        if kind == "raise":
            raise ValueError(value)
        if kind == "stop":
            raise SystemExit(value)
        return {"main": value, "other": Result(value, "other"), "set": {value}, "none": None}[kind]


KINDS = st.sampled_from(["main", "other", "raise", "set", "none", "stop"])


@given(st.lists(KINDS, min_size=1, max_size=25), st.integers(0, 5))
def test_each_record_gives_one_result_or_one_reject_at_its_own_place(kinds, done):
    records = [(kind, number) for number, kind in enumerate(kinds)]
    work = SliceWork(7, 101, min(done, len(records) - 1), encode_records(records))
    outcome = perform_slice(Swinging(), work)
    begun = work.done
    stop = next((n for n in range(begun, len(kinds)) if kinds[n] == "stop"), len(kinds))
    assert (outcome.done, outcome.failure is None) == (stop, stop == len(kinds))
    found = {}
    for output in outcome.outputs:
        assert output.place[0] == 7
        for offset, value in enumerate(decode_records(output.payload)):
            found.setdefault(output.category, []).append((output.place[1], offset, value))
    expected = range(begun, stop)
    bad = [n for n in expected if kinds[n] in ("raise", "set")]
    assert [told["record_number"] - 101 for *_, told in sorted(found.get("rejects", []), key=lambda it: it[0])] == bad
    assert [place for place, *_ in found.get("rejects", [])] == bad
    assert outcome.rejected == len(bad)
    for name, wanted in (("main", {"main", "none"}), ("other", {"other"})):
        told = [value for *_, value in sorted(found.get(name, []), key=lambda it: it[:2])]
        assert told == [n if kinds[n] != "none" else None for n in expected if kinds[n] in wanted]


# How many there may be ----------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "bad"), [(4, 4), (0.05, 3), (0, 0), (0.29, 21), (1, 1)])
def test_as_many_as_allowed_may_be_rejected_and_not_one_more(driver, balanced, most, bad):
    BAD.update(range(1, bad + 1))
    job = run(driver, max_rejects=most, destroy_on_complete=False)
    assert job.state is State.COMPLETED
    BAD.add(74)
    job = run(driver, max_rejects=most)
    failure = parse_failure(job.row.exception)
    assert (job.state, failure.class_name) == (State.FAILED, "TooManyRejects")
    assert failure.message == f"{bad + 1} records were rejected, and max_rejects allows {bad}"
    balanced(job)


@pytest.mark.parametrize(("share", "count", "most"), [(0.29, 100, 29), (0.07, 100, 7), (0.005, 1000, 5), (0.999, 3, 2)])
def test_a_share_is_of_all_records_to_the_last_one(driver, share, count, most):
    BAD.update(range(1, most + 1))
    assert run(driver, records=range(1, count + 1), max_rejects=share).state is State.COMPLETED
    BAD.add(count)
    assert run(driver, records=range(1, count + 1), max_rejects=share).state is State.FAILED


def test_a_job_over_its_budget_fails_at_once_and_does_not_do_the_rest(driver, balanced):
    BAD.update({1, 2})
    job = run(driver, max_rejects=1)
    assert job.state is State.FAILED
    driver.run()
    # One slice was handed out already.
    assert balanced(job)["queued"] >= 54


def test_one_that_failed_over_its_budget_goes_on_when_it_is_raised(driver, balanced):
    BAD.update({1, 2})
    job = run(driver, max_rejects=1)
    job.max_rejects = 2
    job.save()
    job.retry()
    driver.run()
    assert job.reload().state is State.COMPLETED
    assert list(job.output.records()) == [n * 10 for n in range(3, 75)]
    balanced(job)


def test_one_that_failed_over_its_budget_fails_again_when_nothing_was_changed(driver):
    BAD.add(74)
    job = run(driver, max_rejects=0)
    job.retry()
    driver.run()
    assert parse_failure(job.reload().row.exception).class_name == "TooManyRejects"


def test_performed_here_and_now_more_rejects_than_allowed_fail_too(configured_store, balanced):
    BAD.update({2, 13})
    job = Tens(max_rejects=1)
    job.upload(range(1, 75))
    with pytest.raises(Exception, match="2 records were rejected, and max_rejects allows 1"):
        job.perform_now()
    assert len(rejects(job)) == 2
    balanced(job)
    job.max_rejects = None
    job.perform_now()
    assert list(job.output.records()) == [n * 10 for n in range(1, 75) if n not in BAD]


# Not together with transactions -------------------------------------------------------------------


def test_a_class_that_rejects_records_in_transactions_is_refused():
    from penstock import Transaction

    with pytest.raises(
        ConfigurationError, match=r"Both\.on_record_error = \"reject\" cannot go with Transaction or StoreTransaction"
    ):

        class Both(Transaction, BatchJob):
            on_record_error = "reject"

            def perform(self, record):
                pass


def test_a_job_in_transactions_cannot_be_told_to_reject(configured_store):
    from penstock import Transaction

    class Safe(Transaction, BatchJob):
        def perform(self, record):
            pass

    with pytest.raises(ValueError, match="cannot go with Transaction or StoreTransaction"):
        Safe(on_record_error="reject")


# In a file ----------------------------------------------------------------------------------------


def test_rejects_are_downloaded_with_their_header_and_quoted(driver, tmp_path):
    class Strict(Tens):
        def perform(self, record):
            raise ValueError(f'"{record}", no')

    records = ['a,"b"', "two\nlines", "", None, 7, {"x": Decimal("1.5")}, [1, "y"], b"raw"]
    job = run(driver, Strict, records)
    assert job.download(tmp_path / "rejects.csv", "rejects") == len(records)
    with (tmp_path / "rejects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["record_number"] for row in rows] == [str(n + 1) for n in range(len(records))]
    assert [row["record"] for row in rows[:3]] == records[:3]
    assert rows[0]["reason"] == 'ValueError: "a,"b"", no'
    assert json.loads(rows[5]["record"]) == {"x": "1.5"}
    job.download(tmp_path / "rejects.jsonl", "rejects")
    lines = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert [line["record_number"] for line in lines] == list(range(1, len(records) + 1))


def test_the_rejects_of_a_job_without_any_are_a_header(driver, tmp_path):
    job = run(driver, destroy_on_complete=False)
    assert job.download(tmp_path / "rejects.csv", "rejects") == 0
    assert (tmp_path / "rejects.csv").read_text() == "record_number,line,reason,record\n"
