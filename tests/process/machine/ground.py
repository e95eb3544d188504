"""Where the state machine plays: a store that is watched, servers that are killed and started again, and actors."""

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.process.lab import ENOUGH, Ended, Lab, Started, wait_for
from tests.process.machine.watching import Watch

from penstock.errors import JobNotFound
from penstock.records import decode_records
from penstock.service.jobs import check_job
from penstock.store import Store, open_store

HERE = Path(__file__).parent
STORE = "penstock.db"
SERVERS = 2
ACTORS = ("0", "1", "2", "stranger")
SERVER = ("--app", "machine_jobs", "--workers", "3", "--processes", "1", "--grace", "0.5", "--log-level", "warning")
RECYCLING = ("--recycle-jobs", "25")
"""What the second server is started with too."""


@dataclass
class Deed:
    """What an actor was told to do, and what it answered."""

    actor: int
    command: dict[str, Any]
    begun: int
    """The newest change before it was told."""
    reply: dict[str, Any] | None = None
    """None when it died before it answered, or has not answered yet."""
    died: bool = False
    """Whether the actor died over it."""

    @property
    def job(self) -> str | None:
        """The job it is about; that of a creation is known once it is answered."""
        if self.command["do"] == "create":
            return self.reply.get("result") if self.reply else None
        found: str | None = self.command.get("job")
        return found

    @property
    def error(self) -> str | None:
        """The class of the error that came of it."""
        return self.reply.get("error") if self.reply else None

    def __str__(self) -> str:
        told = " ".join(f"{name}={value}" for name, value in self.command.items() if name != "do")
        if self.reply is None:
            end = "died" if self.died else "no answer yet"
        else:
            outcome = f"{self.error}: {self.reply['text']}" if self.error else "done"
            end = f"{outcome} (#{self.reply['before']} to #{self.reply['after']})"
        return f"actor {ACTORS[self.actor]}: {self.command['do']} {told}: {end}"


class ActorProcess:
    """An actor, and what it has been told to do and not answered yet."""

    def __init__(self, lab: Lab, number: int) -> None:
        self._number = number
        self._err = lab.path(f"actor.{number}.err")
        with self._err.open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "actor.py"), ACTORS[number]],
                cwd=lab.folder,
                env=lab.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
            )
        self._deed: Deed | None = None

    def tell(self, deed: Deed) -> None:
        """Send a command. The one before must have been answered."""
        assert self._deed is None
        assert self.process.stdin
        self._deed = deed
        try:
            self.process.stdin.write(json.dumps(deed.command).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # It was killed, or its job killed it; `hear` notices.

    def hear(self) -> bool:
        """Wait for the answer; False when the actor is dead."""
        deed, self._deed = self._deed, None
        if deed is None:
            return self.process.poll() is None
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], ENOUGH)
        assert ready, f"no answer within {ENOUGH} s: {deed}"
        answer = self.process.stdout.readline()
        if not answer.endswith(b"\n"):
            deed.died = True
            self.process.wait()
            return False
        deed.reply = json.loads(answer)
        return True

    def end(self) -> None:
        """Let it end by itself."""
        assert self.process.stdin
        assert self.process.stdout
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(ENOUGH)
        self.process.stdout.close()

    @property
    def complaint(self) -> str:
        """What it wrote to standard error, as it does when it breaks."""
        return self._err.read_text("utf-8", "replace")


@dataclass
class Ground:
    """See the module."""

    lab: Lab
    watch: Watch = field(init=False)
    store: Store = field(init=False)
    servers: list[Started] = field(default_factory=list)
    stopped: list[tuple[Started, bool]] = field(default_factory=list)
    """Servers that were told to stop, and whether they had begun to work."""
    killed: list[Started] = field(default_factory=list)
    """Servers that were killed."""
    actors: list[ActorProcess] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    disturbed: bool = False
    """Whether anything was killed since the last `begin`."""
    orphaned: bool = False
    """Whether a server was killed alone: its workers end a moment later."""
    errors: list[tuple[str | None, str]] = field(default_factory=list)
    """What was seen to be wrong on the way, with the job where it is about one."""
    found: list[str] = field(default_factory=list)
    """What is wrong, of the first example in which anything is. Then nothing more is done."""

    def open(self) -> None:
        """Set up the store and start everybody."""
        self.lab.module("machine_jobs", (HERE / "jobs.py").read_text("utf-8"))
        self._gate = os.open(self.lab.path("gate"), os.O_CREAT | os.O_RDWR)
        self.store = open_store(f"sqlite:///{self.lab.path(STORE)}")
        self.watch = Watch(self.lab.folder, STORE)
        self.watch.begin()
        self.servers = [self._serve(number) for number in range(SERVERS)]
        self.actors = [ActorProcess(self.lab, number) for number in range(len(ACTORS))]

    def begin(self) -> None:
        """Begin an example: what was before is over."""
        self.watch.forget()
        self.deeds.clear()
        self.errors.clear()
        self.disturbed = self.orphaned = False
        self.lab.path("healed").unlink(missing_ok=True)
        self.set_gate(is_open=False)

    def close(self) -> None:
        """Stop everybody, who must end as they should."""
        for server in self.servers:
            self.stop(server)
        self.servers.clear()
        for actor in self.actors:
            actor.end()
        self.judge_stopped()
        self.watch.close()
        os.close(self._gate)
        assert not self.errors, self.errors

    # Conditions -------------------------------------------------------------------------------------

    def set_gate(self, *, is_open: bool) -> None:
        """Let pass what is at the gate, or hold what will come."""
        fcntl.flock(self._gate, fcntl.LOCK_UN if is_open else fcntl.LOCK_EX)

    def heal(self) -> None:
        """Have nothing fail any more."""
        self.lab.path("healed").touch()

    def await_(self, true: Callable[[], Any], what: str, *, seconds: float = ENOUGH) -> Any:
        """Wait until something is so, and look after the servers meanwhile."""

        def look() -> Any:
            self.judge_processes()
            return true()

        return wait_for(look, what, seconds=seconds)

    # Actors -----------------------------------------------------------------------------------------

    def tell(self, actor: int, **command: Any) -> Deed:
        """Tell an actor what to do, once it has answered what it was told before."""
        self.hear(actor)
        deed = Deed(actor, command, self.watch.newest())
        self.deeds.append(deed)
        self.actors[actor].tell(deed)
        return deed

    def hear(self, actor: int) -> None:
        """Wait for the answer of an actor; one that died has a successor."""
        if self.actors[actor].hear():
            return
        dead = self.actors[actor]
        dead.end()
        if dead.process.returncode != -signal.SIGKILL:
            self.errors.append((None, f"actor {ACTORS[actor]} ended with {dead.process.returncode}: {dead.complaint}"))
        self.disturbed = True
        self.actors[actor] = ActorProcess(self.lab, actor)

    def hear_all(self) -> None:
        """Wait for all answers."""
        for actor in range(len(ACTORS)):
            self.hear(actor)

    def kill_actor(self, actor: int) -> None:
        """Kill an actor, whatever it is doing."""
        self.disturbed = True
        self.actors[actor].process.kill()

    # Servers ----------------------------------------------------------------------------------------

    def kill_worker(self, server: int) -> None:
        """Kill a worker process that has run something; one that was not ready yet might be the third in a row."""
        self.watch.read()
        ready = {int(line.thread.partition("/")[0]) for line in self.watch.lines}
        for pid in ready.intersection(self.servers[server].workers()):
            self.disturbed = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_server(self, number: int, *, group: bool) -> None:
        """Kill a server, with its workers or alone, and start another in its place."""
        self.disturbed = True
        server = self.servers[number]
        if group:
            server.kill_group()
        else:
            self.orphaned = True
            server.signal(signal.SIGKILL)
        server.process.wait()
        self.killed.append(server)
        self.servers[number] = self._serve(number)

    def stop_server(self, number: int) -> None:
        """Tell a server to stop, and start another in its place at once."""
        self.disturbed = True  # What it cannot finish in time it ends.
        self.stop(self.servers[number])
        self.servers[number] = self._serve(number)

    def stop(self, server: Started) -> None:
        """Tell a server to stop."""
        # One that has not come so far dies of the signal, as any program does.
        self.stopped.append((server, self._is_registered(server)))
        if server.process.poll() is None:
            server.signal(signal.SIGTERM)

    def judge_processes(self) -> None:
        """Check that servers end only when they are told to, and in the right way."""
        for server in self.servers:
            if server.process.poll() is not None:
                raise AssertionError(f"a server ended by itself with {server.process.returncode}:\n{server.err}")

    def judge_stopped(self) -> None:
        """Wait for the end of servers that were told to stop."""
        for server, was_registered in self.stopped:
            ended = server.end()
            if was_registered or ended.code != -signal.SIGTERM:
                self._judge(ended)
        for server in self.killed:
            self._judge(Ended(0, b"", server.err))
        self.stopped.clear()
        self.killed.clear()

    def _is_registered(self, server: Started) -> bool:
        return bool(self.watch.query("SELECT 1 FROM servers WHERE pid = ?", server.process.pid))

    def _judge(self, ended: Ended) -> None:
        if ended.code != 0 or "Traceback" in ended.err:
            self.errors.append((None, f"a server that was told to stop ended with {ended.code}:\n{ended.err}"))

    def _serve(self, number: int) -> Started:
        return self.lab.start(*SERVER, *(RECYCLING if number else ()), command="server")

    # What a look from outside sees ------------------------------------------------------------------

    def check_accounts(self) -> None:
        """Check that every record of every batch job is in exactly one place, now."""
        for (key,) in self.watch.query("SELECT lower(hex(id)) FROM jobs WHERE batch = 1 AND draft = 0"):
            with contextlib.suppress(JobNotFound):
                found = check_job(self.store, UUID(key))
                if not found["balanced"]:
                    self.errors.append((key, f"its records do not add up: {found}"))

    def outputs(self) -> dict[str, list[str]]:
        """Return the output of every completed batch job."""
        jobs = self.watch.query("SELECT lower(hex(id)) FROM jobs WHERE batch = 1 AND state = 'completed' AND draft = 0")
        payloads = {key: [output.payload for output in self.store.outputs(UUID(key), "main")] for (key,) in jobs}
        return {key: list(chain(*map(decode_records, found))) for key, found in payloads.items()}

    def standing(self) -> dict[str, int]:
        """Return how many jobs are in each state, have hooks due, or are about to go; drafts of uploads left out."""
        found = self.watch.query(
            """
            SELECT state, count(*) FROM jobs WHERE draft = 0 GROUP BY state
            UNION ALL SELECT 'hooks due', count(*) FROM jobs WHERE pending_hooks IS NOT NULL AND draft = 0
            UNION ALL SELECT 'going', count(*) FROM jobs WHERE draft = 1 AND uploader IS NULL
            """
        )
        return {what: count for what, count in found if count}
