"""Every block of every page is run, in order, as a reader would, or says why not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.blocks import PAGES, ROOT, RUN_ELSEWHERE, blocks_of
from tests.docs.quickstart import PAGE as QUICKSTART

BLOCKS = [block for page in PAGES if page not in RUN_ELSEWHERE for block in blocks_of(page)]
READ = sorted({block.page for block in BLOCKS if block.is_run} - {QUICKSTART})


def run_page(page: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Do what a page says, in an empty folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return subprocess.run(
        [sys.executable, "-m", "tests.docs.run_page", page],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.process
@pytest.mark.parametrize("page", READ)
def test_what_a_page_says_can_be_done_from_its_top_to_its_end(page, tmp_path):
    ended = run_page(page, tmp_path)
    assert ended.returncode == 0, ended.stdout


def test_a_block_that_is_not_run_says_why():
    silent = [str(block) for block in BLOCKS if not block.is_run and not reason(block)]
    assert silent == [], "put <!-- not run: REASON --> before it"


def test_most_blocks_are_run():
    not_run = [f"{block}: {reason(block)}" for block in BLOCKS if not block.is_run]
    print("\n".join(["not run:", *not_run]))  # Seen with: python -m pytest -s tests/docs -k most
    assert len(not_run) < len(BLOCKS) / 5


def reason(block):
    return block.marks.get("not run") or block.marks.get("fresh")
