"""Formats of input and output: headers, rows of a class, columns, lines of files, several outputs and files."""

import csv
import itertools
import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TypedDict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import penstock
from penstock import BatchJob, InputCategory, OutputCategory, Result
from penstock.errors import BadHeader, ConfigurationError, InputError
from penstock.states import State
from penstock.store import open_store

SEEN: list = []


@pytest.fixture(autouse=True)
def _forgetful(configured_store):
    SEEN.clear()


class Rows(BatchJob, kind="tests.batch.formats.Rows"):
    input_category = InputCategory(format="auto")
    slice_size = 3
    collect_output = True
    destroy_on_complete = False

    def perform(self, row):
        SEEN.append(row)
        return row


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def performed(path, cls=Rows, **values):
    job = cls(**values)
    job.upload(path)
    job.perform_now()
    return job


PEOPLE = [{"first_name": "Ada", "born": "1815"}, {"first_name": "Grace, H.", "born": "1906"}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("in.csv", 'First Name,Born\nAda,1815\n"Grace, H.",1906\n'),
        ("in.csv", '\ufeff"First Name","Born"\r\nAda,1815\r\n"Grace, H.",1906'),
        ("in.tsv", "First Name\tBorn\nAda\t1815\nGrace, H.\t1906\n"),
        ("in.psv", "First Name|Born\nAda|1815\nGrace, H.|1906\n"),
        ("in.jsonl", '{"first_name": "Ada", "born": "1815"}\n{"first_name": "Grace, H.", "born": "1906"}\n'),
        ("in", 'First Name,Born\nAda,1815\n"Grace, H.",1906\n'),
    ],
)
def test_rows_are_read_by_the_name_of_the_file(tmp_path, name, text):
    performed(write(tmp_path / name, text))
    assert SEEN == PEOPLE


LAYOUT = {"layout": [{"size": 10, "key": "first_name"}, {"size": 4, "key": "born", "type": "integer"}]}


def test_lines_of_fixed_width_are_read_and_written(tmp_path):
    class Fixed(Rows):
        input_category = InputCategory(format="fixed", format_options=LAYOUT)
        output_categories = [OutputCategory(format="fixed", format_options=LAYOUT)]  # noqa: RUF012

    text = "Ada       1815\nGrace, H. 1906\n"
    job = performed(write(tmp_path / "in.txt", text), Fixed)
    assert [row["born"] for row in SEEN] == [1815, 1906]
    job.download(tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == text


def test_a_blank_line_is_none(tmp_path):
    job = performed(write(tmp_path / "in.csv", "a,b\n1,2\n\n3,4\n"))
    assert SEEN == [{"a": "1", "b": "2"}, None, {"a": "3", "b": "4"}]
    job.download(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "a,b\n1,2\n\n3,4\n"


# Headers ------------------------------------------------------------------------------------------


def test_columns_given_beforehand_mean_that_there_is_no_header(tmp_path):
    category = InputCategory(format="csv", columns=["a", None, "c"])
    performed(write(tmp_path / "in.csv", "1,2,3\n4,5,6\n"), input_category=category)
    assert SEEN == [{"a": "1", "c": "3"}, {"a": "4", "c": "6"}]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"required_columns": ["c"]}, "lacks"),
        ({"allowed_columns": ["a"]}, "b"),
        ({"allowed_columns": ["x"], "skip_unknown": True}, "none of the columns is known"),
    ],
)
def test_a_file_with_other_columns_is_refused_by_name_and_leaves_nothing(tmp_path, stored, settings, error):
    path = write(tmp_path / "in.csv", "a,b\n1,2\n")
    with pytest.raises(BadHeader, match=rf"in\.csv, line 1: .*{error}"):
        Rows(input_category=InputCategory(format="csv", **settings)).upload(path)
    assert set(stored().values()) == {0}


def test_unknown_columns_may_be_left_out(tmp_path):
    category = InputCategory(format="csv", allowed_columns=["a", "c"], skip_unknown=True)
    performed(write(tmp_path / "in.csv", "a,b,c\n1,2,3\n"), input_category=category)
    assert SEEN == [{"a": "1", "c": "3"}]


def test_names_may_stay_as_they_are(tmp_path):
    category = InputCategory(format="csv", header_cleanser="none")
    performed(write(tmp_path / "in.csv", "First Name\nAda\n"), input_category=category)
    assert SEEN == [{"First Name": "Ada"}]


def test_a_header_alone_is_no_record_and_its_output_a_header(tmp_path):
    class Known(Rows):
        output_categories = [OutputCategory(format="csv", columns=["a"])]  # noqa: RUF012

    job = performed(write(tmp_path / "in.csv", "a,b\n"), Known)
    assert job.record_count == 0
    assert job.download(tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text() == "a\n"


def test_the_first_line_may_be_taken_by_the_caller(tmp_path):
    lines = []
    job = BatchJobOfLines()
    assert job.upload(write(tmp_path / "in.txt", "# made today\na\nb\n"), on_first=lines.append) == 2
    job.perform_now()
    assert (lines, SEEN) == (["# made today"], ["a", "b"])
    assert job.input_category.locate(1) == (str(tmp_path / "in.txt"), 2)


class BatchJobOfLines(BatchJob, kind="tests.batch.formats.Lines"):
    collect_output = True

    def perform(self, line):
        SEEN.append(line)


def test_several_files_of_the_same_columns_add_up_each_with_its_header(tmp_path, driver):
    first, second = write(tmp_path / "1.csv", "a,b\n1,2\n3,4\n"), write(tmp_path / "2.csv", "A,B\r\n5,6\r\nx,8\r\n")
    job = Rows()
    assert (job.upload(first), job.upload(second)) == (2, 2)
    job.save()
    driver.run()
    assert [row["a"] for row in SEEN] == ["1", "3", "5", "x"]
    assert [job.input_category.locate(n) for n in (2, 4)] == [(str(first), 3), (str(second), 3)]


def test_a_second_file_of_other_columns_or_another_format_is_refused_and_the_first_stays(tmp_path, driver):
    first, second = write(tmp_path / "1.csv", "a,b\n1,2\n"), write(tmp_path / "2.csv", "b,a\n1,2\n")
    other = write(tmp_path / "3.jsonl", '{"a": 1, "b": 2}\n')
    job = Rows()
    job.upload(first)
    with pytest.raises(InputError, match=r"2\.csv, line 1: its columns are not those of the files before"):
        job.upload(second)
    with pytest.raises(InputError, match=r"3\.jsonl: its format jsonl is not that of the files before, csv"):
        job.upload(other)
    job.save()
    driver.run()
    assert SEEN == [{"a": "1", "b": "2"}]
    assert job.reload().state is State.COMPLETED


def test_a_file_that_was_refused_leaves_no_columns_for_the_next(tmp_path, driver):
    job = Rows()
    job.save()
    bad = write(tmp_path / "1.csv", "a,b\n1,2\n3,4\n5,6\n" * 4 + '"7,8\n')
    with pytest.raises(InputError):
        job.upload(bad)
    fresh = Rows.query.where(id=job.id).first()
    fresh.upload(write(tmp_path / "2.csv", "x,y\n1,2\n"))
    driver.run()
    assert SEEN == [{"x": "1", "y": "2"}]


# Rows of a class ----------------------------------------------------------------------------------


@dataclass
class Sale:
    day: date
    amount: Decimal
    note: str | None = None


class SaleDict(TypedDict):
    day: date
    amount: Decimal


class Total(TypedDict):
    day: date
    total: Decimal


class Sales(BatchJob, kind="tests.batch.formats.Sales"):
    input_category = InputCategory(format="csv")
    output_categories = [OutputCategory(format="csv")]  # noqa: RUF012
    destroy_on_complete = False

    def perform(self, row: Sale) -> Total:
        SEEN.append(row)
        return {"total": row.amount * 2, "day": row.day}


def test_rows_have_the_class_that_perform_asks_for_and_columns_are_those_it_says_it_returns(tmp_path):
    job = performed(write(tmp_path / "in.csv", "day,amount,note,more\n2026-01-02,1.50,,x\n2026-01-03,2,hi,\n"), Sales)
    assert [Sale(date(2026, 1, 2), Decimal("1.50")), Sale(date(2026, 1, 3), Decimal(2), "hi")] == SEEN
    job.download(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "day,total\n2026-01-02,3.00\n2026-01-03,4\n"


def test_another_output_has_the_columns_of_its_own_rows(tmp_path):
    class Parted(Sales):
        output_categories = [OutputCategory(format="csv"), OutputCategory(name="bad", format="csv")]  # noqa: RUF012

        def perform(self, row: Sale) -> Total:
            return Result({"why": "too much"}, "bad") if row.amount > 9 else super().perform(row)

    job = performed(write(tmp_path / "in.csv", "day,amount\n2026-01-02,1\n2026-01-03,10\n"), Parted)
    job.download(tmp_path / "out.csv")
    job.download(tmp_path / "bad.csv", "bad")
    assert (tmp_path / "out.csv").read_text() == "day,total\n2026-01-02,2\n"
    assert (tmp_path / "bad.csv").read_text() == "why\ntoo much\n"


def test_a_row_that_does_not_fit_fails_at_its_line_and_says_which_field(tmp_path, driver):
    job = Sales()
    job.upload(write(tmp_path / "in.csv", 'day,amount\n2026-01-02,"1\n"\nsoon,2\n'))
    job.save()
    driver.run()
    (failed,) = job.reload().each_failed_record()
    assert failed.record_number == 2
    assert job.input_category.locate(2) == (str(tmp_path / "in.csv"), 4)
    assert "day" in failed.failure.message


def test_rows_of_an_iterable_have_their_class_too(configured_store):
    class Plain(BatchJob):
        collect_output = True

        def perform(self, row: SaleDict):
            SEEN.append(row)

    job = Plain()
    job.upload([{"day": "2026-01-02", "amount": "1"}])
    job.perform_now()
    assert [{"day": date(2026, 1, 2), "amount": Decimal(1)}] == SEEN


# Outputs ------------------------------------------------------------------------------------------


def test_several_outputs_have_their_own_formats_columns_and_nils(tmp_path, balanced):
    class Parted(Rows):
        output_categories = [  # noqa: RUF012
            OutputCategory(format="csv", columns=["b", "a"]),
            OutputCategory(name="json", format="jsonl"),
            OutputCategory(name="some", nils=False),
        ]

        def perform(self, row):
            n = int(row["a"])
            return [row, Result(row, "json"), Result(None, "some"), Result(f"line {n}", "some"), None][n % 5]

    text = "a,b\n" + "".join(f'{n},"x,{n}"\n' for n in range(10))
    job = performed(write(tmp_path / "in.csv", text), Parted)
    assert job.download(tmp_path / "out.csv") == 4
    assert (tmp_path / "out.csv").read_text() == 'b,a\n"x,0",0\n\n"x,5",5\n\n'
    assert job.download(tmp_path / "out.json", "json") == 2
    assert [json.loads(line)["a"] for line in (tmp_path / "out.json").read_text().splitlines()] == ["1", "6"]
    assert job.download(tmp_path / "some.txt", "some") == 2
    assert (tmp_path / "some.txt").read_text() == "line 3\nline 8\n"
    balanced(job)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("out.csv", "a,b\n1,2\n3,4\n"),
        ("out.tsv", "a\tb\n1\t2\n3\t4\n"),
        ("out.psv", "a|b\n1|2\n3|4\n"),
        ("out.jsonl", '{"a":"1","b":"2"}\n{"a":"3","b":"4"}\n'),
    ],
)
def test_rows_are_written_as_the_name_of_the_file_says_whatever_they_came_from(tmp_path, name, text):
    job = performed(write(tmp_path / "in.csv", "a,b\n1,2\n3,4\n"))
    assert job.download(tmp_path / name) == 2
    assert (tmp_path / name).read_text().replace('": "', '":"').replace('", "', '","') == text


def test_the_header_comes_before_results_of_nothing(tmp_path):
    class Late(Rows):
        def perform(self, record):
            return None if record < 8 else {"a": record}

    for count, text in ((9, "a\n" + "\n" * 7 + "8\n9\n"), (4, "\n" * 4)):
        job = Late()
        job.upload(range(1, count + 1))
        job.perform_now()
        assert job.download(tmp_path / "out.csv") == count
        assert (tmp_path / "out.csv").read_text() == text


@pytest.mark.parametrize("before", [0, 1, 4, 9], ids=["none", "one", "over a slice", "slices"])
def test_a_table_has_the_columns_of_its_first_row_however_many_results_of_nothing_come_before(tmp_path, before):
    parquet = pytest.importorskip("pyarrow.parquet")

    class Late(Rows, kind="tests.batch.formats.Late"):
        def perform(self, row):
            return None if int(row["n"]) < before else row

    job = performed(write(tmp_path / "in.csv", "n,m\n" + "".join(f"{n},x\n" for n in range(11))), Late)
    job.download(tmp_path / "out.parquet")
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert rows == [{"n": str(n), "m": "x"} for n in range(before, 11)]


def test_a_table_of_results_that_are_no_rows_is_refused(tmp_path):
    pytest.importorskip("pyarrow")

    class Words(Rows, kind="tests.batch.formats.Words"):
        def perform(self, row):
            return row["n"]

    job = performed(write(tmp_path / "in.csv", "n\n1\n"), Words)
    with pytest.raises(ConfigurationError, match="the results in output 'main' are no rows"):
        job.download(tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_rows_that_a_worker_cannot_render_fail_at_their_record(tmp_path, driver):
    class Wrong(Rows):
        output_categories = [OutputCategory(format="csv", columns=["a"])]  # noqa: RUF012

        def perform(self, row):
            return 7 if row["a"] == "3" else row

    job = Wrong()
    job.upload(write(tmp_path / "in.csv", "a,b\n1,2\n3,4\n5,6\n"))
    job.save()
    driver.run()
    assert [failed.record_number for failed in job.reload().each_failed_record()] == [2]
    assert list(job.output.records()) == ["1"]


# Whatever is in the file --------------------------------------------------------------------------


CELLS = st.text(st.sampled_from('ab ,"\n;ü\t|'), max_size=6)


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(st.text("0123456789x", min_size=1, max_size=3), CELLS), max_size=25),
    size=st.integers(1, 7),
    cuts=st.lists(st.integers(0, 25), max_size=2),
)
def test_any_csv_comes_out_as_it_went_in_and_each_record_is_found_on_its_line(rows, size, cuts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    url = f"sqlite:///{folder / 'penstock.db'}"
    penstock.configure(store=url)
    store = open_store(url)
    job = Rows(slice_size=size)
    ends = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    lines = {}
    for part, (begin, end) in enumerate(itertools.pairwise(ends)):
        path = folder / f"{part}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["n", "text"])
            line = 2
            for at, row in enumerate(rows[begin:end], begin + 1):
                lines[at] = (str(path), line)
                line += 1 + row[1].count("\n")
                writer.writerow(row)
        assert job.upload(path) == end - begin
    if not rows:
        return
    job.perform_now()
    assert {n: job.input_category.locate(n) for n in lines} == lines
    assert job.download(folder / "out.csv") == len(rows)
    with (folder / "out.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["n", "text"], *map(list, rows)]
    store.close()
