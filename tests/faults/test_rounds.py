"""The short form of `python -m tests.faults`: kill -9 of whatever runs, at random moments."""

import os
import random
from pathlib import Path

import pytest
from tests.faults.rounds import Ground, play, prepare

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return prepare(Path(tmp_path_factory.mktemp("faults")))


@pytest.fixture(scope="module")
def seed() -> int:
    """A new one for each run; `PENSTOCK_FAULTS_SEED` plays a run again."""
    return int(os.environ.get("PENSTOCK_FAULTS_SEED") or random.randrange(1_000_000))


@pytest.mark.parametrize("number", range(4))
def test_a_run_killed_at_random_moments_and_resumed_gives_the_same_output(
    ground: Ground, seed: int, number: int
) -> None:
    told = play(ground, seed + number)
    print(told)
    assert not told.errors, f"again with: python -m tests.faults --rounds 1 --seed {told.seed}\n{told}"
