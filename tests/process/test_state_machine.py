"""Random moves, saves, edits and crashes by several actors, against real servers; see `machine/`."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.process.lab import Lab
from tests.process.machine.ground import Ground
from tests.process.machine.play import Machine

pytestmark = [
    pytest.mark.process,
    pytest.mark.sqlite(
        "its history is the order in which one writer at a time committed, noted by triggers; "
        "PostgreSQL has the rounds in tests/faults"
    ),
]

# A failure is told whole, with the story of its job: it depends on the moment and cannot be made smaller by trying.
SETTINGS = settings(
    max_examples=6,
    stateful_step_count=25,
    phases=[Phase.generate],
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_whatever_actors_do_and_whatever_is_killed_jobs_move_legally_and_nothing_is_lost(lab: Lab) -> None:
    ground = Ground(lab)
    ground.open()
    Machine.ground = ground
    run_state_machine_as_test(Machine, settings=SETTINGS)
    ground.close()
