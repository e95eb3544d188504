"""As batch, with about 10 µs of Python for each line.

The loop's length is calibrated once at the start, and is the same for all.
"""

from benchmarks.batch import compare
from penstock.bench.functions import calibrated_rounds
from penstock.bench.ground import Ground
from penstock.bench.inputs import lines_file
from penstock.bench.report import Report

SETTINGS = {"lines": (2_000_000, 100_000), "work_rounds": (3, 1)}
PAIRS = [("penstock 1000", "forked"), ("penstock 1000 overlap", "forked"), ("pool 1000", "forked")]


def run(ground: Ground, *, lines: int, work_rounds: int) -> Report:
    loop_rounds = calibrated_rounds()
    report = compare(
        ground,
        lines_file(ground.folder, lines),
        lines,
        work_rounds,
        function="work",
        pairs=PAIRS,
        env={"BENCHMARK_ROUNDS": str(loop_rounds)},
    )
    report.facts["rounds of the loop that take 10 µs"] = loop_rounds
    return report
