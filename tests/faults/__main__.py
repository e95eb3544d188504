"""`python -m tests.faults --rounds 200`: the long form. Prints a line for each round, and a sum."""

import argparse
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.faults.disturbances import CLIENT_POINTS, DISTURBANCES, POSTGRES, SERVER_POINTS, SQLITE
from tests.faults.rounds import play, prepare
from tests.faults.serving import serve
from tests.faults.summary import Summary, write_docs
from tests.postgres import own_postgres


def main() -> int:
    """Play rounds, by turns of both sorts on both stores; returns 1 when anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, metavar="N")
    parser.add_argument("--seed", type=int, default=None, help="the seed of the first round; the next has the next one")
    parser.add_argument("--write-docs", action="store_true", help="write the summary into docs/faults.md")
    parser.add_argument("--summary", type=Path, help="a file to keep the counts in: more rounds are added to them")
    parser.add_argument("--each", action="store_true", help="one round for each disturbance and fault point instead")
    parser.add_argument(
        "only", nargs="*", help="disturbances, or fault points as 'at POINT': of servers, on both stores"
    )
    asked = parser.parse_args()
    if asked.each:
        return play_each(asked.seed or 0)
    seed = asked.seed if asked.seed is not None else random.randrange(1_000_000)
    print(f"{asked.rounds} rounds from --seed {seed}", flush=True)
    summary = Summary.load(asked.summary)
    with tempfile.TemporaryDirectory(prefix="penstock-faults-") as folder, ExitStack() as stack:
        postgres = stack.enter_context(own_postgres())
        ground = None if asked.only else prepare(Path(folder))
        for number in range(seed, seed + asked.rounds):
            # The number alone decides, so that a round can be played again: by turns a run and servers on each store.
            on_postgres = number % 2 == 1
            if ground is not None and number // 2 % 2 == 0:
                ran = play(ground, number, postgres.url if on_postgres else None)
                summary.add_run(ran)
                print(ran, flush=True)
            else:
                served = serve(number, postgres, "PostgreSQL" if on_postgres else "SQLite", *asked.only)
                summary.add_served(served)
                print(served, flush=True)
            summary.save(asked.summary)
    print("\n".join(summary.lines()))
    if asked.write_docs:
        write_docs(summary)
    return 1 if summary.errors else 0


def play_each(seed: int) -> int:
    """Play a round with servers for each disturbance and each fault point that they pass, on both stores."""
    names = [*(one.name for one in DISTURBANCES), *(f"at {point}" for point in (*SERVER_POINTS, *CLIENT_POINTS))]
    wrong = 0
    with own_postgres() as postgres:
        for store in (SQLITE, POSTGRES):
            for name in names:
                served = serve(seed, postgres, store, name)
                print(served, flush=True)
                wrong += bool(served.errors)
    print(f"{wrong} rounds with errors")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
