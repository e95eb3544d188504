"""Rejected records that come back, corrected: each result goes to its numbered place in the output."""

import csv
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import penstock
from penstock import BatchJob, InputCategory, OutputCategory, Result
from penstock.errors import InputError, InvalidMove, JobNotFound, UnstorableValue
from penstock.hooks import after_batch
from penstock.model.failure import parse_failure
from penstock.states import State, SubState
from penstock.store import open_store

LOG: list = []


@pytest.fixture(autouse=True)
def _forgetful():
    LOG.clear()


class Numbers(BatchJob, kind="tests.batch.resubmit.Numbers"):
    """Text that is a number becomes ten times that."""

    slice_size = 10
    collect_output = True
    on_record_error = "reject"

    def perform(self, text):
        LOG.append(self.record_number)
        return int(text) * 10


def texts(count, bad=()):
    return [f"x{n}" if n in bad else str(n) for n in range(1, count + 1)]


def run(driver, records, cls=Numbers, **values):
    job = cls(**values)
    job.upload(records)
    job.save()
    driver.run()
    return job.reload()


def outputs(job, category=None):
    output = job.output if category is None else job.output[category]
    return list(output.records())


def corrected(*numbers):
    return {number: str(number) for number in numbers}


TENS = [n * 10 for n in range(1, 75)]


def test_corrected_records_go_to_their_places_in_the_output(driver, balanced):
    bad = {1, 7, 42, 43, 50, 51, 74}
    job = run(driver, texts(74, bad))
    LOG.clear()
    assert job.resubmit(corrected(*bad)) == 7
    assert (job.state, job.sub_state) == (State.RUNNING, SubState.PROCESSING)
    driver.run()
    assert job.reload().state is State.COMPLETED
    assert sorted(bad) == LOG
    assert outputs(job) == TENS
    assert balanced(job)["outputs"] == {"main": 74}


def test_those_that_are_not_given_stay_rejected(driver, balanced):
    job = run(driver, texts(74, {3, 4}))
    assert job.resubmit(corrected(4)) == 1
    driver.run()
    assert outputs(job) == [n for n in TENS if n != 30]
    assert [told["record_number"] for told in outputs(job, "rejects")] == [3]
    balanced(job)


def test_one_that_is_rejected_again_has_its_new_reason_and_record_and_may_come_back_again(driver, balanced):
    job = run(driver, texts(74, {3, 4}))
    job.resubmit({3: "y", 4: "4"})
    driver.run()
    (told,) = outputs(job.reload(), "rejects")
    assert (told["record_number"], told["record"]) == (3, "y")
    assert "'y'" in told["reason"]
    balanced(job)
    job.resubmit(corrected(3))
    driver.run()
    assert outputs(job) == TENS
    balanced(job)


def test_nothing_given_changes_nothing(driver):
    job = run(driver, texts(5, {3}))
    assert job.resubmit({}) == 0
    assert job.reload().state is State.COMPLETED


def test_results_go_to_several_outputs_each_in_order(driver, balanced):
    class Parted(Numbers):
        output_categories = ["main", "odd", OutputCategory(name="some", nils=False)]  # noqa: RUF012

        def perform(self, text):
            number = int(text)
            return Result(None, "some") if number % 5 == 0 else Result(number, "odd" if number % 2 else "main")

    bad = {1, 2, 5, 9, 10, 11, 12, 30}
    job = run(driver, texts(30, bad), Parted)
    job.resubmit(corrected(*bad))
    driver.run()
    kept = [n for n in range(1, 31) if n % 5]
    assert outputs(job, "odd") == [n for n in kept if n % 2]
    assert outputs(job) == [n for n in kept if not n % 2]
    assert balanced(job)["rejected"] == 0


# The life of the job ------------------------------------------------------------------------------


def test_a_job_that_failed_over_its_budget_goes_on_with_them(driver, balanced):
    job = run(driver, texts(74, {3, 4}), max_rejects=1)
    assert parse_failure(job.row.exception).class_name == "TooManyRejects"
    job.resubmit(corrected(3, 4))
    driver.run()
    assert job.reload().state is State.COMPLETED
    assert outputs(job) == TENS
    balanced(job)


def test_a_job_that_is_running_takes_them_up(driver, balanced):
    job = Numbers()
    job.upload(texts(74, {3}))
    job.save()
    driver.step()
    job.resubmit(corrected(3))
    driver.run()
    assert job.reload().state is State.COMPLETED
    assert outputs(job) == TENS
    balanced(job)


def test_a_paused_job_takes_them_up_when_it_is_resumed(driver):
    job = Numbers()
    job.upload(texts(74, {3}))
    job.save()
    driver.step()
    job.pause()
    job.resubmit(corrected(3))
    assert job.reload().state is State.PAUSED
    job.resume()
    driver.run()
    assert outputs(job) == TENS


def test_a_job_that_ends_while_they_are_looked_up_goes_on_with_them(driver, balanced):
    class Slow(dict):
        def keys(self):
            driver.run()
            return super().keys()

    job = Numbers()
    job.upload(texts(74, {3}))
    job.save()
    driver.step()
    assert job.resubmit(Slow(corrected(3))) == 1
    assert job.reload().state is State.RUNNING
    driver.run()
    assert (job.reload().state, outputs(job)) == (State.COMPLETED, TENS)
    balanced(job)


def test_the_hook_behind_the_last_slice_runs_once_more(driver):
    class Hooked(Numbers):
        @after_batch
        def _end(self):
            LOG.append("end")

    job = run(driver, texts(5, {3}), Hooked)
    LOG.clear()
    job.resubmit(corrected(3))
    driver.run()
    assert LOG == [3, "end"]


def test_records_rejected_here_and_now_come_back_on_a_server(driver, balanced):
    job = Numbers()
    job.upload(texts(74, {3}))
    job.perform_now()
    job.resubmit(corrected(3))
    driver.run()
    assert (job.reload().state, outputs(job)) == (State.COMPLETED, TENS)
    balanced(job)


def test_an_aborted_job_takes_none(driver):
    job = run(driver, texts(74, {3, 4}), max_rejects=1)
    job.abort()
    with pytest.raises(InvalidMove, match="is aborted: its records were dropped"):
        job.resubmit(corrected(3))


def test_a_job_that_is_gone_takes_none(driver):
    job = run(driver, texts(5, {3}))
    job.destroy()
    with pytest.raises(JobNotFound):
        job.resubmit(corrected(3))


def test_a_worker_that_dies_at_them_loses_and_doubles_nothing(driver, balanced):
    bad = set(range(1, 26))
    job = run(driver, texts(74, bad))
    job.resubmit(corrected(*bad))
    driver.perform(driver.take())
    driver.turn()
    driver.crash(driver.take())
    driver.run()
    assert (job.reload().state, outputs(job)) == (State.COMPLETED, TENS)
    balanced(job)


def test_a_slice_of_them_that_fails_names_the_record_and_goes_on_there(driver, balanced):
    class Stopping(Numbers):
        def perform(self, text):
            if text == "stop" and not LOG:
                LOG.append(text)
                raise SystemExit(1)
            return 420 if text == "stop" else int(text) * 10

    job = run(driver, texts(74, {5, 42, 70}), Stopping)
    job.resubmit({5: "5", 42: "stop", 70: "70"})
    driver.run()
    assert job.reload().state is State.FAILED
    (failed,) = job.each_failed_record()
    assert (failed.record_number, failed.record) == (42, "stop")
    balanced(job)
    job.retry()
    driver.run()
    assert (job.reload().state, outputs(job)) == (State.COMPLETED, TENS)
    balanced(job)


# What is refused changes nothing ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({5: "5"}, r"record 5 of job .* is not rejected now; download"),
        ({3: "3", 5: "5", 6: "6"}, r"record 5 of job .* is not rejected now, nor is 1 of the others; download"),
        ({99: "5"}, r"record 99 of job .* is not rejected now"),
    ],
)
def test_a_record_that_is_not_rejected_is_refused_and_all_with_it(driver, balanced, given, message):
    job = run(driver, texts(74, {3}))
    with pytest.raises(InputError, match=message):
        job.resubmit(given)
    assert job.reload().state is State.COMPLETED
    assert [told["record_number"] for told in outputs(job, "rejects")] == [3]
    balanced(job)


def test_a_record_that_cannot_be_stored_is_refused_and_the_rejects_stay(driver, balanced):
    job = run(driver, texts(74, {3, 4}))
    with pytest.raises(UnstorableValue):
        job.resubmit({3: "3", 4: {1, 2}})
    assert job.reload().state is State.COMPLETED
    assert balanced(job)["rejected"] == 2


def test_resubmitted_twice_at_once_they_come_back_once(driver, balanced):
    class Meddling(dict):
        def keys(self):
            other = Numbers.query.where(id=job.id).first()
            other.resubmit(corrected(3))
            driver.run()
            return super().keys()

    job = run(driver, texts(74, {3}))
    with pytest.raises(InputError, match="resubmitted by somebody else"):
        job.resubmit(Meddling(corrected(3)))
    assert outputs(job) == TENS
    balanced(job)


# By a file ----------------------------------------------------------------------------------------


def correct(path, fix):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "record": fix(row["record"])} for row in rows)


@pytest.mark.parametrize("name", ["rejects.csv", "rejects.tsv", "rejects.csv.gz", "rejects"])
def test_a_file_of_rejects_that_was_corrected_comes_back(driver, tmp_path, name):
    job = run(driver, texts(74, {3, 42}))
    path = tmp_path / name
    job.download(path, "rejects")
    if name == "rejects.csv":
        correct(path, lambda text: text.removeprefix("x"))
    else:
        from penstock.streams import open_reader, open_writer

        with open_reader(str(path)) as stream:
            text = stream.read()
        with open_writer(str(path)) as stream:
            stream.write(text.replace(b"x3", b"3").replace(b"x42", b"42"))
    assert job.resubmit(path) == 2
    driver.run()
    assert outputs(job) == TENS


def test_a_file_of_json_lines_comes_back(driver, tmp_path):
    job = run(driver, texts(74, {3, 42}))
    path = tmp_path / "rejects.jsonl"
    job.download(path, "rejects")
    path.write_text(path.read_text().replace('"x3"', '"3"').replace('"x42"', '"42"'))
    assert job.resubmit(path) == 2
    driver.run()
    assert outputs(job) == TENS


def test_rows_taken_out_of_the_file_stay_rejected(driver, tmp_path):
    job = run(driver, texts(74, {3, 42}))
    path = tmp_path / "rejects.csv"
    path.write_text("record_number,record\n42,42\n")
    assert job.resubmit(path) == 1
    driver.run()
    assert [told["record_number"] for told in outputs(job, "rejects")] == [3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("record_number,record\n3,3\n3,4\n", "rejects.csv, row 2: record 3 stands there twice"),
        ("number,record\n3,3\n", "rejects.csv, row 1: there is no record_number, or no record"),
        ("record_number,line\n3,3\n", "rejects.csv, row 1: there is no record_number, or no record"),
        ("record_number,record\nthree,3\n", "rejects.csv, row 1: there is no record_number, or no record"),
        ('record_number,record\n3,"3\n', "rejects.csv"),
    ],
)
def test_a_file_that_is_none_of_rejects_is_refused_by_name(driver, tmp_path, text, message):
    job = run(driver, texts(5, {3}))
    (tmp_path / "rejects.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        job.resubmit(tmp_path / "rejects.csv")
    assert job.reload().state is State.COMPLETED


class Picky(BatchJob, kind="tests.batch.resubmit.Picky"):
    collect_output = True
    on_record_error = "reject"

    def perform(self, record):
        LOG.append(record)
        if len(LOG) <= LIMIT[0]:
            raise ValueError("not yet")
        return 1


LIMIT = [0]
RECORDS = [
    "text",
    "",
    "two\nlines",
    'with "quotes", commas',
    " spaces ",
    "\ttab\r\n",
    "007",
    "[1, 2]",
    None,
    7,
    -1.5,
    1 << 70,
    True,
    Decimal("1.10"),
    date(2026, 1, 2),
    time(3, 4),
    datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    UUID(int=7),
    b"raw",
    b"\xff\x00",
    [1, "a", None, Decimal("0.1")],
    (1, date(2026, 1, 2)),
    {"n": 1, "day": date(2026, 1, 2), "sum": Decimal("1.0"), "in": {"b": b"\xff"}, "none": None},
    {},
    [],
    float("inf"),
]


@pytest.mark.parametrize("name", ["rejects.csv", "rejects.jsonl", "rejects.tsv"])
def test_a_record_that_goes_through_a_file_unchanged_comes_back_as_it_was_with_its_types(driver, tmp_path, name):
    LIMIT[0] = len(RECORDS)
    job = run(driver, RECORDS, Picky)
    assert LOG == RECORDS
    LOG[:] = range(LIMIT[0])
    job.download(tmp_path / name, "rejects")
    assert job.resubmit(tmp_path / name) == len(RECORDS)
    driver.run()
    came = LOG[LIMIT[0] :]
    assert came == RECORDS
    assert list(map(type, came)) == list(map(type, RECORDS))
    assert list(map(type, came[22].values())) == list(map(type, RECORDS[22].values()))


def test_a_correction_that_cannot_have_the_type_of_its_record_is_refused_by_number(driver, tmp_path):
    LIMIT[0] = 2
    job = run(driver, [{"a": date(2026, 1, 2)}, 7], Picky)
    path = tmp_path / "rejects.csv"
    for text in ('1,"{""a"": ""soon""}"', "2,seven", "1,{", "2,"):
        path.write_text(f"record_number,record\n{text}\n")
        if text == "2,":
            continue  # An emptied cell is None.
        with pytest.raises(
            InputError, match=rf"record {text[0]} of job .* was a (dict|int), and its correction cannot"
        ):
            job.resubmit(path)


def test_records_given_by_number_are_taken_as_they_are(driver):
    LIMIT[0] = 1
    job = run(driver, [None], Picky)
    job.resubmit({1: {"now": Decimal(1)}})
    driver.run()
    assert LOG[1:] == [{"now": Decimal(1)}]


# The output is what it would have been ------------------------------------------------------------


@settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.large_base_example, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_the_output_is_what_it_would_have_been_had_all_been_right_at_first(data, tmp_path_factory):
    from tests.driver import Driver

    folder = tmp_path_factory.mktemp("job")
    penstock.configure(store=f"sqlite:///{folder / 'penstock.db'}")
    driver = Driver(open_store(f"sqlite:///{folder / 'penstock.db'}"))
    cells = st.text(st.sampled_from('ab ,"\n;ü'), max_size=6)
    rows = data.draw(st.lists(st.tuples(st.integers(0, 99), cells), min_size=1, max_size=30))
    bad = data.draw(st.sets(st.integers(1, len(rows))))
    path = folder / "in.csv"
    write(path, [(f"x{n}" if at in bad else n, cell) for at, (n, cell) in enumerate(rows, 1)])
    job = Typed(slice_size=data.draw(st.integers(1, 8)))
    assert job.upload(path) == len(rows)
    job.save()
    while True:
        steps = data.draw(st.integers(0, 12))
        for _ in range(steps):
            task = driver.take()
            if task is None:
                break
            if data.draw(st.integers(0, 5)) == 0 and task.crash_count == 0:
                driver.crash(task)
            else:
                driver.perform(task)
                driver.turn()
        rejected = {told["record_number"]: told["record"] for told in outputs(job, "rejects")}
        done = driver.row(job.id).state is State.COMPLETED
        if not rejected and done:
            break
        if rejected:
            some = data.draw(st.sets(st.sampled_from(sorted(rejected)), min_size=1)) if not done else set(rejected)
            by_file = done and data.draw(st.booleans())
            if by_file:
                job.download(folder / "rejects.csv", "rejects")
                correct(folder / "rejects.csv", lambda text: text.replace("x", "", 1))
                job.resubmit(folder / "rejects.csv")
            else:
                job.resubmit({number: rejected[number].replace("x", "", 1) for number in some})
    assert job.reload().download(folder / "out.csv") == len(rows)
    with (folder / "out.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["n", "text"], *([str(n * 2), cell] for n, cell in rows)]
    accounts = driver.store.accounts(job.id)
    assert (accounts.processed, accounts.rejected, accounts.outputs) == (len(rows), 0, {"main": len(rows)})


class Typed(BatchJob, kind="tests.batch.resubmit.Typed"):
    input_category = InputCategory(format="csv")
    output_categories = [OutputCategory(format="csv", columns=["n", "text"])]  # noqa: RUF012
    on_record_error = "reject"
    destroy_on_complete = False

    def perform(self, row):
        return {"n": int(row["n"]) * 2, "text": row["text"]}


@dataclass
class Sale:
    day: date
    amount: Decimal
    text: str


class Sales(BatchJob, kind="tests.batch.resubmit.Sales"):
    input_category = InputCategory(format="csv")
    output_categories = [OutputCategory(format="csv", columns=["day", "double", "text"])]  # noqa: RUF012
    slice_size = 500
    on_record_error = "reject"

    def perform(self, row: Sale):
        return {"day": row.day, "double": row.amount * 2, "text": row.text}


def test_a_file_with_some_bad_rows_gives_with_its_rejects_every_row_and_corrected_the_file_it_should(
    driver, tmp_path, balanced
):
    count, bad = 20_000, set(range(150, 20_000, 200))
    rows = [
        (f"2026-01-{n % 28 + 1:02}", f"{n}.50", f"text {n}," + "\nmore" * (n % 50 == 0)) for n in range(1, count + 1)
    ]

    def file_of(name, broken):
        with (tmp_path / name).open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["Day", "Amount", "Text"])
            writer.writerows(
                (day, "soon" + it if n in broken else it, text) for n, (day, it, text) in enumerate(rows, 1)
            )
        return tmp_path / name

    right = run(driver, file_of("right.csv", ()), Sales, destroy_on_complete=False)
    right.download(tmp_path / "right.out.csv")
    path = file_of("in.csv", bad)
    over = run(driver, path, Sales, max_rejects=len(bad) - 1)
    assert over.state is State.FAILED
    assert f"{len(bad)} records were rejected, and max_rejects allows {len(bad) - 1}" in over.row.exception
    job = run(driver, path, Sales, max_rejects=0.005)
    assert job.state is State.COMPLETED
    assert balanced(job)["outputs"] == {"main": count - len(bad), "rejects": len(bad)}
    job.download(tmp_path / "rejects.csv", "rejects")
    with (tmp_path / "rejects.csv").open(newline="") as file:
        told = list(csv.DictReader(file))
    assert [int(row["record_number"]) for row in told] == sorted(bad)
    # Behind the header, and some rows that go over two lines.
    assert [int(row["line"]) for row in told] == [1 + n + (n - 1) // 50 for n in sorted(bad)]
    assert all("amount" in row["reason"] for row in told)
    correct(tmp_path / "rejects.csv", lambda text: text.replace("soon", ""))
    assert job.resubmit(tmp_path / "rejects.csv") == len(bad)
    driver.run()
    assert job.reload().state is State.COMPLETED
    job.download(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "right.out.csv").read_bytes()
    assert balanced(job)["outputs"] == {"main": count}


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["n", "text"])
        writer.writerows(rows)
