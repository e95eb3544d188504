"""`penstock run` at a terminal: live bars, where a pipe gets plain lines."""

import os
import pty
import re
import subprocess
import sys

import pytest
from tests.process.lab import ENOUGH, Lab

pytestmark = pytest.mark.process


def test_bars_move_and_stay_at_what_was_done(lab: Lab) -> None:
    lab.module("lines", "def shout(record):\n    return record.upper()\n")
    lab.path("in.txt").write_text("".join(f"line {number}\n" for number in range(5000)))
    ours, theirs = pty.openpty()
    words = ["run", "lines:shout", "--input", "in.txt", "--output", "out.txt", "--store", "sqlite:///jobs.db"]
    command = [sys.executable, "-m", "penstock", *words]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, cwd=lab.folder, env=env, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        told = read_all(ours)
        assert process.wait(ENOUGH) == 0
    assert lab.path("out.txt").read_text().startswith("LINE 0\n")
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told).replace("\r", "\n")
    for part in ("uploading", "processing", "writing"):
        assert re.search(rf"{part} +━+ 5,000 records  [\d,]+/s", last), last


def read_all(descriptor: int) -> str:
    """Read what a terminal shows until nobody writes to it any more."""
    found = b""
    with os.fdopen(descriptor, "rb", buffering=0) as terminal:
        while True:
            try:
                part = terminal.read(1 << 16)
            except OSError:  # How a terminal ends on Linux.
                break
            if not part:
                break
            found += part
    return found.decode()
