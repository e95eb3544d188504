"""`make demo`: a million ledger lines through `LedgerJob`, and what came out."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

from examples.make_ledger import write_ledger

FOLDER = Path("demo-output")
LEDGER = FOLDER / "ledger.csv"
EURO = FOLDER / "euro.csv"
SUSPICIOUS = FOLDER / "suspicious.csv"
STORE = "sqlite:///demo-output/penstock.db"
JOB = "examples.ledger:LedgerJob"
PENSTOCK = Path(sys.executable).with_name("penstock")
FIRST_LINES = 4


def main() -> None:
    """Make the ledger, run the job, show what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    lines = parser.parse_args().lines

    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    title(f"A ledger of {lines:,} lines")
    write_ledger(str(LEDGER), lines)
    print(f"{LEDGER}: {LEDGER.stat().st_size / 1e6:.0f} MB. It begins:")
    show(LEDGER)

    title("The job")
    command = [
        "run",
        JOB,
        "--input",
        LEDGER,
        "--output",
        EURO,
        "--output",
        f"suspicious={SUSPICIOUS}",
        "--store",
        STORE,
    ]
    print("LedgerJob in examples/ledger.py parses each line, converts its amount to euros, and sets aside")
    print("what looks wrong. Every line is stored before it is processed, and every result as well.\n")
    print(f"$ penstock {' '.join(map(str, command))}", flush=True)
    began = time.monotonic()
    code = subprocess.run([PENSTOCK, *command], check=False).returncode
    seconds = time.monotonic() - began
    if code:
        sys.exit(code)

    title(f"{lines / seconds:,.0f} records/s")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{lines:,} records in {seconds:.1f} s on {cores} cores, from the start of the command to the written files.")
    for path, what in ((EURO, "converted"), (SUSPICIOUS, "suspicious, with the reason")):
        print(f"\n{path}: {count_lines(path):,} lines {what}, in the order of the ledger")
        show(path)

    title("What to try next")
    print(NEXT)


def title(text: str) -> None:
    """Begin a part."""
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def show(path: Path) -> None:
    """Print the first lines of a file."""
    with path.open(encoding="utf-8") as lines:
        for line in islice(lines, FIRST_LINES):
            print(f"  {line}", end="")
    print(flush=True)


def count_lines(path: Path) -> int:
    """Return the number of lines of a file."""
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


RUN = f"""\
.venv/bin/penstock run {JOB} --input {LEDGER} \\
      --output {EURO} --output suspicious={SUSPICIOUS} --store {STORE}"""
RESUME = f".venv/bin/penstock run --resume --app {JOB.partition(':')[0]} --store {STORE}"
NEXT = f"""\
Kill it in the middle, as hard as you like, and go on where it stopped: the output is the same.
  ( {RUN} & sleep 2; kill -9 $! )
  {RESUME}

Process while the file is still being read: add --overlap.

Look at the jobs, and add up where every record is.
  .venv/bin/penstock jobs list --store {STORE}
  .venv/bin/penstock jobs check ID --store {STORE}

Write your own: examples/reverse.py is a dozen lines, and examples/words.py a plain function.
"""


if __name__ == "__main__":
    main()
