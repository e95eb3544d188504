"""docs/servers-transcript.md: what the commands say that ask something of servers from another shell."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.process.lab import ENOUGH, Lab

pytestmark = pytest.mark.process

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_commands_say_now(lab: Lab) -> None:
    told = subprocess.run(
        [sys.executable, str(DOCS / "transcripts.py"), "-"],
        cwd=lab.folder,
        # So that no process which the script starts can outlive it unseen.
        env=lab.environment,
        capture_output=True,
        text=True,
        timeout=2 * ENOUGH,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    page = (DOCS / "servers-transcript.md").read_text("utf-8")
    assert told.stdout.splitlines() == page.splitlines(), "run: python docs/transcripts.py"
    assert told.stderr == ""
