"""Parquet files: there and back, and against pyarrow itself."""
# ruff: noqa: DTZ001, DTZ901  # datetimes without a zone are a type of their own here

import io
import math
import os
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tabular.shapes import any_texts, parsed, rendered, texts

from penstock.errors import BadRow, ConfigurationError, InputError, MissingExtra, OutputError
from penstock.streams import open_writer
from penstock.tabular import TableFormat, format_named, format_of, parquet, parquet_types

pa = pytest.importorskip("pyarrow")
pa_csv = pytest.importorskip("pyarrow.csv")
pq = pytest.importorskip("pyarrow.parquet")


class Colour(Enum):
    RED = "r"


def write(target, columns, *chunks, **options):
    with format_named("parquet").write(target, columns, options=options) as writer:
        for rows in chunks:
            writer.write(rows)


def read(source, **options):
    with format_named("parquet", options).read(source) as table:
        return table.columns, list(table)


def there_and_back(*values, **options):
    file = io.BytesIO()
    write(file, ["a"], [[value] for value in values], **options)
    file.seek(0)
    return [row[0] for row in read(file)[1]]


def test_it_is_a_format_of_tables():
    form = format_named("parquet")
    assert isinstance(form, TableFormat)
    assert form.writable
    assert format_of("a.parquet") == format_of("a.pq") == "parquet"


def test_rows_come_back_with_their_types(tmp_path):
    columns = ["s", "i", "f", "b", "d", "t", "dt", "z", "dec", "x", "n"]
    berlin = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    rows = [
        [
            "ü\n\x00",
            1,
            1.5,
            True,
            date(2026, 1, 2),
            time(3, 4, 5, 6),
            datetime(2026, 1, 2, 3),
            berlin,
            Decimal("1.10"),
            b"\xff",
            None,
        ],
        [None] * 11,
        ["", -(2**63), math.inf, False, date.min, time.max, datetime.max, berlin, Decimal("-0.01"), b"", None],
    ]
    write(tmp_path / "a.parquet", columns, rows)
    got_columns, got = read(tmp_path / "a.parquet")
    assert (got_columns, got) == (columns, rows)
    assert [list(map(type, row)) for row in got] == [list(map(type, row)) for row in rows]
    assert got[0][7].tzinfo == ZoneInfo("Europe/Berlin")


def column_values(kind, min_size=1):
    return st.lists(st.none() | kind, min_size=min_size, max_size=8)


@given(
    st.one_of(
        column_values(texts | any_texts),
        column_values(st.integers(-(2**63), 2**63 - 1)),
        column_values(st.floats(allow_nan=False)),
        column_values(st.booleans()),
        column_values(st.binary(max_size=20)),
        column_values(st.dates()),
        column_values(st.times()),
        column_values(st.datetimes()),
        column_values(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))),
        column_values(st.decimals(-(10**9), 10**9, places=4)),
    )
)
def test_values_of_one_type_come_back(values):
    assert there_and_back(*values) == values


@pytest.mark.parametrize(
    ("given_values", "expected"),
    [
        ([UUID(int=1), "x"], [str(UUID(int=1)), "x"]),
        ([1, 2.5], [1.0, 2.5]),
        ([1, Decimal("2.50")], [Decimal("1.00"), Decimal("2.50")]),
        ([Colour.RED, "x"], ["r", "x"]),
        ([None, None], [None, None]),
    ],
)
def test_what_fits_together_becomes_one_type(given_values, expected):
    assert there_and_back(*given_values) == expected


def test_datetimes_of_several_zones_are_kept_in_utc():
    values = [datetime(2026, 1, 2, tzinfo=ZoneInfo("Asia/Tokyo")), datetime(2026, 1, 2, tzinfo=UTC)]
    got = there_and_back(*values)
    assert got == values
    assert {str(value.tzinfo) for value in got} == {"UTC"}


def test_a_fixed_offset_is_kept():
    value = datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2, minutes=30)))
    assert there_and_back(value)[0].utcoffset() == timedelta(hours=2, minutes=30)


class TestAgainstPyarrow:
    def test_it_reads_what_is_written_in_groups_of_50000_rows(self, tmp_path):
        path = tmp_path / "a.parquet"
        write(
            path, ["n", "s"], *([[n, f"x{n}"] for n in range(start, start + 999)] for start in range(0, 119_880, 999))
        )
        file = pq.ParquetFile(path)
        groups = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
        assert groups == [50_000, 50_000, 19_880]
        table = file.read()
        assert table["n"].to_pylist() == list(range(119_880))
        assert [str(field.type) for field in table.schema] == ["int64", "string"]

    def test_what_it_writes_is_read(self, tmp_path):
        path = tmp_path / "a.parquet"
        columns = {
            "n": pa.array([1, None, 3], pa.int8()),
            "ns": pa.array([datetime(2026, 1, 2, 3, 4, 5, 6)] * 3, pa.timestamp("ns")),
            "z": pa.array([datetime(2026, 1, 2)] * 3, pa.timestamp("s", tz="America/New_York")),
            "t": pa.array([time(1, 2, 3)] * 3, pa.time64("ns")),
            "d": pa.array(["a", "b", "a"]).dictionary_encode(),
            "l": pa.array([[1, 2], [], None]),
            "m": pa.array([{"x": 1}, None, {"x": 2}]),
        }
        pq.write_table(pa.table(columns), path, row_group_size=2)
        names, rows = read(path)
        assert names == list(columns)
        zoned = datetime(2026, 1, 1, 19, tzinfo=ZoneInfo("America/New_York"))
        at = [datetime(2026, 1, 2, 3, 4, 5, 6), zoned, time(1, 2, 3)]
        assert rows == [
            [1, *at, "a", [1, 2], {"x": 1}],
            [None, *at, "b", [], None],
            [3, *at, "a", None, {"x": 2}],
        ]

    def test_nanoseconds_that_python_cannot_hold_are_refused_with_their_column(self, tmp_path):
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"when": pa.array([1], pa.timestamp("ns"))}), path)
        with pytest.raises(InputError, match=r"a.parquet: column when holds a timestamp\[ns\] that is finer"):
            read(path)

    @given(st.lists(st.tuples(texts, st.none() | texts), min_size=1, max_size=6))
    def test_it_reads_our_csv(self, rows):
        text = "\n".join(["a,b", *rendered("csv", rows, ["a", "b"])]) + "\n"
        table = pa_csv.read_csv(
            io.BytesIO(text.encode()),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types={"a": pa.string(), "b": pa.string()},
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )
        assert list(zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True)) == rows

    @given(st.lists(st.tuples(texts, st.none() | texts), min_size=1, max_size=6))
    def test_we_read_its_csv(self, rows):
        out = io.BytesIO()
        pa_csv.write_csv(
            pa.table({"a": [row[0] for row in rows], "b": pa.array([row[1] for row in rows], pa.string())}), out
        )
        from penstock.streams import cut_lines

        pieces = cut_lines(io.BytesIO(out.getvalue()), name="a", records_per_slice=3, quoted=True, delimiter=b"\n")
        lines = [line for piece in pieces for line in piece.lines or (piece.text or b"").split(b"\n")[:-1]]
        got = parsed("csv", [line.decode() for line in lines][1:], ["a", "b"])
        assert [(row["a"], row["b"]) for row in got] == rows


class TestRefusedValues:
    @pytest.mark.parametrize(
        ("values", "why"),
        [
            (
                [1, None, "x"],
                "column a, row 3: this str does not fit into a column of int; convert it, or name the type",
            ),
            (["x", 1], "column a, row 2: this int does not fit into a column of string"),
            ([True, 1], "column a, row 2: this int does not fit into a column of bool"),
            ([1, True], "column a, row 2: this bool does not fit into a column of int"),
            ([1, 2**63], "column a, row 2: this int does not fit into a column of int"),
            ([1.5, 2**53 + 1], "column a, row 2: this int does not fit into a column of float"),
            (
                [date(2026, 1, 1), datetime(2026, 1, 1)],
                "column a, row 2: this datetime does not fit into a column of date",
            ),
            (
                [datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)],
                "row 2: this datetime does not fit into a column of datetime;",
            ),
            (
                [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1)],
                r"row 2: this datetime .* column of datetime\[UTC\]",
            ),
            ([time(1), time(1, tzinfo=UTC)], "column a, row 2: this time does not fit into a column of time"),
            ([None, [1]], "column a, row 2: parquet has no form for a list"),
            ([{"x": 1}], "column a, row 1: parquet has no form for a dict"),
            ([Decimal("NaN")], "column a, row 1: this Decimal does not fit"),
            (["x", "\ud800"], "column a, row 2: this str does not fit"),
        ],
    )
    def test_they_are_named_with_column_and_row_and_nothing_is_left_behind(self, tmp_path, values, why):
        with pytest.raises(BadRow, match=why):
            write(tmp_path / "a.parquet", ["a"], [[value] for value in values])
        assert list(tmp_path.iterdir()) == []

    def test_a_type_that_changes_in_a_later_group_is_named_with_its_row_in_the_file(self, tmp_path):
        rows = [[n, None] for n in range(60_000)]
        rows[55_000][0] = "secret"
        with pytest.raises(BadRow, match="column a, row 55,001: this str does not fit into a column of int") as caught:
            write(tmp_path / "a.parquet", ["a", "b"], rows)
        assert caught.value.position == 55_000
        assert list(tmp_path.iterdir()) == []

    def test_a_row_of_another_width_is_refused(self, tmp_path):
        with pytest.raises(BadRow, match="row 3: it has 1 values for 2 columns"):
            write(tmp_path / "a.parquet", ["a", "b"], [[1, 2], [3, 4]], [[5]])


class TestTypes:
    @pytest.mark.parametrize(
        ("name", "value", "arrow"),
        [
            ("string", "x", "string"),
            ("int", 1, "int64"),
            ("float", 1, "double"),
            ("bool", True, "bool"),
            ("bytes", b"x", "binary"),
            ("date", date(2026, 1, 1), "date32[day]"),
            ("time", time(1), "time64[us]"),
            ("datetime", datetime(2026, 1, 1), "timestamp[us]"),
            ("datetime[Europe/Paris]", datetime(2026, 1, 1, tzinfo=UTC), "timestamp[us, tz=Europe/Paris]"),
            ("decimal(12, 2)", Decimal("1.5"), "decimal128(12, 2)"),
        ],
    )
    def test_a_column_has_the_type_that_is_named(self, tmp_path, name, value, arrow):
        path = tmp_path / "a.parquet"
        write(path, ["a"], [[None], [value]], types={"a": name})
        assert str(pq.read_schema(path).field("a").type) == arrow
        assert read(path)[1][1][0] == value

    @pytest.mark.parametrize("name", ["text", "decimal(39,2)", "decimal(2,3)", "datetime[Nowhere/Land]"])
    def test_a_type_that_there_is_not_is_refused(self, tmp_path, name):
        with pytest.raises(ConfigurationError, match="column a: there is no "):
            write(tmp_path / "a.parquet", ["a"], types={"a": name})
        assert list(tmp_path.iterdir()) == []

    def test_a_type_for_no_column_is_refused(self, tmp_path):
        with pytest.raises(ConfigurationError, match="there are types for b, but no such columns"):
            write(tmp_path / "a.parquet", ["a"], types={"b": "int"})

    def test_a_value_that_does_not_fit_the_named_type_is_refused(self, tmp_path):
        with pytest.raises(BadRow, match=r"column a, row 1: this Decimal does not fit into a column of decimal\(4,1\)"):
            write(tmp_path / "a.parquet", ["a"], [[Decimal("1.25")]], types={"a": "decimal(4,1)"})


class TestFiles:
    def test_without_rows_there_are_columns_all_the_same(self, tmp_path):
        write(tmp_path / "a.parquet", ["a", "b"])
        assert read(tmp_path / "a.parquet") == (["a", "b"], [])

    def test_an_old_file_stays_when_the_block_raises(self, tmp_path):
        path = tmp_path / "a.parquet"
        path.write_bytes(b"old")

        def fail():
            with format_named("parquet").write(path, ["a"]) as writer:
                writer.write([[n] for n in range(60_000)])
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_full_disk_is_an_output_error(self):
        if not Path("/dev/full").exists():
            pytest.skip("there is no /dev/full")
        with pytest.raises(OutputError, match="the disk is full"):
            write("/dev/full", ["a"], [[os.urandom(30)] for _ in range(60_000)])

    def test_a_compressed_file_is_copied_to_be_read_or_refused(self, tmp_path):
        path = tmp_path / "a.parquet.gz"
        write(path, ["a"], [["x"]])
        assert read(path) == (["a"], [["x"]])
        with pytest.raises(InputError, match="to read parquet from a compressed file or a pipe takes a copy on disk"):
            read(path, spool=False)

    def test_a_file_object_is_read_and_left_open(self, tmp_path):
        write(tmp_path / "a.parquet", ["a"], [["x"]])
        with (tmp_path / "a.parquet").open("rb") as file:
            assert read(file)[1] == [["x"]]
            assert not file.closed

    def test_a_file_object_that_cannot_seek_is_copied(self, tmp_path):
        write(tmp_path / "a.parquet", ["a"], [["x"]])

        class Pipe(io.BytesIO):
            def seekable(self):
                return False

        assert read(Pipe((tmp_path / "a.parquet").read_bytes()))[1] == [["x"]]

    @pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-9], lambda data: data[9:]])
    def test_a_damaged_file_is_an_input_error(self, tmp_path, damage):
        path = tmp_path / "a.parquet"
        write(path, ["a"], [["x"]])
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(InputError, match=r"a.parquet: this is no sound parquet file \(.*\); fetch it again"):
            read(path)

    def test_damage_in_the_middle_is_an_input_error(self, tmp_path):
        path = tmp_path / "a.parquet"
        write(path, ["a"], [[os.urandom(50)] for _ in range(2000)])
        data = bytearray(path.read_bytes())
        data[4:60] = bytes(56)
        path.write_bytes(data)
        with pytest.raises(InputError, match="no sound parquet file"):
            read(path)

    def test_a_file_that_is_not_there_is_an_input_error(self, tmp_path):
        with pytest.raises(InputError, match="there is no such file"):
            read(tmp_path / "a.parquet")

    def test_long_values_end_a_group_early(self, tmp_path, monkeypatch):
        monkeypatch.setattr(parquet, "GROUP_BYTES", 1000)
        write(tmp_path / "a.parquet", ["a"], *([["x" * 400]] for _ in range(7)))
        file = pq.ParquetFile(tmp_path / "a.parquet")
        assert [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)] == [3, 3, 1]

    def test_a_compression_that_there_is_not_is_refused(self, tmp_path):
        with pytest.raises(
            ConfigurationError, match="there is no compression 'zip' of parquet; known are none, snappy"
        ):
            write(tmp_path / "a.parquet", ["a"], compression="zip")

    @pytest.mark.parametrize("compression", ["none", "zstd"])
    def test_columns_are_compressed_as_asked(self, tmp_path, compression):
        write(tmp_path / "a.parquet", ["a"], [["x"]], compression=compression)
        column = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0).column(0)
        assert column.compression == {"none": "UNCOMPRESSED"}.get(compression, compression.upper())

    def test_an_option_that_there_is_not_is_refused(self, tmp_path):
        with pytest.raises(
            ConfigurationError, match="parquet has no option level; known are: types, compression, spool"
        ):
            write(tmp_path / "a.parquet", ["a"], level=3)


def test_without_pyarrow_the_line_to_install_it_is_told(monkeypatch, tmp_path):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(parquet_types.importlib, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"pip install 'penstock\[arrow\]'"):
        read(tmp_path / "a.parquet")
    with pytest.raises(MissingExtra, match=r"parquet needs an optional library"):
        write(tmp_path / "a.parquet", ["a"])
    assert list(tmp_path.iterdir()) == []


def test_the_stream_of_a_name_may_be_overridden(tmp_path):
    path = tmp_path / "a.bin"
    write(path, ["a"], [["x"]], streams=["gz"])
    assert read(path, streams=["gz"])[1] == [["x"]]
    with open_writer(tmp_path / "b.gz", streams=[]) as file:
        write(file, ["a"], [["y"]])
    assert read(tmp_path / "b.gz", streams=[])[1] == [["y"]]
