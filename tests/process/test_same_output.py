"""The same batch gives the same bytes, whatever store it went through."""

import pytest
from tests.process.lab import Lab

pytestmark = pytest.mark.process

LINES = 20_000
JOBS = """
    from penstock import BatchJob, Result

    class Sorted(BatchJob):
        slice_size = 300
        output_categories = ["main", "odd"]
        destroy_on_complete = False
        def perform(self, line: str):
            return Result(line.upper(), "odd") if self.record_number % 7 == 0 else line[::-1]
"""


def lines() -> str:
    return "".join(f"{number:06} Ærøskøbing {'x' * (number % 50)}\t東京\n" for number in range(LINES))


@pytest.fixture
def stores(lab: Lab, postgres_url: str) -> dict[str, str]:
    return {"sqlite": lab.store, "postgres": postgres_url}


def test_sqlite_and_postgres_give_byte_identical_files(lab, stores):
    lab.module("jobs", JOBS)
    lab.path("in.txt").write_text(lines(), encoding="utf-8")
    written = {}
    for engine, url in stores.items():
        lab.store = url
        outputs = ["--output", f"{engine}.txt", "--output", f"odd={engine}-odd.txt"]
        done = lab.run("jobs:Sorted", "--input", "in.txt", *outputs, "--workers", "2", seconds=300)
        assert done.code == 0, done
        written[engine] = (lab.path(f"{engine}.txt").read_bytes(), lab.path(f"{engine}-odd.txt").read_bytes())
    main, odd = written["sqlite"]
    assert (main.count(b"\n"), odd.count(b"\n")) == (LINES - LINES // 7, LINES // 7)
    assert written["postgres"] == written["sqlite"]
