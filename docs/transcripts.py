"""Writes docs/servers-transcript.md: `python docs/transcripts.py`, or with `-` prints it.

Everything on that page is done here: a real server in a temporary folder, and the commands that ask something of it.
What differs from run to run (host, process ids, ids of jobs, times) is replaced, each by the same words every time,
and of a dump only the frames of the user's own module stay. A test runs this and compares.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parent / "servers-transcript.md"
PENSTOCK = Path(sys.executable).with_name("penstock")
ENOUGH = 60.0
"""Seconds after which something that was waited for has not happened."""

PRINTING = '''\
"""A printer, which waits until there is paper."""

from penstock import Job


class PrintJob(Job):
    """Print a document."""

    destroy_on_complete = False
    title: str

    def perform(self) -> None:
        self.percent_complete = 50
        self.save()
        with open("tray") as tray:  # A named pipe: this waits until somebody writes into it.
            tray.read()
'''
SERVER = "penstock server --app printing --workers 1"
SERVERS = ("host:1234:ab12", "host:1250:cd34", "host:1270:ef56")
"""What the names of servers become, in the order in which they start."""
JOB = "01a1fbf7-6f14-7862-94d2-f0a999c7300{}"
"""What the ids of jobs become."""
READY = re.compile(r"^(\S+:\d+:\w+) .* running ", re.MULTILINE)
"""The line of a server that can work, as the list of servers has it."""
SPAN = "3 s"
"""What ages become."""


@dataclass
class Plain:
    """What differs from run to run, and the words it becomes."""

    folder: str
    words: dict[str, str] = field(default_factory=dict)
    """The words for names of servers and ids of jobs."""
    servers: int = 0
    jobs: int = 0

    def note_server(self, name: str) -> None:
        """Give a server its words."""
        self.words[name] = SERVERS[self.servers]
        self.servers += 1

    def note_job(self, job_id: str) -> None:
        """Give a job its words."""
        self.jobs += 1
        self.words[job_id] = JOB.format(self.jobs)

    def text(self, told: str) -> str:
        """Return what a command told in words that are the same every time."""
        lines = told.splitlines()
        if lines and re.match(r"(name|id)  ", lines[0]):
            return self._table(lines)
        if any(line.startswith("== ") for line in lines):
            return "\n".join(self._dump(lines))
        return "\n".join(map(self._line, lines))

    def _line(self, line: str) -> str:
        for word, plain in self.words.items():
            line = line.replace(word, plain)
        return line.replace(self.folder, "/app")

    def _table(self, lines: list[str]) -> str:
        """Replace what is in the cells, and align the columns anew."""
        starts = [match.start() for match in re.finditer(r"\S+(?: \S+)*", lines[0])]
        spans = list(zip(starts, [*starts[1:], None], strict=True))
        titles, *rows = [[self._line(line[start:end].strip()) for start, end in spans] for line in lines]
        table = [titles, *(self._row(titles, row) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)

    @staticmethod
    def _row(titles: list[str], row: list[str]) -> list[str]:
        host, pid, *_ = [*row[0].split(":"), ""]  # Of a list of servers; the first cell is the name.
        always = {"host": host, "pid": pid, "up": SPAN, "age": SPAN}
        return [always.get(title, cell) for title, cell in zip(titles, row, strict=True)]

    def _dump(self, lines: list[str]) -> Iterator[str]:
        """Yield the titles, and of each thread the frames of the user's module with their lines of source."""
        thread = frame = ""
        for line in lines:
            if not line.startswith(" "):
                is_thread = line.endswith(":")
                thread = line if is_thread else ""
                if not is_thread:
                    yield re.sub(r"process \d+$", "process 1240", self._line(line))
                continue
            if line.startswith("  File"):
                frame = line if f'"{self.folder}/' in line else ""
                if frame and thread:
                    yield from (self._line(thread), "  …")
                    thread = ""
            if frame:
                yield self._line(line)


class Shell:
    """Runs commands as in a shell, and keeps what they told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")},
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "120",
        }
        self._blocks: list[str] = []
        self.plain = Plain(str(folder))

    def run(self, command: str, until: Callable[[str], object] = lambda _: True) -> str:
        """Run a command, again and again until it tells what is waited for; only the last time is kept."""
        deadline = time.monotonic() + ENOUGH
        while True:
            ended = self._ended(command)
            told = ended.stdout
            if until(told):
                break
            if time.monotonic() > deadline:
                raise AssertionError(f"{command}: not what was waited for in {ENOUGH:g} s:\n{told}")
        self._keep(command, told, ended.returncode)
        return told

    def create(self, title: str) -> None:
        """Make a job."""
        command = f"penstock jobs create printing:PrintJob --set title={title}"
        ended = self._ended(command)
        self.plain.note_job(ended.stdout.strip())
        self._keep(command, ended.stdout, ended.returncode)

    def name_of_server(self) -> str:
        """Return the name of the one server there is, once it can work."""
        deadline = time.monotonic() + ENOUGH
        while not (found := READY.search(self._ended("penstock servers list").stdout)):
            if time.monotonic() > deadline:
                raise AssertionError(f"no server is ready in {ENOUGH:g} s")
        self.plain.note_server(found[1])
        return found[1]

    @contextmanager
    def server(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start a server as in another shell. It must have ended, and well, at the end of the block."""
        with subprocess.Popen(
            [PENSTOCK, *SERVER.split()[1:]],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                yield process
                if process.wait(ENOUGH) != 0:
                    raise AssertionError(f"the server ended with code {process.returncode}")
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def told(self) -> str:
        """Return the block of what was run since the last time."""
        blocks, self._blocks = self._blocks, []
        return "\n".join(["```console", *blocks, "```"])

    def _ended(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", command.replace("penstock", str(PENSTOCK), 1) if command.startswith("penstock") else command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=ENOUGH,
            check=False,
        )

    def _keep(self, command: str, told: str, code: int) -> None:
        self._blocks.append(f"$ {self.plain.text(command)}")
        if told:
            self._blocks.append(self.plain.text(told))
        if code:
            self._blocks.append(f"$ echo $?\n{code}")


def servers_page() -> str:
    """Run it all, and return the page."""
    with tempfile.TemporaryDirectory(prefix="penstock-transcript-") as name:
        folder = Path(name).resolve()
        (folder / "printing.py").write_text(PRINTING, "utf-8")
        os.mkfifo(folder / "tray")
        shell = Shell(folder)
        parts = [INTRODUCTION.format(module=PRINTING, server=SERVER), *_first_server(shell), *_killed_server(shell)]
    return "\n".join(parts)


def _first_server(shell: Shell) -> Iterator[str]:
    with shell.server():
        name = shell.name_of_server()
        shell.run("penstock servers list")
        shell.create("letter")
        shell.run("penstock jobs list", until=is_printing)
        yield from ("## List\n", shell.told(), "")
        shell.run(f"penstock servers dump {name}", until=lambda told: 'with open("tray")' in told)
        yield from ("## Dump\n", DUMP, shell.told(), "")
        shell.run(f"penstock servers pause {name}")
        shell.run("penstock servers list")
        shell.create("poster")
        shell.run("penstock jobs list")
        yield from ("## Pause\n", PAUSE, shell.told(), "")
        shell.run("echo paper > tray")
        shell.run("penstock jobs list", until=lambda told: "completed" in told)
        shell.run(f"penstock servers pause {name}")
        yield from (PAUSED, shell.told(), "")
        shell.run("penstock servers resume --all")
        shell.run("penstock jobs list", until=is_printing)
        yield from ("## Resume\n", RESUME, shell.told(), "")
        shell.run(f"penstock servers stop {name}")
        shell.run("penstock servers list", until=lambda told: "stopping" in told)
        shell.run("echo paper > tray")
    shell.run("penstock servers list")
    shell.run("penstock jobs list")
    yield from ("## Stop\n", STOP, shell.told(), "")


def _killed_server(shell: Shell) -> Iterator[str]:
    with shell.server():
        name = shell.name_of_server()
        shell.create("banner")
        shell.run("penstock jobs list --state running", until=is_printing)
        shell.run(f"penstock servers kill {name}")
    shell.run("penstock servers list")
    shell.run("penstock jobs list --state queued")
    yield from ("## Kill\n", KILL.format(server=SERVER), shell.told(), "")
    with shell.server():
        shell.name_of_server()
        shell.run("echo paper > tray")
        shell.run("penstock jobs list --limit 1", until=lambda told: "completed" in told)
        shell.run("penstock servers stop --all")
    yield from (KILLED, shell.told(), "")


def is_printing(told: str) -> bool:
    """Tell whether a list of jobs has one that is in `perform`."""
    return re.search(r" running .* 50% ", told) is not None


INTRODUCTION = """\
# Servers, asked from another shell

Made by `python docs/transcripts.py`, which does all of this; the tests do it again and compare. Hosts, process ids,
ids of jobs and times are replaced by some that are the same every time. The jobs are these:

```python
{module}```

A server runs in one shell, and what follows is typed in another:

```console
$ mkfifo tray
$ {server}
```
"""
DUMP = """\
What every thread of the server and of its workers does. Here only the frames of `printing.py` are left.
"""
PAUSE = """\
What runs is finished, and nothing else is begun until somebody says resume.
"""
PAUSED = """\
The letter is printed all the same. What does not apply is refused, and changes nothing:
"""
RESUME = """\
`--all` means all servers to which it applies.
"""
STOP = """\
As SIGTERM does: it finishes what runs within `--grace` seconds (30), hands the rest back, and ends with exit code 0.
"""
KILL = """\
Another server, started in the same way, and ended at once. What it held is queued again, without blame:
"""
KILLED = """\
The next one runs it:
"""


def main() -> None:
    """Write the page, or print it."""
    parser = argparse.ArgumentParser(description="Write docs/servers-transcript.md from a real server.")
    parser.add_argument("page", nargs="?", default=str(PAGE), help="Where to write it; - is standard output.")
    page = parser.parse_args().page
    told = servers_page()
    if page == "-":
        sys.stdout.write(told)
    else:
        Path(page).write_text(told, "utf-8")


if __name__ == "__main__":
    main()
