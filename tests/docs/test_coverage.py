"""The page of what is not reached has runs of lines, the branches that lines do not tell, and the reasons."""

import json
import sys
from pathlib import Path

from tests.covering import ranges, summary
from tests.docs.blocks import DOCS, ROOT

sys.path.insert(0, str(DOCS))
try:
    from coverage_told import REASONS, coverage_page
finally:
    sys.path.remove(str(DOCS))

TOTALS = {
    "percent_covered": 91.25,
    "num_statements": 1200,
    "covered_lines": 1100,
    "num_branches": 40,
    "covered_branches": 30,
}


def file(lines, branches):
    return {"summary": {"percent_covered": 80.0}, "missing_lines": lines, "missing_branches": branches}


def test_numbers_that_follow_each_other_are_one_run():
    assert ranges([3, 4, 5, 9, 11, 12]) == ["3-5", "9", "11-12"]


def test_the_page_tells_the_total_and_each_file_with_its_reason(tmp_path: Path):
    found = {
        "totals": TOTALS,
        "files": {
            "src/penstock/faults.py": file([3, 4], [[2, 3], [7, 9]]),
            "src/penstock/states.py": file([], [[5, 8]]),
            "src/penstock/clock.py": file([], []),
        },
    }
    kept = tmp_path / "summary.json"
    kept.write_text(json.dumps(summary(found)))
    page = coverage_page(kept)
    assert "**91.2 %**, 1,100 of 1,200 statements and 30 of 40 branches" in page
    assert "| `src/penstock/faults.py` | 80 % | 3-4 | 7→9 | kills or hangs its own process" in page
    assert "| `src/penstock/states.py` | 80 % |  | 5→8 |  |" in page
    assert "clock.py" not in page


def test_without_a_measurement_the_page_says_so(tmp_path: Path):
    assert "Not measured yet." in coverage_page(tmp_path / "none.json")


def test_every_reason_is_for_something_that_is_there():
    assert [reason["path"] for reason in REASONS if not list(ROOT.glob(reason["path"]))] == []
