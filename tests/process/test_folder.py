"""A watched folder as somebody new to it sets it up: an entry, a server, and a large file that is copied in slowly.

`python -m tests.process.test_folder MEGABYTES` does it with a `csv.gz` of that size.
"""

import csv
import gzip
import hashlib
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.process.lab import Lab, Started, wait_for

from penstock.query import Query
from penstock.store import open_store

pytestmark = pytest.mark.process

ORDERS = '''
    """Orders that arrive as files."""

    from pathlib import Path

    from penstock import BatchJob, InputCategory, OutputCategory


    class LoadOrders(BatchJob):
        """Add the tax to each order."""

        slice_size = 1000
        destroy_on_complete = False
        input_category = InputCategory(format="csv")
        output_categories = [OutputCategory(format="csv", columns=["number", "gross"])]

        def perform(self, row):
            return {"number": row["number"], "gross": int(row["cents"]) * 119}

        def after_batch(self):
            (upload,) = self.input_category.uploads
            name = Path(upload.file_name).name.partition("_")[2]
            self.download(f"out/{name}")
'''
BLOCK = 1 << 16
NOTE_BYTES = 400
"""Of what each row has beside its numbers: twice as many hexadecimal digits, which gzip can only halve."""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="penstock-lab-") as name:
        made = Lab(Path(name))
        yield made
        made.close()


def penstock(lab: Lab, command: str, *words: str) -> str:
    """Run a command that must succeed, and return what it printed."""
    ended = lab.run(*words, command=command)
    assert ended.code == 0, ended.err
    return ended.out.decode()


def set_up(lab: Lab, *, seconds: float) -> Started:
    """Do what the documentation says: write the job, add the entry, start a server; looks are taken so often."""
    lab.module("orders", ORDERS)
    for folder in ("in", "out"):
        lab.path(folder).mkdir()
    penstock(lab, "jobs", "create", "DirmonJob", "--set", f"check_seconds={seconds}", "--app", "penstock.jobs")
    pattern = f"{lab.path('in')}/*.csv.gz"
    entry = ("orders", "--pattern", pattern, "--kind", "LoadOrders", "--app", "orders", "--app", "penstock.jobs")
    assert "LoadOrders" in penstock(lab, "dirmon", "add", *entry)
    assert "enabled" in penstock(lab, "dirmon", "enable", "orders", "--app", "orders", "--app", "penstock.jobs")
    return lab.start("--app", "penstock.jobs", "--app", "orders", "--workers", "2", command="server")


def make(path: Path, megabytes: float) -> int:
    """Write a csv.gz of about so many megabytes; returns its number of rows."""
    chance = random.Random(1)
    count = 0
    with gzip.open(path, "wt", compresslevel=1, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "cents", "note"])
        while count % 100 or path.stat().st_size < megabytes * 1e6:
            count += 1
            writer.writerow([count, chance.randrange(10_000), chance.randbytes(NOTE_BYTES).hex()])
    return count


def copy_slowly(source: Path, target: Path, *, bytes_per_second: float) -> Iterator[int]:
    """Copy as `pv -L` does, block by block; yields how many bytes there are so far."""
    with source.open("rb") as read, target.open("wb") as write:
        began, done = time.monotonic(), 0
        while block := read.read(BLOCK):
            write.write(block)
            write.flush()
            done += len(block)
            yield done
            time.sleep(max(0.0, began + done / bytes_per_second - time.monotonic()))


def play(lab: Lab, megabytes: float, *, copy_seconds: float, check_seconds: float) -> dict[str, Any]:
    """Copy a file in and look what becomes of it."""
    server = set_up(lab, seconds=check_seconds)
    source = lab.path("source.csv.gz")
    rows = make(source, megabytes)
    size = source.stat().st_size
    store = open_store(lab.url)
    for done in copy_slowly(source, lab.path("in/orders.csv.gz"), bytes_per_second=size / copy_seconds):
        started = store.count_jobs(Query(kinds=("UploadFile", "LoadOrders")))
        assert done == size or not started, f"started when {done:,} of {size:,} bytes were there"
    whole = time.monotonic()
    wait_for(lambda: list(lab.path("out").glob("orders.csv.gz")), "the results", seconds=3600)
    took = time.monotonic() - whole
    (archived,) = lab.path("in/archive").iterdir()
    assert archived.name.partition("_")[2] == "orders.csv.gz"
    assert digest(archived) == digest(source)
    assert not lab.path("in/orders.csv.gz").exists()
    assert_results(source, lab.path("out/orders.csv.gz"), rows)
    server.signal(15)
    assert server.end().code == 0, server.err
    (job,) = [job for job in lab.jobs() if job["kind"] == "LoadOrders"]
    assert job["state"] == "completed"
    lab.check(job["id"])
    return {"bytes": size, "rows": rows, "seconds": took}


def assert_results(source: Path, target: Path, rows: int) -> None:
    """Every order once, in its order, with its tax."""
    count = 0
    with gzip.open(source, "rt", newline="") as read, gzip.open(target, "rt", newline="") as written:
        for given, got in zip(csv.DictReader(read), csv.DictReader(written), strict=True):
            assert got == {"number": given["number"], "gross": str(int(given["cents"]) * 119)}
            count += 1
    assert count == rows


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_a_file_that_is_copied_in_slowly_is_processed_once_it_is_whole(lab: Lab, monkeypatch: Any) -> None:
    monkeypatch.setattr(Lab, "environment", _with_roots(Lab.environment))
    play(lab, 2, copy_seconds=8, check_seconds=3)


def _with_roots(plain: property) -> property:
    """Commands of the laboratory may watch its folder `in`."""
    return property(lambda lab: {**plain.fget(lab), "PENSTOCK_ALLOWED_ROOTS": str(lab.path("in"))})  # type: ignore[misc]


def main(megabytes: float) -> None:
    """Do it with a large file."""
    Lab.environment = _with_roots(Lab.environment)  # type: ignore[assignment,arg-type]
    with tempfile.TemporaryDirectory(prefix="penstock-lab-") as name:
        lab = Lab(Path(name))
        try:
            told = play(lab, megabytes, copy_seconds=megabytes / 10, check_seconds=5)
        finally:
            lab.close()
    print(
        f"{told['bytes'] / 1e6:,.0f} MB of csv.gz, {told['rows']:,} rows, copied in at 10 MB/s: started when whole, "
        f"results and archive complete {told['seconds']:.0f} s later"
    )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 500)
