"""`python -m tests.process.machine --rounds 20`: the long form of the state machine."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.process.lab import Lab
from tests.process.machine.ground import Ground
from tests.process.machine.play import Machine


def main() -> int:
    """Play rounds, each against servers of its own; returns 1 when anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.process.machine", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, metavar="N")
    parser.add_argument("--examples", type=int, default=10, metavar="N", help="programs in a round")
    parser.add_argument("--steps", type=int, default=50, metavar="N", help="steps of a program, at most")
    parser.add_argument("--seed", type=int, default=None, help="the seed of the first round; the next has the next one")
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else random.randrange(1_000_000)
    print(f"{asked.rounds} rounds of {asked.examples} programs from --seed {seed}", flush=True)
    chosen = settings(
        max_examples=asked.examples,
        stateful_step_count=asked.steps,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    wrong = 0
    for number in range(asked.rounds):
        found = play(seed + number, chosen)
        wrong += bool(found)
        print(f"{number + 1}: {found or 'ok'}", flush=True)
    told = ", ".join(f"{count} {what}" for what, count in sorted(Machine.figures.items()))
    print(f"{asked.rounds} rounds, {wrong} wrong: {told}")
    return 1 if wrong else 0


def play(seed: int, chosen: settings) -> str:
    """Play one round, and return what was wrong with it."""
    with tempfile.TemporaryDirectory(prefix="penstock-machine-") as folder:
        lab = Lab(Path(folder))
        ground = Ground(lab)
        try:
            ground.open()
            played = hypothesis.seed(seed)(type("Played", (Machine,), {"ground": ground}))
            run_state_machine_as_test(played, settings=chosen)
            ground.close()
            lab.await_none_living()
        except Exception as error:
            return "\n".join(ground.found) or f"{type(error).__name__}: {error}"
        finally:
            lab.close()
    return ""


if __name__ == "__main__":
    sys.exit(main())
