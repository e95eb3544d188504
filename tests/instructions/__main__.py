"""`python -m tests.instructions`: count the instructions of the hot paths; `--record` keeps them to compare with."""

import argparse

from tests.instructions.counting import build, counted, record, recorded


def main() -> None:
    """Print each path beside what is recorded of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.instructions", description=__doc__)
    parser.add_argument("--record", action="store_true", help="keep what is counted now, for this build of Python")
    asked = parser.parse_args()
    counts, before = counted(), recorded().get(build(), {})
    print(f"instructions for each, {build()}")
    for name, count in counts.items():
        change = f"{count / before[name] - 1:+.1%}" if name in before else "new"
        print(f"  {name:20} {count:12,.1f}  {change}")
    if asked.record:
        record(counts)


if __name__ == "__main__":
    main()
