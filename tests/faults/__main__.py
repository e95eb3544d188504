"""`python -m tests.faults --rounds 50`: the long form. Prints a line for each round, and a sum."""

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.faults.rounds import PHASES, play, prepare


def main() -> int:
    """Play rounds; returns 1 when anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, metavar="N")
    parser.add_argument("--seed", type=int, default=None, help="the seed of the first round; the next has the next one")
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else random.randrange(1_000_000)
    print(f"{asked.rounds} rounds from --seed {seed}", flush=True)
    kills: Counter[str] = Counter()
    errors = identical = 0
    with tempfile.TemporaryDirectory(prefix="penstock-faults-") as folder:
        ground = prepare(Path(folder))
        for overlap, durations in ground.durations.items():
            phases = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in durations.items())
            print(f"undisturbed{', overlapping' if overlap else ''}: {phases}", flush=True)
        for number in range(asked.rounds):
            told = play(ground, seed + number)
            print(f"{number + 1}: {told}", flush=True)
            kills += told.phases
            errors += len(told.errors)
            identical += not told.errors
    print("kills by phase: " + ", ".join(f"{phase} {kills[phase]}" for phase in PHASES))
    total = sum(kills.values())
    print(f"{asked.rounds} rounds, {total} kills: {errors} accounting errors, {identical} outputs identical")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
