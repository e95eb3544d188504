"""The short form of `python -m tests.faults`: whatever runs is killed, whatever it stands on breaks, all is counted."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.rounds import Ground, play, prepare
from tests.faults.serving import serve
from tests.postgres import OwnPostgres, own_postgres

pytestmark = pytest.mark.process
SEED = 26393
"""With it a schedule once ended for good, and a batch job failed, because a connection was terminated in a hook."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return prepare(Path(tmp_path_factory.mktemp("faults")))


@pytest.fixture(scope="module")
def seed() -> int:
    """The same for each run, as chance is for `make faults`; `PENSTOCK_FAULTS_SEED` names another."""
    return int(os.environ.get("PENSTOCK_FAULTS_SEED") or SEED)


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        yield server


# The number decides the sort of a round, here as in the long form: so that one can be played again.


@pytest.mark.parametrize("number", [0, 1], ids=["sqlite", "postgres"])
def test_a_run_killed_at_random_moments_and_resumed_gives_the_same_output(
    ground: Ground, postgres: OwnPostgres, seed: int, number: int
) -> None:
    told = play(ground, seed - seed % 4 + number, postgres.url if number % 2 else None)
    print(told)
    assert not told.errors, f"again with: python -m tests.faults --rounds 1 --seed {told.seed}\n{told}"


@pytest.mark.parametrize("number", [2, 3], ids=["sqlite", "postgres"])
def test_of_servers_whose_processes_and_store_break_every_job_record_and_tick_is_accounted_for(
    postgres: OwnPostgres, seed: int, number: int
) -> None:
    told = serve(seed - seed % 4 + number, postgres, "PostgreSQL" if number % 2 else "SQLite")
    print(told)
    assert not told.errors, f"again with: python -m tests.faults --rounds 1 --seed {told.seed}\n{told}"


@pytest.mark.parametrize("what", ["PostgreSQL killed", "connections terminated", "network cut"])
def test_when_postgresql_or_the_way_to_it_breaks_nothing_is_lost_or_stored_twice(
    postgres: OwnPostgres, seed: int, what: str
) -> None:
    told = serve(seed, postgres, "PostgreSQL", what)
    assert not told.errors, f"again with: python -m tests.faults --rounds 1 --seed {told.seed} {what!r}\n{told}"
    assert told.happened == [what]
