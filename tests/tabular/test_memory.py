"""Tables of any length in the memory of a small one."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from penstock.tabular import format_named
path, count = sys.argv[1], int(sys.argv[2])
with format_named("parquet").write(path, ["n", "text", "none"]) as table:
    for start in range(0, count, 1000):
        table.write([[n, f"text number {n}", None] for n in range(start, start + 1000)])
with format_named("parquet").read(path) as table:
    read = sum(1 for row in table)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(read, peak)
"""


def count_and_peak(path: Path, rows: int) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), str(rows)], capture_output=True, text=True, check=True
    )
    count, kilobytes = done.stdout.split()
    return int(count), int(kilobytes)


@pytest.mark.process
@pytest.mark.linux
def test_a_parquet_file_of_a_million_rows_is_written_and_read_in_the_memory_of_a_small_one(tmp_path: Path):
    pytest.importorskip("pyarrow")
    few, small = count_and_peak(tmp_path / "small.parquet", 100_000)
    many, large = count_and_peak(tmp_path / "large.parquet", 1_000_000)
    assert (few, many) == (100_000, 1_000_000)
    assert large - small < 40_000
