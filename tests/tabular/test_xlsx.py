"""Sheets of xlsx files, by both readers."""
# ruff: noqa: DTZ001  # cells have no time zone

import io
import zipfile
from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import ConfigurationError, InputError, MissingExtra
from penstock.tabular import TableFormat, format_named, format_of, xlsx

openpyxl = pytest.importorskip("openpyxl")
pytest.importorskip("python_calamine")

READERS = ["calamine", "openpyxl"]
BOTH = pytest.mark.parametrize("reader", READERS)


def book(target, **sheets):
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for number, row in enumerate(rows, 1):
            for column, value in enumerate(row, 1):
                if value is not None:
                    cell = sheet.cell(number, column, value)
                    if isinstance(value, timedelta):
                        cell.number_format = "[h]:mm:ss"
    workbook.save(target)
    return target


def read(source, **options):
    with format_named("xlsx", options).read(source) as table:
        return table.columns, list(table)


def test_it_is_a_format_of_tables_that_is_only_read(tmp_path):
    form = format_named("xlsx")
    assert isinstance(form, TableFormat)
    assert not form.writable
    assert format_of("a.xlsx") == format_of("a.xlsm.gz") == "xlsx"
    with pytest.raises(ConfigurationError, match="xlsx is only read; write csv or parquet"):
        form.write(tmp_path / "a.xlsx", ["a"])


@BOTH
class TestBothReaders:
    def test_cells_have_their_types(self, tmp_path, reader):
        row = ["ü\nx", 42, -1.5, True, date(2026, 1, 2), datetime(2026, 1, 2, 3, 4, 5), time(3, 4, 5), "007", 1e20]
        path = book(tmp_path / "a.xlsx", A=[[f"c{n}" for n in range(9)], row])
        columns, rows = read(path, reader=reader)
        assert columns == [f"c{n}" for n in range(9)]
        assert rows == [row]
        assert [type(value) for value in rows[0]] == [type(value) for value in row]

    def test_midnight_is_a_date_and_a_duration_is_text(self, tmp_path, reader):
        rows = [["a", "b"], [datetime(2026, 1, 2), timedelta(hours=30, seconds=5)]]
        assert read(book(tmp_path / "a.xlsx", A=rows), reader=reader)[1] == [[date(2026, 1, 2), "30:00:05"]]

    def test_whole_numbers_are_int_as_far_as_a_float_is_exact(self, tmp_path, reader):
        rows = [["a", "b"], [2.0, float(2**60)]]
        got = read(book(tmp_path / "a.xlsx", A=rows), reader=reader)[1][0]
        assert got[0] == 2
        assert type(got[0]) is int

    def test_rows_are_as_wide_as_the_header(self, tmp_path, reader):
        path = book(tmp_path / "a.xlsx", A=[["a", "b", "c"], ["x"], ["x", None, "z"], ["x", "y", "z", "more"]])
        assert read(path, reader=reader) == (
            ["a", "b", "c"],
            [["x", None, None], ["x", None, "z"], ["x", "y", "z"]],
        )

    def test_a_table_may_begin_anywhere_and_rows_know_where_they_are(self, tmp_path, reader):
        path = book(tmp_path / "a.xlsx", A=[[], [], [None, None, "a", "b"], [None, None, 1, 2]])
        with format_named("xlsx", {"reader": reader}).read(path) as table:
            assert (table.columns, table.first_row, list(table)) == (["a", "b"], 4, [[1, 2]])

    def test_blank_rows_are_kept_between_others_and_dropped_at_the_end(self, tmp_path, reader):
        path = book(tmp_path / "a.xlsx", A=[["a", "b"], [1, 2], [], [""], [3, 4], [], ["", ""]])
        assert read(path, reader=reader)[1] == [[1, 2], [None, None], [None, None], [3, 4]]

    def test_a_column_without_a_name_is_empty_in_the_header(self, tmp_path, reader):
        assert read(book(tmp_path / "a.xlsx", A=[["a", None, 3.0], [1, 2, 3]]), reader=reader) == (
            ["a", "", "3"],
            [[1, 2, 3]],
        )

    def test_errors_of_formulas_are_none(self, tmp_path, reader):
        path = book(tmp_path / "a.xlsx", A=[["a", "b", "c"], ["#DIV/0!", "#N/A", "#1"]])
        assert read(path, reader=reader)[1] == [[None, None, "#1"]]

    def test_a_sheet_is_chosen_by_its_name_and_else_the_first(self, tmp_path, reader):
        path = book(tmp_path / "a.xlsx", One=[["a"], [1]], Two=[["b"], [2]])
        assert read(path, reader=reader) == (["a"], [[1]])
        assert read(path, reader=reader, sheet="Two") == (["b"], [[2]])
        with pytest.raises(InputError, match=r"a.xlsx: there is no sheet 'two'; it has: One, Two"):
            read(path, reader=reader, sheet="two")

    def test_an_empty_sheet_has_no_columns_and_no_rows(self, tmp_path, reader):
        assert read(book(tmp_path / "a.xlsx", A=[]), reader=reader) == ([], [])

    def test_a_sheet_that_lies_about_its_size_is_read_to_its_end(self, tmp_path, reader):
        book(tmp_path / "a.xlsx", A=[["a", "b"], [1, 2], [3, 4]])
        with zipfile.ZipFile(tmp_path / "a.xlsx") as old, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
            for member in old.infolist():
                data = old.read(member).replace(b'<dimension ref="A1:B3"', b'<dimension ref="A1:A1"')
                new.writestr(member, data)
        assert read(tmp_path / "b.xlsx", reader=reader) == (["a", "b"], [[1, 2], [3, 4]])

    def test_a_compressed_file_is_copied_to_be_read_or_refused(self, tmp_path, reader):
        from penstock.streams import open_writer

        with open_writer(tmp_path / "a.xlsx.gz") as file:
            file.write(book(tmp_path / "a.xlsx", A=[["a"], [1]]).read_bytes())
        assert read(tmp_path / "a.xlsx.gz", reader=reader) == (["a"], [[1]])
        with pytest.raises(
            InputError, match="to read xlsx from a compressed file or a pipe takes a copy on disk, and none"
        ):
            read(tmp_path / "a.xlsx.gz", reader=reader, spool=False)

    def test_a_file_object_is_read_and_left_open(self, reader):
        file = book(io.BytesIO(), A=[["a"], [1]])
        file.seek(0)
        assert read(file, reader=reader) == (["a"], [[1]])
        assert not file.closed

    @pytest.mark.parametrize(
        "damage", [lambda _: b"", lambda _: b"a,b\n", lambda data: data[:-50], lambda data: data[:2000]]
    )
    def test_what_is_no_workbook_is_an_input_error(self, tmp_path, reader, damage):
        path = book(tmp_path / "a.xlsx", A=[["a"], [1]])
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(
            InputError, match=r"a.xlsx: this is no sound xlsx file \(.*\); save it anew as .xlsx, without"
        ):
            read(path, reader=reader)

    def test_a_sheet_that_is_broken_in_its_middle_is_an_input_error(self, tmp_path, reader):
        book(tmp_path / "a.xlsx", A=[["a"], *[[n] for n in range(100)]])
        with zipfile.ZipFile(tmp_path / "a.xlsx") as old, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
            for member in old.infolist():
                new.writestr(member, old.read(member).replace(b"<v>57</v>", b"<v>57</w>"))
        with pytest.raises(InputError, match="no sound xlsx file"):
            read(tmp_path / "b.xlsx", reader=reader)

    def test_without_its_library_the_line_to_install_it_is_told(self, tmp_path, reader, monkeypatch):
        path = book(tmp_path / "a.xlsx", A=[["a"]])

        def missing(name):
            raise ImportError(name)

        monkeypatch.setattr(xlsx.importlib, "import_module", missing)
        with pytest.raises(MissingExtra, match=r"pip install 'penstock\[files\]'"):
            read(path, reader=reader)


cells = (
    st.none()
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).map(lambda text: "x" + text)
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e9, 1e9).filter(lambda number: not number.is_integer())
    | st.booleans()
    | st.dates(date(1901, 1, 1), date(2200, 1, 1))
)


@settings(max_examples=30)
@given(st.lists(st.lists(cells, min_size=3, max_size=3).filter(any), max_size=6))
def test_both_readers_read_what_openpyxl_writes(rows):
    file = book(io.BytesIO(), A=[["a", "b", "c"], *rows])
    for reader in READERS:
        file.seek(0)
        got = read(file, reader=reader)[1]
        assert got == [[pytest.approx(value) if type(value) is float else value for value in row] for row in rows]


class TestWhichReader:
    @pytest.fixture
    def used(self, monkeypatch):
        used = []
        for name, open_rows in list(xlsx._READERS.items()):
            monkeypatch.setitem(
                xlsx._READERS,
                name,
                lambda *args, name=name, open_rows=open_rows: (used.append(name), open_rows(*args))[1],
            )
        return used

    def test_a_file_of_up_to_50_megabytes_is_read_by_calamine(self, tmp_path, used):
        read(book(tmp_path / "a.xlsx", A=[["a"]]))
        assert used == ["calamine"]
        assert xlsx.STREAM_ABOVE == 50 << 20

    @pytest.mark.parametrize("limit", ["STREAM_ABOVE", "STREAM_ABOVE_UNPACKED"])
    def test_a_larger_one_is_read_row_by_row(self, tmp_path, used, limit, monkeypatch):
        path = book(tmp_path / "a.xlsx", A=[["a"], [1]])
        monkeypatch.setattr(xlsx, limit, 1000)
        assert read(path) == (["a"], [[1]])
        assert used == ["openpyxl"]

    def test_a_reader_that_there_is_not_is_refused(self):
        with pytest.raises(ConfigurationError, match="the reader of xlsx is one of calamine, openpyxl; not 'pandas'"):
            format_named("xlsx", {"reader": "pandas"})

    def test_options_may_be_given_late(self, tmp_path):
        path = book(tmp_path / "a.xlsx", One=[["a"]], Two=[["b"]])
        with format_named("xlsx", {"sheet": "One"}).read(path, options={"sheet": "Two"}) as table:
            assert table.columns == ["b"]
        with pytest.raises(
            ConfigurationError, match="xlsx has no option page; known are: sheet, reader, spool, streams"
        ):
            format_named("xlsx").read(path, options={"page": 1})
