import subprocess
import sys
from pathlib import Path

import pytest

from penstock.streams import open_writer

# Not ru_maxrss: on Linux that counts what the parent held before the program was started.
PROGRAM = """
import resource, sys
from penstock.streams import cut_lines, open_reader
with open_reader(sys.argv[1]) as stream:
    lines = sum(piece.count for piece in cut_lines(stream, name="a", records_per_slice=100))
if sys.platform == "linux":
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(lines, peak)
"""
BLOCK = b"".join(b"%07d,some text that goes on for a while,and some more of it,end\n" % n for n in range(15_500))


def count_and_peak(path: Path, megabytes: int) -> tuple[int, int]:
    with open_writer(path) as writer:
        for _ in range(megabytes):
            writer.write(BLOCK)
    answer = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True)
    lines, kilobytes = answer.stdout.split()
    return int(lines), int(kilobytes)


@pytest.mark.process
def test_a_file_of_200_megabytes_is_cut_in_the_memory_of_a_small_one(tmp_path: Path):
    few, small = count_and_peak(tmp_path / "small.gz", 4)
    many, large = count_and_peak(tmp_path / "large.gz", 200)
    assert (few, many) == (4 * 15_500, 200 * 15_500)
    assert large - small < 20_000
