"""Where records come from: files, whatever can be iterated, queries, dataframes."""

import gzip
import io
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from penstock import BatchJob, InputCategory
from penstock.errors import ConfigurationError, InputError, UnstorableValue
from penstock.states import State


class Echo(BatchJob, kind="tests.batch.sources.Echo"):
    slice_size = 100
    collect_output = True
    destroy_on_complete = False

    def perform(self, record):
        return record


def records_of(source, **options):
    """Return what a job is given of a source."""
    job = Echo()
    count = job.upload(source, **options)
    job.perform_now()
    found = list(job.output.records())
    assert count == len(found) == job.record_count
    return found


@pytest.fixture(autouse=True)
def _store(configured_store):
    pass


# What can be iterated -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [list, tuple, iter, lambda them: (it for it in them), dict.fromkeys], ids=range(5))
def test_whatever_can_be_iterated_gives_its_records_in_order(make):
    assert records_of(make(range(11))) == list(range(11))


def test_nothing_at_all_is_no_record():
    assert records_of([]) == []


def test_what_is_stored_of_each_may_be_made_by_a_function():
    assert records_of(range(5), map=lambda n: {"n": n}) == [{"n": n} for n in range(5)]


def test_an_iterable_that_raises_leaves_nothing_behind(stored):
    def broken():
        yield from range(10)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        Echo().upload(broken())
    assert set(stored().values()) == {0}


def test_a_map_that_raises_or_makes_what_cannot_be_stored_leaves_nothing_behind(stored):
    with pytest.raises(ZeroDivisionError):
        Echo().upload([1, 0], map=lambda n: 1 // n)
    with pytest.raises(UnstorableValue, match="record 6: "):
        Echo().upload(range(10), map=lambda n: n if n < 5 else {n})
    assert set(stored().values()) == {0}


@pytest.mark.parametrize("options", [{"columns": ["a"]}, {"run_on": 1}])
def test_options_of_queries_are_refused_for_what_is_none(options):
    with pytest.raises(ConfigurationError, match="is for queries and dataframes"):
        Echo().upload([1], **options)


def test_map_is_refused_for_a_file(tmp_path):
    (tmp_path / "in.txt").write_text("a\n")
    with pytest.raises(ConfigurationError, match="map= is for queries and iterables"):
        Echo().upload(tmp_path / "in.txt", map=str)


def test_records_are_refused_where_the_format_has_a_header_that_nobody_gave():
    class Rows(Echo):
        input_category = InputCategory(format="csv")

    with pytest.raises(ConfigurationError, match="set columns="):
        Rows().upload(["1,2"])


def test_lines_are_read_as_rows_where_the_columns_are_given():
    class Rows(Echo):
        input_category = InputCategory(format="csv", columns=["a", "b"])

    job = Rows()
    job.upload(["1,2", '"x\ny",z'])
    assert list(job.perform_now().output.records()) == [{"a": "1", "b": "2"}, {"a": "x\ny", "b": "z"}]


def test_values_are_given_as_they_are_where_the_format_is_told_by_a_file_and_there_is_none():
    class Rows(Echo):
        input_category = InputCategory(format="auto")

    job = Rows()
    job.upload([{"a": 1}])
    assert list(job.perform_now().output.records()) == [{"a": 1}]


# Files --------------------------------------------------------------------------------------------


def test_an_open_text_file_gives_its_lines_and_its_name_and_line_numbers(tmp_path, driver):
    class Strict(Echo):
        def perform(self, record):
            return int(record)

    path = tmp_path / "in.txt"
    path.write_text("1\n2\nx\n4")
    job = Strict()
    with path.open() as file:
        assert job.upload(file) == 4
    job.save()
    driver.run()
    assert job.reload().input_category.locate(3) == (str(path), 3)
    assert next(job.each_failed_record()).record == "x"
    assert records_of(io.StringIO("a\n\nb\n")) == ["a", "", "b"]


def test_an_open_binary_file_is_read_as_its_file_would_be(tmp_path):
    path = tmp_path / "in.txt.gz"
    path.write_bytes(gzip.compress("ä\nb\n".encode()))
    with path.open("rb") as file:
        assert records_of(file, streams=["gz"]) == ["ä", "b"]
    assert records_of(io.BytesIO(b"a\r\nb\r\n")) == ["a", "b"]


# Queries ------------------------------------------------------------------------------------------


@pytest.fixture
def sales():
    """A database with a table of 1,100 rows, and its model."""
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="pip install sqlalchemy")
    from sqlalchemy.orm import Session, declarative_base

    base = declarative_base()

    class Sale(base):
        __tablename__ = "sales"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        day = sqlalchemy.Column(sqlalchemy.Date)
        amount = sqlalchemy.Column(sqlalchemy.Numeric(8, 2))
        who = sqlalchemy.Column(sqlalchemy.String)

    engine = sqlalchemy.create_engine("sqlite://")
    base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Sale(day=date(2026, 1, 1), amount=Decimal("1.50"), who=f"w{n}") for n in range(1100))
        session.commit()
        yield sqlalchemy, Sale, session
    engine.dispose()


def test_a_select_of_one_column_gives_its_values(sales):
    sqlalchemy, sale, session = sales
    query = sqlalchemy.select(sale.who).order_by(sale.id)
    assert records_of(query, run_on=session) == [f"w{n}" for n in range(1100)]
    assert records_of(query, run_on=session.connection()) == [f"w{n}" for n in range(1100)]


def test_a_select_of_several_columns_gives_rows_with_their_types(sales):
    sqlalchemy, sale, session = sales
    query = sqlalchemy.select(sale.id, sale.day, sale.amount).where(sale.id <= 2).order_by(sale.id)
    row = {"day": date(2026, 1, 1), "amount": Decimal("1.50")}
    assert records_of(query, run_on=session) == [{"id": 1, **row}, {"id": 2, **row}]


def test_a_select_of_a_model_gives_its_primary_keys_or_the_columns_asked_for(sales):
    sqlalchemy, sale, session = sales
    query = sqlalchemy.select(sale).where(sale.id <= 2).order_by(sale.id)
    assert records_of(query, run_on=session) == [1, 2]
    assert records_of(query, run_on=session, columns=["who"]) == ["w0", "w1"]
    assert records_of(query, run_on=session, columns=["id", "who"]) == [
        {"id": 1, "who": "w0"},
        {"id": 2, "who": "w1"},
    ]
    assert records_of(query, run_on=session, map=lambda it: it.who) == ["w0", "w1"]


def test_a_select_needs_a_connection(sales):
    sqlalchemy, sale, _ = sales
    with pytest.raises(ConfigurationError, match="give the connection or session to run it on: run_on="):
        Echo().upload(sqlalchemy.select(sale.who))


@pytest.fixture(scope="module")
def people():
    """A Django model with 1,100 rows."""
    django = pytest.importorskip("django", reason="pip install django")
    from django.conf import settings

    if not settings.configured:
        database = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        settings.configure(DATABASES=database, USE_TZ=True, INSTALLED_APPS=[])
        django.setup()
    from django.db import connection, models

    class Person(models.Model):
        name = models.CharField(max_length=20)
        age = models.IntegerField()

        class Meta:
            app_label = "people"

    with connection.schema_editor() as editor:
        editor.create_model(Person)
    Person.objects.bulk_create([Person(name=f"p{n}", age=n) for n in range(1100)])
    return Person


def test_a_queryset_of_a_model_gives_its_primary_keys(people):
    assert records_of(people.objects.order_by("id")) == list(range(1, 1101))


def test_a_queryset_gives_the_columns_asked_for(people):
    two = people.objects.order_by("id")[:2]
    assert records_of(two, columns=["name"]) == ["p0", "p1"]
    assert records_of(two, columns=["name", "age"]) == [{"name": "p0", "age": 0}, {"name": "p1", "age": 1}]
    assert records_of(two.values("age")) == [{"age": 0}, {"age": 1}]
    assert records_of(two.values_list("age", "name")) == [(0, "p0"), (1, "p1")]
    assert records_of(two, map=lambda person: person.name) == ["p0", "p1"]


# Dataframes ---------------------------------------------------------------------------------------

AT = datetime(2026, 1, 1)  # noqa: DTZ001 - As columns of dataframes are by default.
ROWS = [
    {"n": n, "text": None if n % 3 == 0 else f"t{n}", "at": AT + timedelta(seconds=n), "x": n / 2} for n in range(1100)
]


def test_an_arrow_table_gives_its_rows():
    pyarrow = pytest.importorskip("pyarrow", reason="pip install 'penstock[arrow]'")
    table = pyarrow.Table.from_pylist(ROWS)
    assert records_of(table) == ROWS
    assert records_of(table, columns=["n"]) == [{"n": row["n"]} for row in ROWS]
    assert records_of(table, map=lambda row: row["n"]) == [row["n"] for row in ROWS]
    batch = table.to_batches()[0]
    assert records_of(batch) == ROWS
    assert records_of(pyarrow.RecordBatchReader.from_batches(table.schema, table.to_batches())) == ROWS


def test_a_pandas_frame_gives_its_rows_with_types_of_python_and_none_for_what_is_missing():
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    frame = pandas.DataFrame.from_records(ROWS)
    assert records_of(frame) == ROWS
    assert [type(value) for value in records_of(frame)[1].values()] == [int, str, datetime, float]
    assert records_of(frame, columns=["n"]) == [{"n": row["n"]} for row in ROWS]
    with_gaps = pandas.DataFrame({"n": [1.0, None], "at": [AT, None]})
    assert records_of(with_gaps) == [{"n": 1.0, "at": AT}, {"n": None, "at": None}]


def test_a_polars_frame_gives_its_rows_lazy_or_not():
    polars = pytest.importorskip("polars", reason="pip install polars")
    frame = polars.from_dicts(ROWS)
    assert records_of(frame) == ROWS
    assert records_of(frame.lazy()) == ROWS
    assert records_of(frame, columns=["n"]) == [{"n": row["n"]} for row in ROWS]


def test_a_job_may_be_uploaded_from_several_sources_one_after_the_other(tmp_path, driver, balanced):
    (tmp_path / "in.txt").write_text("a\nb\n")
    job = Echo()
    assert (job.upload(tmp_path / "in.txt"), job.upload([1, 2, 3])) == (2, 3)
    with job.upload() as writer:
        writer.write({"x": 1})
    job.save()
    driver.run()
    assert job.reload().state is State.COMPLETED
    assert list(job.output.records()) == ["a", "b", 1, 2, 3, {"x": 1}]
    assert [job.input_category.locate(n) for n in (2, 3)] == [(str(tmp_path / "in.txt"), 2), (None, 3)]
    balanced(job)


def test_a_missing_file_is_named():
    with pytest.raises(InputError, match=r"missing\.txt"):
        Echo().upload("missing.txt")
