"""Where the time goes, for each goal of docs/figures.md: by phase, process and library, beside the bare steps.

docs/figures.md tells it. A batch is taken apart as `penstock run` goes through it: start, upload, processing, writing.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks import floors
from benchmarks.batch import ROOT, contender, output_of
from benchmarks.roles import Spent
from benchmarks.statements import statements_of
from benchmarks.syncs import syncs_of
from penstock.bench import functions
from penstock.bench.batch import run_penstock
from penstock.bench.enqueue import ROW
from penstock.bench.ground import Ground
from penstock.bench.inputs import LINE_BYTES, lines_file
from penstock.bench.paired import Measured
from penstock.bench.report import Report, Row

SETTINGS = {
    "lines": (2_000_000, 20_000),
    "large_lines": (6_000_000, 40_000),
    "work_lines": (1_000_000, 4000),
    "jobs": (40_000, 2000),
    "bulk_jobs": (20_000, 2000),
    "commits": (1000, 50),
    "pickups": (150, 10),
    "idle_seconds": (30, 3),
    "turns": (4, 1),
    "counted": (1, 1),
}
PHASES = ("upload", "processing", "writing")
SYNCED = 4
"""A part is run with so many times less work where its syncs are counted."""
LEAST_SHARE = 0.02
"""Layers below it are not told."""
Phases = dict[str, Spent]


@dataclass
class Told:
    """What is told of one goal: rows with a key for sentences, and what `perf` saw."""

    rows: list[Row] = field(default_factory=list)
    layers: dict[str, float] = field(default_factory=dict)

    def add(self, key: str, what: str, value: float, unit: str) -> None:
        """Add a row."""
        self.rows.append({"": what, "key": key, "value": value, "unit": unit})

    def processes(self, spent: Spent, prefix: str, where: str, units: float) -> None:
        """Add what each process took, in µs for one unit of work."""
        for role, seconds in spent.cpu.items():
            if seconds > LEAST_SHARE / 4 * spent.all_cpu:
                self.add(f"{prefix}{_key(role)}", f"{where}CPU, {role}", seconds / units * 1e6, "µs")
        first = next(iter(spent.waits))
        waits = f"{where}threads of the {first} wait for a core"
        self.add(f"{prefix}waits", waits, spent.waits[first] / units * 1e6, "µs")

    def saw(self, spent: Spent) -> None:
        """Take what `perf` saw."""
        self.layers = {where: part for where, part in spent.layers.items() if part >= LEAST_SHARE}


def run(ground: Ground, **settings: int) -> Report:
    """Take every goal apart."""
    looker = Profiler(ground, settings)
    tellers: dict[str, Callable[[], Told]] = {
        "batch": looker.batch,
        "work": looker.work,
        "records": looker.records,
        "jobs": looker.jobs,
        "one at a time": looker.single,
        "in bulk": looker.bulk,
        "pick-up": looker.latency,
        "idle": looker.idle,
        "memory": looker.memory,
    }
    told = {goal: tell() for goal, tell in tellers.items()}
    return Report(
        {goal: one.rows for goal, one in told.items()},
        {"layers": {goal: one.layers for goal, one in told.items()}},
    )


class Profiler:
    """Runs the parts on one ground."""

    def __init__(self, ground: Ground, settings: Mapping[str, int]) -> None:
        self._ground = ground
        self._sizes = settings
        self._batch: Phases = {}
        self._starts: list[Measured] = []

    # Batches -------------------------------------------------------------------------------------

    def batch(self) -> Told:
        """Lines reversed, file to file."""
        told, lines = Told(), self._sizes["lines"]
        self._batch = self._run("batch", lines)
        self._starts = [self._run_one_line() for _ in range(self._sizes["turns"])]
        self._start(told, lines)
        for phase in PHASES:
            self._phase(told, phase, self._batch[phase], lines)
        self._whole(told, self._batch, lines)
        self._rivals(told, "reverse", lines, ("pool 1000", "forked"))
        told.add("loop", "CPU of a bare loop of the same `perform`, one process", self._loop(lines, "reverse"), "µs")
        self._syncs(told, "batch", lines, "1,000,000 records", 1_000_000)
        told.saw(_together(list(self._batch.values())))
        return told

    def work(self) -> Told:
        """Lines with 10 µs of work each."""
        told, lines = Told(), self._sizes["work_lines"]
        functions.ROUNDS = functions.calibrated_rounds()
        phases = self._run("work", lines)
        self._start(told, lines)
        for phase in PHASES:
            self._phase(told, phase, phases[phase], lines)
        self._whole(told, phases, lines)
        self._rivals(told, "work", lines, ("forked",))
        told.add("loop", "CPU of a bare loop of the same `perform`, one process", self._loop(lines, "work"), "µs")
        told.saw(_together(list(phases.values())))
        return told

    def records(self) -> Told:
        """Processing alone."""
        told, lines = Told(), self._sizes["lines"]
        processing = self._batch["processing"]
        told.add("wall", "wall", processing.wall / lines * 1e6, "µs")
        told.add("goal", "CPU that two cores have for each record at the goal", 2 / 2_000_000 * 1e6, "µs")
        told.processes(processing, "", "", lines)
        told.add("all", "CPU, all", processing.all_cpu / lines * 1e6, "µs")
        told.add("busy", "cores kept busy", processing.all_cpu / processing.wall, "")
        told.add("loop", "CPU of a bare loop of the same `perform`, one process", self._loop(lines, "reverse"), "µs")
        payload = bytes(LINE_BYTES * floors.SLICE)
        _, pipe = floors.pipe_seconds(payload, self._sizes["commits"])
        told.add("pipe", "CPU of a slice's bytes to another process and back", pipe / floors.SLICE * 1e6, "µs")
        slices = self._sizes["commits"]
        rows = floors.rows_seconds(self._ground, slices, len(payload), 64) / floors.SLICE * 1e6
        told.add("rows", "CPU of a slice as a bare row: stored, marked, deleted", rows, "µs")
        told.saw(processing)
        return told

    def memory(self) -> Told:
        """The most memory of the main process, by phase, with a file and with a larger one."""
        told, large = Told(), self._sizes["large_lines"]
        phases = self._run("batch", large, looks=False)
        for phase in PHASES:
            told.add(phase, f"most in the {phase}, {self._sizes['lines']:,} lines", self._batch[phase].peak_mb, "MB")
            told.add(f"{phase}_large", f"most in the {phase}, {large:,} lines", phases[phase].peak_mb, "MB")
        before, after = (max(spent.peak_mb for spent in one.values()) for one in (self._batch, phases))
        longer = (large - self._sizes["lines"]) * LINE_BYTES / 1e6
        told.add("growth", f"difference of the peak, for {longer:,.0f} MB more of input", after - before, "MB")
        return told

    def _start(self, told: Told, lines: int) -> None:
        wall, cpu = median(run.wall for run in self._starts), median(run.cpu for run in self._starts)
        told.add("start_wall", "`penstock run` of a single line: wall", wall, "s")
        told.add("start_cpu", "`penstock run` of a single line: CPU", cpu, "s")
        told.add("start_each", f"this CPU as a part of each of {lines:,} records", cpu / lines * 1e6, "µs")

    def _run_one_line(self) -> Measured:
        target = self._ground.folder / "output-line.txt"
        function = "penstock.bench.functions:reverse"
        run = run_penstock(self._ground, function, lines_file(self._ground.folder, 1), target, floors.SLICE)
        target.unlink()
        return run

    def _phase(self, told: Told, phase: str, spent: Spent, lines: int) -> None:
        told.add(f"{phase}_wall", f"{phase}: wall", spent.wall / lines * 1e6, "µs")
        told.processes(spent, f"{phase}_", f"{phase}: ", lines)

    def _whole(self, told: Told, phases: Phases, lines: int) -> None:
        all_of_it = _together(list(phases.values()))
        all_cpu, wall = all_of_it.all_cpu, all_of_it.wall
        told.add("all_wall", "the three phases: wall", wall / lines * 1e6, "µs")
        told.add("all", "the three phases: CPU", all_cpu / lines * 1e6, "µs")
        told.add("busy", "cores kept busy in them", all_cpu / wall, "")
        waits = all_of_it.waits["main"] / lines * 1e6
        told.add("all_waits", "in them threads of the main process wait for a core", waits, "µs")
        stores = sum(seconds for role, seconds in all_of_it.cpu.items() if "PostgreSQL" in role)
        told.add("store", "CPU of PostgreSQL in them", stores / lines * 1e6, "µs")
        told.add(
            "alone", "the part of the wall time that is upload and writing", 1 - phases["processing"].wall / wall, ""
        )

    def _rivals(self, told: Told, function: str, lines: int, names: tuple[str, ...]) -> None:
        source, env = lines_file(self._ground.folder, lines), {"BENCHMARK_ROUNDS": str(functions.ROUNDS)}
        for name in names:
            measured = contender(name, function, source, self._ground, env)()
            output_of(name, self._ground.folder).unlink()
            key = name.partition(" ")[0]
            told.add(f"{key}_wall", f"{NAMES[key]}: wall", measured.wall / lines * 1e6, "µs")
            told.add(f"{key}_cpu", f"{NAMES[key]}: CPU", measured.cpu / lines * 1e6, "µs")
            told.add(
                f"{key}_goal", f"{NAMES[key]}: CPU that the goal allows", GOALS[key] * measured.cpu / lines * 1e6, "µs"
            )

    def _loop(self, lines: int, function: str) -> float:
        return floors.loop_seconds(self._ground.folder, lines, function) / lines * 1e6

    # Small jobs ----------------------------------------------------------------------------------

    def jobs(self) -> Told:
        """Small jobs, run by two workers."""
        told, count = Told(), self._sizes["jobs"]
        spent = self._run("jobs", count)["jobs"]
        told.add("wall", "wall", spent.wall / count * 1e6, "µs")
        told.processes(spent, "", "", count)
        told.add("all", "CPU, all", spent.all_cpu / count * 1e6, "µs")
        told.add("busy", "cores kept busy", spent.all_cpu / spent.wall, "")
        told.add("goal", "CPU that two cores have for each job at the goal", 2 / 50_000 * 1e6, "µs")
        alone = count / spent.cpu["dispatcher"]
        told.add("alone", "jobs a second of a dispatcher that has a core to itself", alone, "")
        rows = floors.rows_seconds(self._ground, count, len(ROW), floors.TURN) * 1e6
        told.add("rows", "CPU of a job as a bare row: stored, marked, deleted", rows, "µs")
        self._syncs(told, "jobs", count, "1,000 jobs", 1000)
        told.saw(spent)
        return told

    def single(self) -> Told:
        """Jobs enqueued one at a time."""
        told, turns = Told(), self._sizes["turns"]
        part = self._sizes["commits"] // turns
        # In turns: the disk is another one a second later.
        taken = [(floors.commit_seconds(self._ground, part), self._run("single", part)) for _ in range(turns)]
        commit, commit_cpu = (median(values) for values in zip(*(bare for bare, _ in taken), strict=True))
        spent, count = _together([phases["single"] for _, phases in taken]), part * turns
        told.add("wall", "wall", spent.wall / count * 1e6, "µs")
        told.processes(spent, "", "", count)
        waiting = spent.wall - spent.cpu["client"] - spent.waits["client"]
        told.add("waiting", "wall in which the client waits for the store", waiting / count * 1e6, "µs")
        told.add("commit", "a bare commit of such a row: wall", commit * 1e6, "µs")
        told.add("commit_cpu", "a bare commit of such a row: CPU", commit_cpu * 1e6, "µs")
        told.add("goal", "wall that the goal leaves beside a bare commit", commit / 9 * 1e6, "µs")
        self._syncs(told, "single", count, "a job", 1)
        told.saw(spent)
        return told

    def bulk(self) -> Told:
        """Jobs enqueued at once."""
        told, count = Told(), self._sizes["bulk_jobs"]
        phases = self._run("bulk", count)
        made, stored = phases["made"], phases["bulk"]
        told.add("wall", "wall", (made.wall + stored.wall) / count * 1e6, "µs")
        told.add("made", "CPU, client: the job object made", made.cpu["client"] / count * 1e6, "µs")
        told.processes(stored, "stored_", "checked and stored: ", count)
        told.add("goal", "wall that there is for each job at the goal", 1 / 100_000 * 1e6, "µs")
        insert = floors.insert_seconds(self._ground, count) * 1e6
        told.add("insert", "a bare row of that size, many at once: wall", insert, "µs")
        told.saw(stored)
        return told

    # One server ----------------------------------------------------------------------------------

    def latency(self) -> Told:
        """Jobs picked up by an idle server."""
        told, count = Told(), self._sizes["pickups"]
        before, _ = floors.commit_seconds(self._ground, count)
        phases = self._run("latency", count)
        after, _ = floors.commit_seconds(self._ground, count)
        save, start = phases["save"].wall / count, phases["start"].wall / count
        told.add("whole", "from before the save until `perform`, mean", start * 1e3, "ms")
        told.add("save", "of it until the save has returned", save * 1e3, "ms")
        told.add("after", "of it after that", (start - save) * 1e3, "ms")
        spent = phases["latency"]
        told.processes(spent, "", "a job picked up and settled: ", count)
        told.add("all", "CPU, all", spent.all_cpu / count * 1e6, "µs")
        told.add("commits", "two bare commits, one behind the other", (before + after) * 1e3, "ms")
        hop, _ = floors.pipe_seconds(b"x", self._sizes["commits"])
        told.add("hop", "a byte to another process and back", hop * 1e3, "ms")
        if self._ground.postgres is not None:
            told.add("notify", "a bare NOTIFY until another connection has it", self._notify(count), "ms")
            self._statements(told, "latency", count, self._ground.postgres)
        self._syncs(told, "latency", count, "a job", 1)
        told.saw(spent)
        return told

    def idle(self) -> Told:
        """A server that has nothing to do."""
        told, seconds = Told(), self._sizes["idle_seconds"]
        spent = self._run("idle", seconds)["idle"]
        for role, used in spent.cpu.items():
            if role != "client":
                told.add(_key(role), f"CPU in a minute, {role}", used / spent.wall * 60, "s")
        told.add("all", "CPU in a minute, the server's own", _of_server(spent) / spent.wall * 60, "s")
        told.add(
            "look", "CPU of the server in a second, in which it looks once", _of_server(spent) / spent.wall * 1e3, "ms"
        )
        if self._ground.postgres is not None:
            trip = floors.round_trip_seconds(self._ground.postgres, self._sizes["commits"])
            told.add("trip", "the shortest statement and its answer", trip * 1e3, "ms")
        told.saw(spent)
        return told

    def _notify(self, count: int) -> float:
        assert self._ground.postgres is not None
        return floors.notify_seconds(self._ground.postgres, count) * 1e3

    # ---------------------------------------------------------------------------------------------

    def _syncs(self, told: Told, part: str, count: int, of: str, units: int) -> None:
        """Add how often the disk was synced for so many units of work, and how long that took."""
        if not self._sizes["counted"]:
            return
        less = max(2, 1 + count // SYNCED)
        found, of_one = (syncs_of(self._ground, self._command(part, number, "counted")) for number in (less, 1))
        if found is not None and of_one is not None:
            calls, seconds = found.calls - of_one.calls, found.seconds - of_one.seconds
            told.add("syncs", f"`fsync` and `fdatasync` for {of}", calls / (less - 1) * units, "")
            told.add("sync_seconds", f"time in them for {of}", seconds / (less - 1) * units * 1e3, "ms")

    def _statements(self, told: Told, part: str, count: int, url: str) -> None:
        """Add what PostgreSQL does for a job."""
        if not self._sizes["counted"]:
            return
        less = max(2, 1 + count // SYNCED)
        found, of_one = (statements_of(url, self._command(part, number, "counted")) for number in (less, 1))
        if found is not None and of_one is not None:
            each = {name: (getattr(found, name) - getattr(of_one, name)) / (less - 1) for name in found._fields}
            told.add("statements", "statements for a job", each["count"], "")
            told.add("planning", "time to parse and plan them", each["planning"], "ms")
            told.add("running", "time to run them", each["running"], "ms")
            told.add("committing", "time to commit", each["committing"], "ms")

    def _run(self, part: str, count: int, *, looks: bool = True) -> Phases:
        command = self._command(part, count, *(() if looks else ("alone",)))
        done = subprocess.run(command, cwd=ROOT, env=_environment(), check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
        return {phase: Spent(**found) for phase, found in json.loads(done.stdout).items()}

    def _command(self, part: str, count: int, *how: str) -> list[str]:
        place = [str(self._ground.folder), self._ground.postgres or "-", str(count)]
        return [sys.executable, "-m", "benchmarks.profiled", part, *place, *how]


GOALS = {"pool": 0.75, "forked": 1.05}
NAMES = {"pool": "`multiprocessing.Pool(2)`, chunks of 1000", "forked": "two forked processes over byte ranges"}


def _environment() -> dict[str, str]:
    return {**os.environ, "BENCHMARK_ROUNDS": str(functions.ROUNDS)}


def _together(parts: Sequence[Spent]) -> Spent:
    """Return what was spent in several, their layers weighted by their processor time."""
    whole = sum(spent.all_cpu for spent in parts)
    weighted = ({where: part * spent.all_cpu / whole for where, part in spent.layers.items()} for spent in parts)
    return Spent(
        sum(spent.wall for spent in parts),
        _sums(spent.cpu for spent in parts),
        _sums(spent.waits for spent in parts),
        dict(sorted(_sums(weighted).items(), key=lambda item: -item[1])),
        max(spent.peak_mb for spent in parts),
    )


def _sums(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    found: Counter[str] = Counter()
    for part in parts:
        found.update(part)
    return dict(found)


def _of_server(spent: Spent) -> float:
    return sum(spent.cpu.get(role, 0.0) for role in ("dispatcher", "workers"))


def _key(role: str) -> str:
    return role.lower().replace("postgresql ", "").replace(" ", "_")
