"""A slice performed at once: as a list, or as a table of one of the libraries."""

import time
from dataclasses import dataclass

import pytest

from penstock import BatchJob, InputCategory, Result
from penstock.errors import ConfigurationError
from penstock.model.failure import parse_failure
from penstock.states import State

LOG: list = []
BAD: set = set()


@pytest.fixture(autouse=True)
def _forgetful():
    LOG.clear()
    BAD.clear()


class Together(BatchJob, kind="tests.batch.together.Together"):
    slice_size = 10
    collect_output = True
    destroy_on_complete = False

    def perform_slice(self, records):
        LOG.append(list(records))
        self.add_statistic("slices")
        if not BAD.isdisjoint(records):
            raise ValueError("one of them is bad")
        return [record * 10 for record in records]


def run(driver, cls=Together, records=range(1, 35), **values):
    job = cls(**values)
    job.upload(records)
    job.save()
    driver.run()
    return job.reload()


def test_all_records_of_a_slice_are_given_at_once_and_their_results_come_in_order(driver, balanced):
    job = run(driver)
    assert [list(range(1, 11)), list(range(11, 21)), list(range(21, 31)), list(range(31, 35))] == LOG
    assert list(job.output.records()) == [n * 10 for n in range(1, 35)]
    assert job.statistics == {"slices": 4}
    balanced(job)


def test_one_that_raises_fails_its_slice_from_its_first_record_and_a_retry_does_it_again(driver, balanced):
    BAD.add(15)
    job = run(driver)
    assert job.state is State.FAILED
    assert [failed.record_number for failed in job.each_failed_record()] == [11]
    assert balanced(job)["failed"] == 10
    assert job.statistics == {"slices": 3}
    BAD.clear()
    job.retry()
    driver.run()
    assert list(job.output.records()) == [n * 10 for n in range(1, 35)]


def test_where_records_are_rejected_only_those_are_that_raise_also_alone(driver, balanced):
    BAD.update({1, 15, 16, 34})
    job = run(driver, on_record_error="reject")
    assert job.state is State.COMPLETED
    assert list(job.output.records()) == [n * 10 for n in range(1, 35) if n not in BAD]
    assert [told["record"] for told in job.output["rejects"].records()] == sorted(BAD)
    balanced(job)


def test_what_raises_only_together_rejects_nothing(driver):
    class Pairs(Together):
        def perform_slice(self, records):
            if len(records) > 3:
                raise ValueError("too many")
            return records

    job = run(driver, Pairs, on_record_error="reject")
    assert list(job.output.records()) == list(range(1, 35))
    assert list(job.output["rejects"].records()) == []


@pytest.mark.parametrize("given", [[1], [], list(range(11))])
def test_another_number_of_results_than_records_is_a_failure_that_says_both(driver, given):
    class Uneven(Together, kind="tests.batch.together.Uneven"):
        def perform_slice(self, records):
            return given

    job = run(driver, Uneven, range(10), on_record_error="reject")
    (failed,) = job.each_failed_record()
    assert failed.failure.class_name.endswith("UnevenSlice")
    assert failed.failure.message == f"perform_slice was given 10 records and returned {len(given)} results"


def test_results_may_name_their_outputs(driver):
    class Parted(Together):
        output_categories = ["main", "odd"]  # noqa: RUF012

        def perform_slice(self, records):
            return (Result(n, "odd") if n % 2 else n for n in records)

    job = run(driver, Parted)
    assert list(job.output["odd"].records()) == list(range(1, 35, 2))
    assert list(job.output.records()) == list(range(2, 35, 2))


class Rows(BatchJob, kind="tests.batch.together.Rows"):
    input_category = InputCategory(format="csv")
    slice_size = 4
    collect_output = True
    destroy_on_complete = False

    def perform_slice(self, rows):
        LOG.append([row["n"] for row in rows])
        return [int(row["n"]) for row in rows]


@pytest.mark.parametrize("how", ["fail", "reject"])
def test_a_row_that_cannot_be_read_is_named_and_those_before_it_are_done(driver, tmp_path, balanced, how):
    path = tmp_path / "in.csv"
    path.write_text('n\n1\n2\n"3"x\n4\n5\n')
    job = Rows(on_record_error=how)
    job.upload(path)
    job.save()
    driver.run()
    job.reload()
    if how == "fail":
        assert [failed.record_number for failed in job.each_failed_record()] == [3]
        assert list(job.output.records()) == [1, 2, 5]
    else:
        assert [told["record_number"] for told in job.output["rejects"].records()] == [3]
        assert list(job.output.records()) == [1, 2, 4, 5]
    balanced(job)


def test_it_is_ended_when_its_time_is_up(driver):
    class Slow(Together):
        timeout = 0.1

        def perform_slice(self, records):
            begun = time.monotonic()
            while 5 in records and time.monotonic() < begun + 30:
                pass
            return records

    job = run(driver, Slow)
    assert job.state is State.FAILED
    (failed,) = job.each_failed_record()
    assert (failed.record_number, failed.failure.class_name) == (1, "penstock.errors.JobTimeout")
    assert list(job.output.records()) == list(range(11, 35))


def test_where_it_has_killed_its_worker_records_are_performed_one_by_one(driver):
    job = Together()
    job.upload(range(1, 11))
    job.save()
    driver.crash(driver.take())
    driver.run()
    assert [[n] for n in range(1, 11)] == LOG
    assert list(job.reload().output.records()) == [n * 10 for n in range(1, 11)]


@dataclass
class Row:
    n: int


def test_rows_of_a_list_have_the_class_that_it_asks_for(tmp_path, configured_store):
    class Typed(Rows):
        def perform_slice(self, rows: list[Row]):
            LOG.extend(rows)
            return rows and [row.n for row in rows]

    path = tmp_path / "in.csv"
    path.write_text("n\n1\n2\n")
    job = Typed()
    job.upload(path)
    job.perform_now()
    assert [Row(1), Row(2)] == LOG


# Tables of the libraries --------------------------------------------------------------------------

ROWS = [{"n": n, "text": f"t{n}"} for n in range(1, 26)]


def test_an_arrow_table_goes_in_and_an_array_or_a_table_comes_out(driver):
    pytest.importorskip("pyarrow", reason="pip install 'penstock[arrow]'")
    import pyarrow.compute as pc

    class Doubled(Together):
        slice_as = "arrow"

        def perform_slice(self, table):
            LOG.append(type(table).__name__)
            return pc.multiply(table["n"], 2) if table["n"][0].as_py() == 1 else table

    job = run(driver, Doubled, ROWS)
    assert list(job.output.records()) == [row["n"] * 2 for row in ROWS[:10]] + ROWS[10:]
    assert LOG == ["Table"] * 3


def test_a_pandas_frame_goes_in_and_a_series_or_a_frame_comes_out(driver):
    pytest.importorskip("pandas", reason="pip install pandas")

    class Doubled(Together):
        slice_as = "pandas"

        def perform_slice(self, frame):
            LOG.append(type(frame).__name__)
            return frame["n"] * 2 if frame["n"].iloc[0] == 1 else frame

    job = run(driver, Doubled, ROWS)
    assert list(job.output.records()) == [row["n"] * 2 for row in ROWS[:10]] + ROWS[10:]
    assert LOG == ["DataFrame"] * 3


def test_a_polars_frame_goes_in_and_a_series_or_a_frame_comes_out(driver):
    pytest.importorskip("polars", reason="pip install polars")

    class Doubled(Together):
        slice_as = "polars"

        def perform_slice(self, frame):
            LOG.append(type(frame).__name__)
            return frame["n"] * 2 if frame["n"][0] == 1 else frame

    job = run(driver, Doubled, ROWS)
    assert list(job.output.records()) == [row["n"] * 2 for row in ROWS[:10]] + ROWS[10:]
    assert LOG == ["DataFrame"] * 3


@pytest.mark.parametrize(
    ("name", "library", "install"),
    [
        ("arrow", "pyarrow", "pip install 'penstock[arrow]'"),
        ("pandas", "pandas", "pip install pandas"),
        ("polars", "polars", "pip install polars"),
    ],
)
def test_records_that_are_no_rows_are_a_table_of_one_column(driver, name, library, install):
    pytest.importorskip(library, reason=install)

    class Values(Together):
        slice_as = name

        def perform_slice(self, table):
            return table["value"]

    assert list(run(driver, Values).output.records()) == list(range(1, 35))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"slice_as": "numpy"}, "Wrong.slice_as = 'numpy': it is one of list, arrow, pandas, polars"),
        ({"rate_limit": "fast"}, "Wrong.rate_limit: 'fast' is no rate limit"),
        ({"rate_limit": "0/minute"}, "Wrong.rate_limit: '0/minute' is no rate limit"),
    ],
)
def test_a_class_with_a_setting_that_cannot_be_is_refused(body, message):
    with pytest.raises(ConfigurationError, match=message):
        type(BatchJob)("Wrong", (BatchJob,), {"__module__": __name__, **body})


def test_a_perform_slice_that_is_async_is_refused():
    with pytest.raises(ConfigurationError, match="perform_slice is async"):

        class Wrong(BatchJob):
            async def perform_slice(self, records):
                return records


def test_a_library_that_is_not_installed_fails_the_slice_and_says_how_to_install_it(driver, monkeypatch):
    import sys

    class Framed(Together):
        slice_as = "pandas"

    monkeypatch.setitem(sys.modules, "pandas", None)
    job = run(driver, Framed)
    message = parse_failure(driver.store.failed_slice(job.id, 1).exception).message
    assert message == "slice_as needs pandas, which is not installed: pip install pandas"
