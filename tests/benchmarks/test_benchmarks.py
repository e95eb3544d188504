"""Each measurement runs, in a small size. No figure is asserted: these tests keep the programs alive."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.process, pytest.mark.linux]

ROOT = Path(__file__).parents[2]
SMALL = {
    "batch": ["--lines", "3000", "--rounds", "1", "--mixed", "1"],
    "work": ["--lines", "300", "--work-rounds", "1"],
    "records": ["--lines", "5000", "--rounds", "1"],
    "housekeeping": ["--finished", "400", "--rounds", "2", "--claims", "5", "--pause-ms", "1"],
    "rows": ["--row-rounds", "1"],
    "enqueue": ["--jobs", "50", "--commits", "5", "--rounds", "1"],
    "stores": ["--lines", "1000", "--rounds", "1"],
    "oltp": ["--seconds", "1", "--pairs", "1", "--jobs-per-second", "20"],
    "queues": ["--jobs", "100", "--rounds", "1"],
    "console": ["--page-jobs", "300", "--page-slices", "20", "--page-rounds", "1"],
    "browsers": ["--browsers", "2", "--browser-seconds", "1"],
    "profile": [
        *("--lines", "2000", "--large-lines", "3000", "--work-lines", "300", "--jobs", "40", "--bulk-jobs", "40"),
        *("--commits", "8", "--pickups", "2", "--idle-seconds", "1", "--turns", "1", "--counted", "0"),
    ],
}
"""Others without rivals are measured by `tests/bench`."""
ON_POSTGRES = {"stores", "oltp", "queues", "console", "browsers"}


@pytest.mark.parametrize("subject", SMALL)
def test_each_subject_prints_its_tables_and_writes_them_with_settings_and_versions(subject, tmp_path, request):
    command = [sys.executable, "-m", "benchmarks", subject, *SMALL[subject]]
    if subject in ON_POSTGRES:
        command += ["--postgres", request.getfixturevalue("postgres_server")]
    done = subprocess.run(
        [*command, "--data", str(tmp_path / "data"), "--results", str(tmp_path / "results")],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "results" / f"{subject}.json").read_text())
    assert written["subject"] == subject
    assert {"python", "penstock", "sqlite", "cores", "when"} <= set(written["machine"])
    assert list(map(str, written["settings"].values())) == SMALL[subject][1::2]
    for title, rows in written["tables"].items():
        assert f"  {title}\n" in done.stdout
        assert rows
