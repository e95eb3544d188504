"""One round: a run that is killed at random moments, and gone on with until its output is there.

What can be killed: a worker, the process of the command (the dispatcher), its whole process group. A moment is a
phase of the run and a time within it. Half of the moments are uniform over the time that a whole run takes; of
the other half each phase gets its share, since writing and destroying are over in a few hundredths of a second.
Some runs are killed at a fault point instead.
"""

import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.accounting import Accounts
from tests.postgres import drop_schema
from tests.process.lab import ENOUGH, Ended, Lab, Started, wait_for

LINES = 60_000
MOST_KILLS = 4
PHASES = ("starting", "uploading", "processing", "writing", "destroying")
VICTIMS = ("worker", "main", "group")
POINTS = (
    *("in_claim", "after_claim", "before_perform", "in_slice", "after_perform", "after_send", "before_settle"),
    *("in_settle", "after_settle", "before_complete", "before_destroy", "in_upload", "after_upload", "in_download"),
    *("before_rename", "after_rename"),
)
"""Fault points that a run passes."""
OUTPUT = "out.txt"

JOB = """
    from penstock import BatchJob

    class Turned(BatchJob):
        slice_size = 100
        collect_output = True
        def perform(self, line):
            sum(range(400))
            return line[::-1]
"""

Durations = dict[str, float]
"""The seconds of each phase of an undisturbed run."""


@dataclass
class Ground:
    """What all rounds share: the input, what is to come out, and how long the phases take."""

    source: Path
    expected: bytes
    durations: dict[bool, Durations] = field(default_factory=dict)
    """By whether the run overlaps."""


@dataclass
class Told:
    """What came of a round."""

    seed: int
    overlap: bool
    store: str = "SQLite"
    kills: list[str] = field(default_factory=list)
    """Each the victim and the phase in which it was killed."""
    points: list[str] = field(default_factory=list)
    """The fault points at which something was killed."""
    looks: int = 0
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        how = "overlapping" if self.overlap else "in three parts"
        end = "; ".join(self.errors) or "output identical"
        kills = ", ".join([*self.kills, *(f"at {point}" for point in self.points)]) or "no kill"
        return f"seed {self.seed} run on {self.store} {how}: {kills}; looked {self.looks} times: {end}"

    @property
    def phases(self) -> Counter[str]:
        """How many kills fell into each phase."""
        return Counter(kill.rpartition(" ")[2] for kill in self.kills)


def prepare(folder: Path) -> Ground:
    """Write the input, loop over it, and measure an undisturbed run of each form."""
    source = folder / "in.txt"
    lines = [f"line {number} of {LINES}: äöü € and more" for number in range(LINES)]
    source.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    ground = Ground(source, "".join(f"{line[::-1]}\n" for line in lines).encode())
    ground.durations = {overlap: _measure(ground, overlap) for overlap in (False, True)}
    return ground


def play(ground: Ground, seed: int, postgres: str | None = None) -> Told:
    """Play one round; the same seed chooses the same victims and moments.

    Args:
        ground: What all rounds share.
        seed: Of the random numbers.
        postgres: The URL of a server to have the store in; None for a SQLite file.
    """
    chance = random.Random(seed)
    told = Told(seed, overlap=chance.random() < 0.34, store="PostgreSQL" if postgres else "SQLite")
    with _laboratory(postgres) as lab:
        accounts = Accounts(lab, ground.expected, OUTPUT)
        try:
            _Round(lab, ground, chance, told, accounts).play()
            accounts.close()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            accounts.errors.append(f"{type(error).__name__}: {error}")
        told.looks, told.errors = accounts.looks, accounts.errors
        told.points = sorted(path.name for path in lab.path("marks").iterdir())
    return told


class _Round:
    def __init__(self, lab: Lab, ground: Ground, chance: random.Random, told: Told, accounts: Accounts) -> None:
        self._lab = lab
        self._chance = chance
        self._told = told
        self._accounts = accounts
        self._durations = ground.durations[told.overlap]
        self._first = first_command(ground, told.overlap)
        self._left = chance.randint(1, MOST_KILLS)
        self._uploaded = False
        self._to_do = 1.0

    def play(self) -> None:
        words = self._first
        while True:
            run = self._lab.start(*words, env=self._fault())
            ended = self._disturb(run)
            self._uploaded = self._uploaded or _has_uploaded(run)
            if ended is not None and ended.code == 0:
                return
            if ended is not None and self._is_told_rightly(words, ended):
                if self._accounts.output_is_there():
                    return
                words = self._first
                continue
            assert ended is None, f"{' '.join(words)} exits {ended.code}: {ended.err}"
            job = self._accounts.look()
            if job is not None:
                self._to_do = 1 - self._accounts.processed / LINES
                # What is still to be delivered is delivered anew.
                self._lab.path(OUTPUT).unlink(missing_ok=True)
            elif self._accounts.output_is_there():
                self._left = 0  # Delivered: one more run has to say so.
            words = ("--resume", "--app", "jobs", "--output", OUTPUT)

    def _fault(self) -> dict[str, str]:
        """Return what has a run killed at a fault point, now and then."""
        if not self._left or self._chance.random() < 0.6:
            return {}
        self._left -= 1
        point, passage = self._chance.choice(POINTS), self._chance.choice((1, 1, 2, 7))
        return {"PENSTOCK_FAULT": f"{point}:kill:{passage}"}

    def _is_told_rightly(self, words: tuple[str, ...], ended: Ended) -> bool:
        """Whether it says that there is nothing to resume, and that is true: delivered, or never uploaded."""
        if words is self._first or ended.code != 4 or "to resume" not in ended.err:
            return False
        return self._accounts.output_is_there() or not self._uploaded

    def _disturb(self, run: Started) -> Ended | None:
        """Kill now and then; returns how the run ended by itself, None when it was killed."""
        while self._left:
            # The victim is chosen first: the same seed gives the same round however the machine is loaded.
            victim = self._chance.choice(VICTIMS)
            if not self._await_moment(run):
                break
            phase = phase_of(run, self._lab)
            if victim == "worker":
                workers = run.workers()
                if not workers:
                    continue
                self._note(victim, phase)
                with suppress(ProcessLookupError):
                    os.kill(self._chance.choice(workers), signal.SIGKILL)
                continue
            if run.process.poll() is not None:
                break
            self._note(victim, phase)
            if victim == "main":
                run.signal(signal.SIGKILL)
            else:
                run.kill_group()
            ended = run.end()
            # It may have come to its end just before.
            return None if ended.code == -signal.SIGKILL else ended
        ended = run.end()
        return None if ended.code == -signal.SIGKILL else ended

    def _note(self, victim: str, phase: str) -> None:
        self._left -= 1
        self._told.kills.append(f"{victim} while {phase}")

    def _await_moment(self, run: Started) -> bool:
        """Wait for a moment chosen at random among those to come; False when the run has ended before it."""
        phase, seconds = self._moment(PHASES.index(phase_of(run, self._lab)))
        wait_for(lambda: _has_reached(run, self._lab, phase), f"the phase {phase}")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and run.process.poll() is None:
            time.sleep(min(0.005, max(0.0, deadline - time.monotonic())))
        return run.process.poll() is None

    def _moment(self, first: int) -> tuple[str, float]:
        durations = {name: self._durations[name] for name in PHASES[first:]}
        if "processing" in durations:
            durations["processing"] *= self._to_do
        if self._uploaded:
            durations.pop("uploading", None)
        if self._chance.random() < 0.5:
            (phase,) = self._chance.choices([*durations], [*durations.values()])
        else:
            phase = self._chance.choice([*durations])
        # Not to the very end: on a quiet machine it is over before it was in the measured run.
        return phase, self._chance.random() * durations[phase] * 0.9


def first_command(ground: Ground, overlap: bool) -> tuple[str, ...]:
    """Return the words of the command that begins a run."""
    words = ("jobs:Turned", "--input", str(ground.source), "--output", OUTPUT)
    return (*words, "--overlap") if overlap else words


def phase_of(run: Started, lab: Lab) -> str:
    """Return the phase in which a run is, by what it has shown so far."""
    said = run.err
    if lab.path(OUTPUT).exists():
        return "destroying"
    if f"processing: {LINES:,} of" in said:
        return "writing"
    if _has_uploaded(run):
        return "processing"
    return "uploading" if "store: " in said else "starting"


def _has_uploaded(run: Started) -> bool:
    return f"uploading: {LINES:,} records" in run.err or "processing: " in run.err


def _has_reached(run: Started, lab: Lab, phase: str) -> bool:
    ended = run.process.poll() is not None
    return ended or PHASES.index(phase_of(run, lab)) >= PHASES.index(phase)


def _measure(ground: Ground, overlap: bool) -> Durations:
    with _laboratory() as lab:
        run = lab.start(*first_command(ground, overlap))
        began = dict.fromkeys(PHASES, 0.0)
        now, phase = time.monotonic(), PHASES[0]
        began[phase] = now
        deadline = now + ENOUGH
        while run.process.poll() is None and time.monotonic() < deadline:
            if (found := phase_of(run, lab)) != phase:
                phase = found
                began[phase] = time.monotonic()
            time.sleep(0.001)
        ended = run.end()
        assert ended.code == 0, ended.err
        ends, durations = time.monotonic(), {}
        for phase in reversed(PHASES):
            # A phase that was over before it was seen has no length.
            start = began[phase] or ends
            durations[phase], ends = ends - start, start
        return durations


@contextmanager
def _laboratory(postgres: str | None = None) -> Iterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="penstock-faults-") as name, ExitStack() as stack:
        lab = Lab(Path(name))
        if postgres is not None:
            schema = f"faults_{os.urandom(4).hex()}"
            lab.store = f"{postgres}&schema={schema}"
            stack.callback(drop_schema, postgres, schema)
        lab.module("jobs", JOB)
        lab.path("marks").mkdir()
        lab.extra["PENSTOCK_FAULT_MARKS"] = str(lab.path("marks"))
        stack.callback(lab.close)
        yield lab
