"""What the page on deployment gives its readers to copy."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.blocks import ROOT, blocks_of

FILES = {block.file: block.text for block in blocks_of("docs/deployment.md") if block.file}
INSTRUCTION = re.compile(r"(FROM|RUN|WORKDIR|COPY|USER|ENV|STOPSIGNAL|ENTRYPOINT|CMD) \S")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_the_unit_is_one_that_systemd_takes(tmp_path):
    program = Path(sys.executable).with_name("penstock")
    unit = FILES["penstock.service"].replace("/srv/shop/.venv/bin/penstock", str(program))
    path = tmp_path / "penstock.service"
    path.write_text(unit.replace("WorkingDirectory=/srv/shop", f"WorkingDirectory={tmp_path}"))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, [line for line in checked.stderr.splitlines() if "penstock" in line]) == (0, [])


def test_the_unit_waits_longer_than_the_server_takes_to_stop():
    unit = FILES["penstock.service"]
    grace = int(re.search(r"--grace (\d+)", unit)[1])
    assert int(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) > grace


@pytest.mark.parametrize("name", ["penstock.service", "Dockerfile"])
def test_its_command_line_is_one_that_the_server_takes(name):
    text = FILES[name].replace('", "', " ")
    words = re.search(r"server (--[^\"\n]*)", text)[1].split()
    options = [word for word in words if word.startswith("--")]
    told = subprocess.run(
        [sys.executable, "-m", "penstock", "server", "--help"], capture_output=True, text=True, check=True
    )
    assert [option for option in options if option not in told.stdout] == []


def test_the_dockerfile_copies_what_is_there_and_runs_no_shell():
    lines = [line for line in FILES["Dockerfile"].splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not INSTRUCTION.match(line)] == []
    assert (ROOT / "constraints.txt").exists()
    extras = re.search(r"penstock\[([\w,]+)\]", FILES["Dockerfile"])[1].split(",")
    assert [extra for extra in extras if f"\n{extra} = [" not in (ROOT / "pyproject.toml").read_text("utf-8")] == []
    assert [line for line in lines if line.startswith(("ENTRYPOINT", "CMD")) and " [" not in line] == []
