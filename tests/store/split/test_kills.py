"""What is killed between two steps of a store in two is taken up again: every record once, no slices without a job."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
APART = 14
"""Steps from one kill to the next; the long form, `python -m tests.store.split.kills`, takes each."""
SCENARIOS = ("batch", "before_batch", "rejects", "retry", "resubmit", "hand_back", "destroy")


def play(scenario: str, *options: str, apart: int = APART) -> None:
    """In a process of its own: it forks, and nothing may be open then."""
    first = random.randint(1, apart)
    words = [scenario, "--first", str(first), "--apart", str(apart), *options]
    played = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.store.split.kills", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert played.returncode == 0, f"first {first}\n{played.stderr}"


@pytest.mark.process
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_whatever_was_cut_short_is_taken_up(scenario):
    play(scenario)


@pytest.mark.process
@pytest.mark.parametrize("scenario", ["batch", "resubmit"])
def test_whatever_was_cut_short_is_taken_up_with_jobs_in_postgresql(scenario, postgres_server):
    join = "&" if "?" in postgres_server else "?"
    jobs = f"{postgres_server}{join}schema=kill_{os.urandom(3).hex()}_"
    play(scenario, "--jobs", jobs, apart=2 * APART)
