"""A folder with a job module, input files and a store, in which real `penstock` commands are run.

Every process started here, and every process started by those, carries a mark in its environment, so that
one that outlives its test is found in `/proc`.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

PENSTOCK = str(Path(sys.executable).with_name("penstock"))
MARK = "PENSTOCK_TEST_LAB"
ENOUGH = 60.0
"""Seconds after which something that was waited for has not happened. Never waited for in a passing test."""
NOBODY = 65534
_LIBC = ctypes.CDLL(None)
_PR_CAPBSET_DROP = 24


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def told(self) -> list[str]:
        """The lines on standard error that begin with the program's name: what went wrong."""
        return [line for line in self.err.splitlines() if line.startswith("penstock: ")]

    @property
    def untold(self) -> list[str]:
        """All other lines but those that every run shows."""
        shown = ("penstock: ", "store: ", "uploading: ", "processing: ", "writing: ")
        return [line for line in self.err.splitlines() if not line.startswith(shown)]


@dataclass
class Lab:
    """See the module."""

    folder: Path
    store: str = "penstock.db"
    """The name of a file in the folder, or a URL."""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)
    """Further variables in the environment of every command."""

    # Files ---------------------------------------------------------------------------------------

    def module(self, name: str, source: str) -> None:
        """Write a Python module. Written twice it must be read anew, so no compiled one may be in its place."""
        for old in self.folder.glob(f"__pycache__/{name}.*"):
            old.unlink()
        self.path(f"{name}.py").write_text(dedent(source), "utf-8")

    def path(self, name: str) -> Path:
        """Return the path of a file in the folder."""
        return self.folder / name

    def lines(self, name: str, count: int) -> list[str]:
        """Write a file of so many different lines, and return them."""
        made = [f"line {number} of {count}: äöü € and some more" for number in range(1, count + 1)]
        self.path(name).write_text("".join(f"{line}\n" for line in made), "utf-8")
        return made

    def litter(self) -> list[str]:
        """Return the names of half-written outputs."""
        return [path.name for path in self.folder.rglob("*.part")]

    @property
    def url(self) -> str:
        """The URL of the store from anywhere."""
        return self.store if "://" in self.store else f"sqlite:///{self.path(self.store)}"

    # Commands ------------------------------------------------------------------------------------

    def run(
        self,
        *words: str,
        stdin: bytes | None = None,
        seconds: float = ENOUGH,
        powerless: bool = False,
        env: Mapping[str, str] | None = None,
        command: str = "run",
    ) -> Ended:
        """Run a command to its end.

        Args:
            powerless: Without the power of root to pass over permissions. Not as another user: that one might
                not be allowed to run the interpreter, as where it is below the home of root.
        """
        ended = subprocess.run(
            [PENSTOCK, command, *words],
            cwd=self.folder,
            env={**self.environment, **(env or {})},
            input=stdin if stdin is not None else b"",
            capture_output=True,
            timeout=seconds,
            preexec_fn=_drop_powers if powerless else None,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr.decode())

    def printed_command(self, err: str) -> Ended:
        """Run the command that a run printed to go on with, as a shell would."""
        line = next(line for line in err.splitlines() if "penstock run --resume" in line)
        command = line[line.index("penstock run --resume") :].replace("penstock", PENSTOCK, 1)
        ended = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            timeout=ENOUGH,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr.decode())

    def start(
        self,
        *words: str,
        command: str = "run",
        stdin: Any = subprocess.DEVNULL,
        env: Mapping[str, str] | None = None,
    ) -> "Started":
        """Start a command in a process group of its own. Its standard error goes to a file."""
        return self._start([PENSTOCK, command, *words], command, stdin, env)

    def start_python(self, source: str, *words: str, env: Mapping[str, str] | None = None) -> "Started":
        """Start a program in the folder, as `start` does a command."""
        return self._start([sys.executable, "-c", dedent(source), *words], "python", subprocess.DEVNULL, env)

    def _start(self, words: list[str], name: str, stdin: Any, env: Mapping[str, str] | None) -> "Started":
        log = self.path(f"{name}.{len(self.started)}.err")
        with log.open("wb") as err, log.with_suffix(".out").open("wb") as out:
            process = subprocess.Popen(
                words,
                cwd=self.folder,
                env={**self.environment, **(env or {})},
                stdin=stdin,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.started.append(process)
        return Started(process, log)

    def python(self, source: str, *words: str) -> bytes:
        """Run a program in the folder, with its store as the default one; returns what it printed."""
        return subprocess.run(
            [sys.executable, "-c", dedent(source), *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            timeout=ENOUGH,
            check=True,
        ).stdout

    def jobs(self) -> list[dict[str, Any]]:
        """Return what `penstock jobs list --json` says."""
        listed = self.run("list", "--json", command="jobs")
        assert listed.code == 0, listed.err
        found: list[dict[str, Any]] = json.loads(listed.out)
        return found

    def check(self, job_id: str) -> dict[str, Any]:
        """Return what `penstock jobs check --json` says, which must be that the records add up."""
        checked = self.run("check", job_id, "--json", command="jobs")
        assert checked.code == 0, checked.err + checked.out.decode()
        found: dict[str, Any] = json.loads(checked.out)
        assert found["balanced"]
        return found

    def show(self, job_id: str) -> dict[str, Any]:
        """Return what `penstock jobs show --json` says."""
        shown = self.run("show", job_id, "--json", command="jobs")
        assert shown.code == 0, shown.err
        found: dict[str, Any] = json.loads(shown.out)
        return found

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command: this one's, marked, and with no settings but the store."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        return {
            **kept,
            MARK: str(self.folder),
            "PENSTOCK_STORE": self.store if "://" in self.store else f"sqlite:///{self.store}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "error",
            **self.extra,
        }

    # Processes -----------------------------------------------------------------------------------

    def living(self) -> list[int]:
        """Return the ids of all processes that were started here and are not dead."""
        return [pid for pid in pids() if _environment_of(pid).get(MARK) == str(self.folder)]

    def await_none_living(self, seconds: float = 10.0) -> None:
        """Wait until all processes started here are gone.

        Raises:
            AssertionError: some are not.
        """
        for process in self.started:
            process.poll()
        wait_for(lambda: not self.living(), "the end of all processes", seconds=seconds)

    def close(self) -> None:
        """Kill what is left."""
        for pid in self.living():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.started:
            process.wait()


@dataclass
class Started:
    """A command that is running."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def err(self) -> str:
        """What it has written to standard error so far."""
        return self.log.read_text("utf-8", "replace")

    @property
    def out(self) -> bytes:
        """What it has written to standard output so far."""
        return self.log.with_suffix(".out").read_bytes()

    def workers(self) -> list[int]:
        """Return the ids of its worker processes."""
        return [pid for pid in children(self.process.pid) if b"penstock.server.worker" in _cmdline_of(pid)]

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def kill_group(self) -> None:
        """Kill all processes of its group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def end(self, seconds: float = ENOUGH) -> Ended:
        """Wait for its end."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended in {seconds} s; it said:\n{self.err}") from None
        return Ended(code, self.out, self.err)


def wait_for(true: Callable[[], Any], what: str, *, seconds: float = ENOUGH) -> Any:
    """Look every few milliseconds until something is so, and return what was found.

    Raises:
        AssertionError: it is not so in time.
    """
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.005)
    return found


def _drop_powers() -> None:
    """Take CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH from what is executed next (capabilities(7), prctl(2))."""
    for capability in (1, 2):
        _LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def pids() -> Iterator[int]:
    """Yield the ids of all processes."""
    yield from (int(name) for name in os.listdir("/proc") if name.isdigit())


def children(parent: int) -> list[int]:
    """Return the ids of a process's children."""
    return [pid for pid in pids() if _parent_of(pid) == parent]


def _parent_of(pid: int) -> int | None:
    try:
        # The name in brackets may hold anything; what follows the last bracket does not.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None


def _cmdline_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _environment_of(pid: int) -> dict[str, str]:
    try:
        # Empty for a process that is dead and not waited for.
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(os.fsdecode(pair).partition("=")[::2] for pair in pairs if pair)
