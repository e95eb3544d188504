"""Each example is run as its docstring says, by real processes, in a folder of its own."""

import json
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def folder(tmp_path):
    """A folder with a copy of the examples in it, as in the project's root."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__", "*.db*"))
    return tmp_path


def python(*arguments, cwd, code=0):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        check=False,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def penstock(*arguments, cwd, code=0):
    return python("-m", "penstock", *arguments, cwd=cwd, code=code)


def test_reverse_reverses_every_line_in_order(folder):
    here = folder / "examples"
    lines = [f"{number} Grüße, 東京" for number in range(1234)]
    (here / "names.txt").write_text("\n".join(lines) + "\n", "utf-8")
    penstock("run", "reverse:ReverseJob", "--input", "names.txt", "--output", "reversed.txt", cwd=here)
    assert (here / "reversed.txt").read_text("utf-8").split("\n") == [*(line[::-1] for line in lines), ""]


def test_words_writes_what_a_plain_function_returns_as_json_lines(folder):
    here = folder / "examples"
    (here / "letter.txt").write_text("Dear Ada\n\nit is a pleasure\n", "utf-8")
    penstock("run", "words:count", "--input", "letter.txt", "--output", "words.jsonl", cwd=here)
    assert [json.loads(line) for line in (here / "words.jsonl").read_text().splitlines()] == [
        {"words": 2, "longest": "Dear"},
        {"words": 0, "longest": ""},
        {"words": 4, "longest": "pleasure"},
    ]


def test_repair_names_the_bad_line_and_goes_on_there_after_the_correction(folder):
    here = folder / "examples"
    (here / "prices.txt").write_text("1.50\n2\n1,50\n4.25\n")
    failed = penstock("run", "repair:CentsJob", "--input", "prices.txt", "--output", "cents.txt", cwd=here, code=1)
    assert re.search(r"prices\.txt:3: ValueError: .*'1,50'", failed.stderr)
    assert not (here / "cents.txt").exists()

    wrong = here / "repair.py"
    correction = re.search(r"The correction: (.+)\n", wrong.read_text())[1]
    wrong.write_text(wrong.read_text().replace('= price.partition(".")', f"= {correction}"))
    penstock("run", "--resume", "--app", "repair", "--output", "cents.txt", cwd=here)
    assert (here / "cents.txt").read_text() == "150\n200\n150\n425\n"


def test_regular_jobs_are_made_run_corrected_and_run_again(folder):
    told = python("regular_jobs.py", cwd=folder / "examples").stdout
    assert told.splitlines()[0].startswith("Dear alan, 1 pages on ")
    assert told.splitlines()[1:] == [
        "4 completed, 1 failed",
        "nobody: ValueError: nobody reads letters",
        "5 completed, 0 failed",
    ]


def test_the_ledger_is_the_same_every_time_and_holds_what_it_says(folder):
    for name in ("one.csv", "two.csv"):
        python("examples/make_ledger.py", name, "--lines", "5000", cwd=folder)
    assert (folder / "one.csv").read_bytes() == (folder / "two.csv").read_bytes()
    assert (folder / "one.csv").read_bytes().count(b"\n") == 5000


def test_ledger_job_converts_each_booking_and_sets_aside_what_looks_wrong(folder):
    good = "2025-03-01,1004,Ørsted Vind A/S,USD,100.00,RF15477606200000000,rent"
    quoted = '2025-03-02,1004,"Müller, Söhne",EUR,1.83,RF81043351300000001,rent'
    wrong = {
        "2025-03-03,1004,Ada,USD,250000.17,RF15477606200000000,rent": "large amount",
        "2025-03-04,1004,Ada,CZK,30000.00,RF15477606200000000,rent": "round amount",
        "2025-03-05,1004,Ada,EUR,1.83,RF16477606200000000,rent": "check digits of the reference",
        "2025-03-06,1004,Ada,EURO,1.83,RF15477606200000000,rent": "unknown currency",
    }
    (folder / "ledger.csv").write_text("\n".join([good, *wrong, quoted]) + "\n", "utf-8")
    penstock(
        *("run", "examples.ledger:LedgerJob", "--input", "ledger.csv"),
        *("--output", "euro.csv", "--output", "suspicious=suspicious.csv", "--set", "slice_size=2"),
        cwd=folder,
    )
    assert (folder / "euro.csv").read_text("utf-8").splitlines() == [
        "01.03.2025,1004,Ørsted Vind A/S,92.41,RF15477606200000000,rent",
        '02.03.2025,1004,"Müller, Söhne",1.83,RF81043351300000001,rent',
    ]
    assert (folder / "suspicious.csv").read_text("utf-8").splitlines() == [
        f"{line},{reason}" for line, reason in wrong.items()
    ]


def test_demo_shows_the_figure_and_both_outputs_and_its_files_add_up(folder):
    told = python("-m", "examples.demo", "--lines", "4000", cwd=folder)
    assert re.search(r"^[\d,]+ records/s$", told.stdout, re.MULTILINE)
    assert "penstock run --resume" in told.stdout
    output = folder / "demo-output"
    ledger, euro, suspicious = (
        (output / name).read_text("utf-8").splitlines() for name in ("ledger.csv", "euro.csv", "suspicious.csv")
    )
    assert len(euro) + len(suspicious) == len(ledger) == 4000
    assert f"  {euro[0]}" in told.stdout
    assert f"  {suspicious[0]}" in told.stdout
    reasons = Counter(line.rpartition(",")[2] for line in suspicious)
    assert set(reasons) == {"large amount", "round amount", "unknown currency", "check digits of the reference"}
    assert all(Decimal(line.split(",")[-3]) < 100_000 for line in euro)


def test_the_commands_that_the_demo_suggests_work(folder):
    told = python("-m", "examples.demo", "--lines", "2000", cwd=folder).stdout
    store = "sqlite:///demo-output/penstock.db"
    assert f".venv/bin/penstock jobs list --store {store}" in told
    [job] = json.loads(penstock("jobs", "list", "--json", "--store", store, cwd=folder).stdout)
    assert (job["kind"], job["state"], job["record_count"]) == ("LedgerJob", "completed", 2000)
    penstock("jobs", "check", job["id"], "--store", store, cwd=folder)
    assert f".venv/bin/penstock run --resume --app examples.ledger --store {store}" in told
    (folder / "demo-output" / "euro.csv").unlink()
    penstock("run", "--resume", "--app", "examples.ledger", "--store", store, cwd=folder)
    assert (folder / "demo-output" / "euro.csv").exists()


@pytest.fixture
def nodes(monkeypatch):
    """Start nodes for addresses, and kill them at the end."""
    monkeypatch.setenv("PENSTOCK_SECRET", "only for these examples")
    started = []

    def start(name, *addresses, cwd):
        connect = [word for address in addresses for word in ("--connect", address)]
        command = ["node", "--name", name, *connect, "--app", "reactor_jobs", "--processes", "1"]
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "penstock", *command], cwd=cwd, stdin=subprocess.DEVNULL, start_new_session=True
            )
        )

    yield start
    for node in started:
        node.terminate()
    for node in started:
        assert node.wait(60) == 0


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def test_two_applications_and_three_nodes_give_every_feedback_exactly_once(folder, nodes):
    here = folder / "examples"
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    for number in range(3):
        nodes(f"worker_{number}", *addresses, cwd=here)
    commands = [[sys.executable, "application.py", address, "1000"] for address in addresses]
    with ExitStack() as stack:
        applications = [
            stack.enter_context(subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, text=True))
            for command in commands
        ]
        told = [application.communicate(timeout=300)[0].splitlines() for application in applications]
    assert [application.returncode for application in applications] == [0, 0]
    for address, lines in zip(addresses, told, strict=True):
        assert lines == [
            f"listening at {address}",
            "are you there? Yes.",
            "failed for good: FileNotFoundError",
            "1000 jobs, 1000 of them with exactly one feedback",
        ]


def test_all_in_one_answers_itself(folder):
    assert python("all_in_one.py", cwd=folder / "examples").stdout == "100 answers\n"
