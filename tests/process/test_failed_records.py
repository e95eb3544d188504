"""Records that raise: named with file, line and message; after the code is corrected, only they are done again."""

import pytest
from tests.process.lab import Lab

pytestmark = pytest.mark.process

JOBS = """
    import os
    from penstock import BatchJob

    LOG = os.open("log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    BAD = {bad}

    class Strict(BatchJob):
        collect_output = True
        def perform(self, line):
            os.write(LOG, b"%d\\n" % self.record_number)
            if self.record_number in BAD:
                raise ValueError(f"cannot take {{self.record_number}}")
            return line[::-1]
"""


def performed(lab: Lab) -> list[int]:
    """Return the records performed since the last time, and forget them."""
    path = lab.path("log.txt")
    found = sorted(map(int, path.read_text().split()))
    path.unlink()
    return found


def test_only_failed_records_are_done_again_and_the_output_is_whole_and_in_order(lab: Lab) -> None:
    count = 100_000
    lines = lab.lines("in.txt", count)
    lab.module("jobs", JOBS.format(bad={57, 90_001}))
    ended = lab.run("jobs:Strict", "--input", "in.txt", "--output", "out.txt")
    assert ended.code == 1
    (job,) = lab.jobs()
    for _ in range(3):
        source = lab.path("in.txt")
        assert f"{source}:57: ValueError: cannot take 57" in ended.err
        assert f"{source}:90001: ValueError: cannot take 90001" in ended.err
        assert f"penstock run --resume {job['id']}" in ended.err
        assert not lab.path("out.txt").exists()
        done = performed(lab)
        assert {57, 90_001} <= set(done)
        if len(done) > 2:
            # The first of a slice of 100, and the 57th, ended theirs.
            assert done == sorted({*range(1, count + 1)} - {*range(58, 101), *range(90_002, 90_101)})
        checked = lab.check(job["id"])
        assert (checked["uploaded"], checked["failed"]) == (count, 100 + 44)
        shown = lab.show(job["id"])
        assert [(one["record"], one["line"]) for one in shown["failed_records"]] == [(57, 57), (90_001, 90_001)]
        ended = lab.run("--resume", job["id"], "--app", "jobs", "--output", "out.txt")
        assert ended.code == 1
    assert performed(lab) == [57, 90_001]

    lab.module("jobs", JOBS.format(bad=set()))
    ended = lab.run("--resume", job["id"], "--app", "jobs", "--output", "out.txt")
    assert ended.code == 0, ended.err
    assert performed(lab) == [*range(57, 101), *range(90_001, 90_101)]
    assert lab.path("out.txt").read_text("utf-8") == "".join(f"{line[::-1]}\n" for line in lines)
    assert lab.jobs() == []


def test_the_next_bad_record_of_a_slice_is_found_after_the_first_is_corrected(lab: Lab) -> None:
    lines = lab.lines("in.txt", 300)
    lab.module("jobs", JOBS.format(bad={101, 150, 200}))
    assert lab.run("jobs:Strict", "--input", "in.txt", "--output", "out.txt").code == 1
    performed(lab)
    (job,) = lab.jobs()
    for bad, named, first in (({150, 200}, 150, 101), ({200}, 200, 150)):
        lab.module("jobs", JOBS.format(bad=bad))
        ended = lab.run("--resume", "--app", "jobs", "--output", "out.txt")
        assert ended.code == 1
        assert f"in.txt:{named}: ValueError" in ended.err
        assert performed(lab) == [*range(first, named + 1)]
        lab.check(job["id"])
    lab.module("jobs", JOBS.format(bad=set()))
    assert lab.run("--resume", "--app", "jobs", "--output", "out.txt").code == 0
    assert performed(lab) == [200]
    assert lab.path("out.txt").read_text("utf-8") == "".join(f"{line[::-1]}\n" for line in lines)


def test_the_command_that_a_failed_run_prints_works_as_it_is(lab: Lab) -> None:
    lines = lab.lines("in with space.txt", 300)
    lab.module("jobs", JOBS.format(bad={1}))
    ended = lab.run("jobs:Strict", "--input", "in with space.txt", "--output", "out with space.txt")
    assert ended.code == 1
    lab.module("jobs", JOBS.format(bad=set()))
    resumed = lab.printed_command(ended.err)
    assert resumed.code == 0, resumed.err
    assert lab.path("out with space.txt").read_text("utf-8") == "".join(f"{line[::-1]}\n" for line in lines)


def test_many_failed_records_are_not_all_named(lab: Lab) -> None:
    lab.lines("in.txt", 300)
    lab.module("jobs", JOBS.format(bad=set(range(1, 301))))
    ended = lab.run("jobs:Strict", "--input", "in.txt", "--output", "out.txt", "--set", "slice_size=10")
    assert ended.code == 1
    assert ended.err.count(": ValueError: ") == 20
    assert "10 more" in ended.err


def test_a_failed_record_of_standard_input_is_named_by_its_line(lab: Lab) -> None:
    source = "".join(f"{line}\n" for line in lab.lines("in.txt", 300)).encode()
    lab.module("jobs", JOBS.format(bad={257}))
    ended = lab.run("jobs:Strict", "--input", "-", "--output", "out.txt", stdin=source)
    assert ended.code == 1
    assert "standard input:257: ValueError: cannot take 257" in ended.err


def test_a_failed_record_is_named_the_same_with_overlap_and_json(lab: Lab) -> None:
    import json

    lab.lines("in.txt", 3_000)
    lab.module("jobs", JOBS.format(bad={2_057}))
    ended = lab.run("jobs:Strict", "--input", "in.txt", "--output", "out.txt", "--overlap", "--json")
    assert ended.code == 1
    told = json.loads(ended.out)
    (failed,) = told["failed"]
    assert (told["state"], failed["record"], failed["line"]) == ("failed", 2_057, 2_057)
    assert failed["file"] == str(lab.path("in.txt"))
    assert "cannot take 2057" in failed["error"]
    assert any("jobs.py" in frame for frame in failed["backtrace"])
    assert not lab.path("out.txt").exists()
    assert not lab.litter()
