"""Somebody with only the quick start gets from an empty folder to a processed file, and a look at the console."""

import gzip
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tests.docs.quickstart import PAGE
from tests.docs.test_blocks import run_page

pytestmark = pytest.mark.process
ENOUGH = 30.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of somebody who has done all that the page says."""
    place = tmp_path_factory.mktemp("quickstart")
    ended = run_page(PAGE, place)
    assert ended.returncode == 0, ended.stdout
    return place


def test_from_an_empty_folder_to_a_file_with_the_result_of_every_order_in_order(folder):
    with gzip.open(folder / "totals.csv.gz", "rt") as file:
        rows = file.read().splitlines()
    wanted = [f"{number},{'' if number == 70_000 else f'{number % 90 * 1.19:.2f}'}" for number in range(1, 100_001)]
    assert [row.replace('""', "") for row in rows] == ["number,total", *wanted]
    assert (folder / "again.csv").read_text().splitlines() == rows
    made = {path.name for path in folder.iterdir()} - {"__pycache__", "server-0.log", "web-1.log"}
    told = (Path(__file__).parents[2] / PAGE).read_text("utf-8")
    assert [name for name in made if name not in told and not name.startswith("penstock.db")] == []


def test_the_console_then_shows_the_job(folder):
    """The seam for the console: `penstock web` says where it is, and its list of jobs has the one of the page."""
    command = [str(Path(sys.executable).with_name("penstock")), "web", "--app", "orders", "--port", "0"]
    log = folder / "web.log"
    with log.open("wb") as told:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=told, stderr=told)
    try:
        address = written_address(log, process)
        with urllib.request.urlopen(f"{address}/jobs", timeout=ENOUGH) as page:
            assert "AddTax" in page.read().decode()
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(ENOUGH)


def written_address(log, process):
    deadline = time.monotonic() + ENOUGH
    while not (found := re.search(r"http://[\w.:\[\]]+", log.read_text("utf-8"))):
        assert process.poll() is None, log.read_text("utf-8")
        assert time.monotonic() < deadline, "it does not say where it is"
        time.sleep(0.02)
    return found[0]
