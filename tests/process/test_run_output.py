"""`penstock run`: what comes out is what a bare loop over the lines would write."""

import gzip
import json

import pytest
from tests.process.lab import PENSTOCK, Lab

pytestmark = pytest.mark.process

JOBS = """
    from datetime import date
    from decimal import Decimal
    from penstock import BatchJob, Job, Result, field

    class Reverse(BatchJob):
        collect_output = True
        def perform(self, line):
            return line[::-1]

    class Kept(Reverse):
        destroy_on_complete = False

    class Sorted(BatchJob):
        output_categories = ["main", "short"]
        def perform(self, line):
            return Result(line, "short") if len(line) < 38 else line.upper()

    class Numbered(BatchJob):
        collect_output = True
        factor: int = 1
        names: list[str] = []
        suffix: str = ""
        def perform(self, line):
            return f"{self.factor * self.record_number}{','.join(self.names)}{self.suffix}"

    class Mixed(BatchJob):
        collect_output = True
        def perform(self, line):
            return {"text": line, "n": 1, "none": None, "list": [1, "ä"], "bytes": b"raw \\xff", "bool": True,
                    "decimal": Decimal("1.50"), "date": date(2026, 1, 2), "nothing": None}[line]

    class Nils(BatchJob):
        collect_output = True
        def perform(self, line):
            return None if "3" in line else line

    class Dropping(Nils):
        output_categories = [{"name": "main", "nils": False}]

    class Silent(BatchJob):
        def perform(self, line):
            return line

    class Sum(Job):
        numbers: list[int] = [1, 2]
        note: str | None = None
        def perform(self):
            return {"sum": sum(self.numbers), "note": self.note}

    class Chatty(BatchJob):
        collect_output = True
        def perform(self, line):
            print("said", line)
            return line

    def upper(line):
        return line.upper()
"""


def reversed_lines(lines: list[str]) -> bytes:
    return "".join(f"{line[::-1]}\n" for line in lines).encode()


@pytest.fixture
def jobs(lab: Lab) -> Lab:
    lab.module("jobs", JOBS)
    return lab


@pytest.mark.parametrize("slice_size", [1, 7, 100, 1000])
def test_output_is_the_same_whatever_the_size_of_slices(jobs: Lab, slice_size: int) -> None:
    lines = jobs.lines("in.txt", 2_345)
    ended = jobs.run("jobs:Reverse", "--input", "in.txt", "--output", "out.txt", "--set", f"slice_size={slice_size}")
    assert (ended.code, ended.out) == (0, b""), ended.err
    assert jobs.path("out.txt").read_bytes() == reversed_lines(lines)
    assert jobs.jobs() == []


def test_empty_lines_long_lines_and_odd_characters_come_through(jobs: Lab) -> None:
    lines = ["", "", "a", "\t tab ", "x" * 300_000, "\x00\x1f\x7f", "\u2028\x85\x0b\x0c", "🎈" * 10, "", "end", ""]
    jobs.path("in.txt").write_bytes("\n".join(lines).encode() + b"\n")
    ended = jobs.run("jobs:Reverse", "--input", "in.txt", "--output", "out.txt", "--set", "slice_size=2")
    assert ended.code == 0, ended.err
    assert jobs.path("out.txt").read_bytes() == reversed_lines(lines)


@pytest.mark.parametrize("overlap", [[], ["--overlap"]], ids=["", "overlap"])
def test_gzip_is_read_and_written_by_name(jobs: Lab, overlap: list[str]) -> None:
    lines = jobs.lines("in.txt", 3_000)
    jobs.path("in.txt.gz").write_bytes(gzip.compress(jobs.path("in.txt").read_bytes()))
    ended = jobs.run("jobs:Reverse", "--input", "in.txt.gz", "--output", "out.txt.gz", *overlap)
    assert ended.code == 0, ended.err
    assert gzip.decompress(jobs.path("out.txt.gz").read_bytes()) == reversed_lines(lines)


@pytest.mark.parametrize("overlap", [[], ["--overlap"]], ids=["", "overlap"])
def test_a_dash_is_standard_input_and_standard_output(jobs: Lab, overlap: list[str]) -> None:
    lines = jobs.lines("in.txt", 3_000)
    ended = jobs.run("jobs:Reverse", "--input", "-", "--output", "-", *overlap, stdin=jobs.path("in.txt").read_bytes())
    assert ended.code == 0, ended.err
    assert ended.out == reversed_lines(lines)


@pytest.mark.parametrize("slice_size", ["1", "100"])
def test_overlap_gives_the_same_output_in_the_same_order(jobs: Lab, slice_size: str) -> None:
    lines = jobs.lines("in.txt", 20_000 if slice_size == "100" else 2_000)
    ended = jobs.run(
        "jobs:Reverse", "--input", "in.txt", "--output", "out.txt", "--overlap", "--set", f"slice_size={slice_size}"
    )
    assert ended.code == 0, ended.err
    assert jobs.path("out.txt").read_bytes() == reversed_lines(lines)
    assert jobs.jobs() == []


def test_a_plain_function_will_do(jobs: Lab) -> None:
    lines = jobs.lines("in.txt", 1_000)
    ended = jobs.run("jobs:upper", "--input", "in.txt", "--output", "out.txt", "--workers", "3", "--processes", "1")
    assert ended.code == 0, ended.err
    assert jobs.path("out.txt").read_text("utf-8") == "".join(f"{line.upper()}\n" for line in lines)


def test_set_converts_text_to_the_type_of_the_field(jobs: Lab) -> None:
    jobs.lines("in.txt", 5)
    ended = jobs.run(
        *("jobs:Numbered", "--input", "in.txt", "--output", "-", "--set", "factor=10"),
        *("--set", 'names=["a", "b"]', "--set", "suffix=[no list"),
    )
    assert ended.code == 0, ended.err
    assert ended.out.decode().split("\n") == [f"{n}a,b[no list" for n in (10, 20, 30, 40, 50)] + [""]


@pytest.mark.parametrize("assignment", ["factor=many", "nothing=1", "factor", "slice_size=0", "names=[1]"])
def test_a_value_that_does_not_fit_is_refused_in_one_line_that_names_it(jobs: Lab, assignment: str) -> None:
    jobs.lines("in.txt", 5)
    ended = jobs.run("jobs:Numbered", "--input", "in.txt", "--output", "out.txt", "--set", assignment)
    assert ended.code == 2
    assert len(ended.told) == 1, ended.err
    assert assignment.partition("=")[0] in ended.told[0]
    assert not ended.untold
    assert not jobs.path("out.txt").exists()
    assert jobs.jobs() == []


def test_results_go_to_the_file_of_their_category(jobs: Lab) -> None:
    lines = jobs.lines("in.txt", 2_000)
    ended = jobs.run(
        *("jobs:Sorted", "--input", "in.txt", "--output", "long.txt", "--output", "short=short.txt"),
        *("--set", "slice_size=64"),
    )
    assert ended.code == 0, ended.err
    short = [line for line in lines if len(line) < 38]
    assert short
    assert len(short) < len(lines)
    assert jobs.path("short.txt").read_text("utf-8") == "".join(f"{line}\n" for line in short)
    assert jobs.path("long.txt").read_text("utf-8") == "".join(f"{x.upper()}\n" for x in lines if x not in set(short))


def test_json_says_what_came_of_the_run_on_standard_output_and_nothing_else(jobs: Lab) -> None:
    jobs.lines("in.txt", 200)
    ended = jobs.run("jobs:Kept", "--input", "in.txt", "--output", "out.txt", "--json")
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.out)
    assert (told["kind"], told["state"], told["records"]) == ("Kept", "completed", 200)
    assert told["outputs"]["main"]["records"] == 200
    assert [(job["id"], job["kind"], job["state"]) for job in jobs.jobs()] == [(told["id"], "Kept", "completed")]


def test_json_gives_way_to_records_on_standard_output(jobs: Lab) -> None:
    lines = jobs.lines("in.txt", 200)
    ended = jobs.run("jobs:Reverse", "--input", "in.txt", "--output", "-", "--json")
    assert ended.out == reversed_lines(lines)
    assert json.loads(ended.err)["records"] == 200


def test_results_that_are_no_text_are_rendered_as_json_lines_and_none_as_an_empty_one(jobs: Lab) -> None:
    asked = ["text", "n", "none", "list", "bytes", "bool", "decimal", "date"]
    jobs.path("in.txt").write_text("\n".join(asked) + "\n")
    ended = jobs.run("jobs:Mixed", "--input", "in.txt", "--output", "-")
    assert ended.code == 0, ended.err
    assert ended.out == 'text\n1\n\n[1, "ä"]\n'.encode() + b"raw \xff\ntrue\n1.50\n2026-01-02\n"


def test_none_is_an_empty_line_so_that_line_n_belongs_to_line_n(jobs: Lab) -> None:
    lines = jobs.lines("in.txt", 1_000)
    ended = jobs.run("jobs:Nils", "--input", "in.txt", "--output", "out.txt")
    assert ended.code == 0, ended.err
    expected = "".join("\n" if "3" in line else f"{line}\n" for line in lines)
    assert jobs.path("out.txt").read_text("utf-8") == expected


def test_none_is_dropped_where_the_category_says_no_nils(jobs: Lab) -> None:
    lines = jobs.lines("in.txt", 1_000)
    ended = jobs.run("jobs:Dropping", "--input", "in.txt", "--output", "out.txt")
    assert ended.code == 0, ended.err
    assert jobs.path("out.txt").read_text("utf-8") == "".join(f"{line}\n" for line in lines if "3" not in line)


def test_a_job_without_output_runs_and_writes_nothing(jobs: Lab) -> None:
    jobs.lines("in.txt", 1_000)
    ended = jobs.run("jobs:Silent", "--input", "in.txt")
    assert (ended.code, ended.out) == (0, b""), ended.err
    assert jobs.jobs() == []


def test_asking_for_the_output_of_a_class_that_collects_none_collects_it(jobs: Lab) -> None:
    jobs.lines("in.txt", 1_000)
    ended = jobs.run("jobs:Silent", "--input", "in.txt", "--output", "out.txt")
    assert ended.code == 0, ended.err
    assert jobs.path("out.txt").read_bytes() == jobs.path("in.txt").read_bytes()


def test_a_regular_job_prints_its_result(jobs: Lab) -> None:
    ended = jobs.run("jobs:Sum", "--set", "numbers=[1, 2, 39]", "--set", "note=ä")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out) == {"sum": 42, "note": "ä"}
    assert jobs.jobs() == []


def test_a_kept_job_stays_in_the_store_with_its_output(jobs: Lab) -> None:
    jobs.lines("in.txt", 250)
    assert jobs.run("jobs:Kept", "--input", "in.txt", "--output", "out.txt").code == 0
    (kept,) = jobs.jobs()
    assert (kept["state"], kept["record_count"]) == ("completed", 250)
    checked = jobs.check(kept["id"])
    assert (checked["processed"], checked["outputs"]) == (250, {"main": 250})


def test_what_user_code_prints_goes_to_standard_error(jobs: Lab) -> None:
    lines = jobs.lines("in.txt", 3)
    ended = jobs.run("jobs:Chatty", "--input", "in.txt", "--output", "-")
    assert ended.out.decode() == "".join(f"{line}\n" for line in lines)
    assert [line for line in ended.err.splitlines() if line.startswith("said")] == [f"said {line}" for line in lines]


def test_an_old_output_is_replaced_whole(jobs: Lab) -> None:
    lines = jobs.lines("in.txt", 100)
    jobs.path("out.txt").write_bytes(b"old and much longer\n" * 10_000)
    assert jobs.run("jobs:Reverse", "--input", "in.txt", "--output", "out.txt").code == 0
    assert jobs.path("out.txt").read_bytes() == reversed_lines(lines)


def test_a_reader_of_the_output_that_stops_early_is_no_error_of_ours(jobs: Lab) -> None:
    jobs.lines("in.txt", 20_000)
    piped = jobs.python(
        """
        import subprocess, sys
        command = [sys.argv[1], "run", "jobs:Reverse", "-i", "in.txt", "-o", "-"]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        run.stdout.readline()
        run.stdout.close()
        err = run.stderr.read().decode()
        run.stderr.close()
        print(run.wait(), "Traceback" in err or "Exception" in err)
        """,
        PENSTOCK,
    )
    assert piped == b"141 False\n"
