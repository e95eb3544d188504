"""Kills between all steps of a store in two: `python -m tests.store.split.kills [SCENARIO]...`.

A scenario is played in a process that kills itself behind the first call that writes to either store, in another that
does so behind the second, and so on until one comes through. After each another process takes up what is left, as a
server does, and looks whether every record is where it belongs, once.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.driver import Driver

import penstock
from penstock import BatchJob
from penstock.model.job import load_job
from penstock.query import Query
from penstock.records import decode_records
from penstock.service.upkeep import check_store
from penstock.states import State
from penstock.store import Store, current_store
from penstock.store import split as two_stores
from penstock.store.split.pairing import pair

LINES = [f"line {number}" for number in range(1, 8)]
WRITES = frozenset({
    "insert_jobs", "insert_unless_taken", "update_job", "destroy_job", "release_due_jobs", "hold_job", "claim_jobs",
    "start_batch", "claim_slices", "settle_jobs", "settle_slices", "hand_back_job", "hand_back_slice", "release_server",
    "claim_hooks", "finish_hooks", "append_slices", "drop_unfinished_upload", "retry_slices", "drop_slices",
    "pass_failed_record", "take_back_rejects", "register_server", "drop_abandoned", "note_fact",
})  # fmt: skip


class Counted:
    """A store that kills the process behind one of the calls that write to it."""

    left = 0
    """Calls until then, to whichever store."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in WRITES:
            return found

        def call(*args: Any, **options: Any) -> Any:
            result = found(*args, **options)
            _count()
            return result

        return call

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction; its commit is one of the calls."""
        with self._inner.transaction():
            yield
        _count()


def _count() -> None:
    Counted.left -= 1
    if Counted.left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


# Jobs ------------------------------------------------------------------------------------------------


class KilledReverse(BatchJob):
    """Reverses lines."""

    slice_size = 2
    collect_output = True
    destroy_on_complete = False

    def perform(self, line: str) -> str:
        return line[::-1]


class KilledPicky(BatchJob):
    """Rejects a line."""

    slice_size = 2
    collect_output = True
    on_record_error = "reject"

    def perform(self, line: str) -> str:
        if line == "line 4":
            raise ValueError("four")
        return line[::-1]


class KilledMoody(KilledReverse):
    """Fails at a line until it is told to go on."""

    def perform(self, line: str) -> str:
        if line == "line 4" and not Path("go").exists():
            raise ValueError("four")
        return line[::-1]


class KilledGatherer(KilledReverse):
    """Brings its own lines."""

    def before_batch(self) -> None:
        for part in (LINES[:3], LINES[3:]):
            self.upload(part)


# Scenarios -------------------------------------------------------------------------------------------


def _started(cls: type[BatchJob]) -> BatchJob:
    job = cls()
    job.upload(LINES[:4])
    job.upload(LINES[4:])
    job.save()
    return job


def _run() -> None:
    Driver(current_store()).run()


def play_batch() -> None:
    """Upload, claim, settle, finish."""
    _started(KilledReverse)
    _run()


def play_before_batch() -> None:
    """Records that `before_batch` uploads."""
    KilledGatherer.create()
    _run()


def play_rejects() -> None:
    """A record is rejected: the job is not destroyed."""
    _started(KilledPicky)
    _run()


def play_retry() -> None:
    """A slice fails, and is retried."""
    job = _started(KilledMoody)
    driver = Driver(current_store())
    driver.run()
    Path("go").touch()
    job.reload()
    job.retry()
    driver.run()


def play_resubmit() -> None:
    """A record is rejected, corrected, and performed again."""
    job = _started(KilledPicky)
    driver = Driver(current_store())
    driver.run()
    job.reload()
    Path("corrected").touch()
    job.resubmit({4: "line four"})
    driver.run()


def play_hand_back() -> None:
    """A worker dies, then the server, and another one takes its work over while it is killed too."""
    _started(KilledReverse)
    driver = Driver(current_store())
    task = driver.take()
    assert task is not None
    driver.crash(task)
    driver.take()
    driver.die()
    Driver(current_store(), "server-2").run()


def play_destroy() -> None:
    """A job is destroyed."""
    job = _started(KilledReverse)
    _run()
    job.reload()
    Path("going").touch()
    job.destroy()


SCENARIOS: dict[str, Callable[[], None]] = {
    name.removeprefix("play_"): found for name, found in sorted(globals().items()) if name.startswith("play_")
}


# After a kill ----------------------------------------------------------------------------------------


def look() -> None:
    """Take up what is left and finish it, then look at every record."""
    store = current_store()
    Path("go").touch()
    for row in store.servers():
        store.release_server(row.name)
    store.drop_abandoned()
    for draft in store.drafts():  # As `run --resume` does before it uploads anew.
        store.destroy_job(draft.id)
    mended = check_store(store, mend=True)
    assert mended["findings"] == [], mended
    _finish(store)
    told = check_store(store)
    assert told["findings"] == [], told
    rows = list(store.find_jobs(Query()))
    assert len(rows) <= 1, rows
    known = {row.id for row in rows}
    assert set(store.slice_owners()) <= known, "slices of no job"
    for row in rows:
        _look_at(store, row.id)


def _finish(store: Store) -> None:
    Driver(store, f"server of {os.getpid()}").run()
    for row in store.find_jobs(Query(states=(State.FAILED,))):
        failed = load_job(row)
        failed.retry()
    Driver(store, f"server 2 of {os.getpid()}").run()


def _look_at(store: Store, job_id: UUID) -> None:
    row = store.job(job_id)
    assert row is not None
    assert row.state is State.COMPLETED, (row.state, row.sub_state, row.exception)
    outputs = {category: _lines(store, job_id, category) for category in ("main", "rejects")}
    reversed_lines = [line[::-1] for line in LINES]
    if row.kind != "KilledPicky":
        assert outputs == {"main": reversed_lines, "rejects": []}, outputs
    elif outputs["rejects"]:
        assert outputs["main"] == reversed_lines[:3] + reversed_lines[4:], outputs
    else:
        assert Path("corrected").exists()
        assert outputs["main"] == [*reversed_lines[:3], "line four"[::-1], *reversed_lines[4:]], outputs


def _lines(store: Store, job_id: UUID, category: str) -> list[str]:
    payloads = [bytes(row.payload) for row in store.outputs(job_id, category)]
    if category != "main":
        return [repr(payload) for payload in payloads]
    return [line for payload in payloads for line in decode_records(payload)]


# Processes -------------------------------------------------------------------------------------------


def kills(
    scenario: str, folder: Path, urls: Callable[[int], tuple[str, str]], *, first: int = 1, apart: int = 1
) -> int:
    """Kill a scenario behind each of its steps, or some; returns behind how many.

    Args:
        scenario: One of `SCENARIOS`.
        folder: An empty folder.
        urls: Gives the two stores of each turn.
        first: The first step behind which it is killed, from 1.
        apart: How many steps further the next one is.
    """
    for number in count(first, apart):
        place = folder / f"{scenario}-{number}"
        place.mkdir()
        status = _forked(SCENARIOS[scenario], place, urls(number), behind=number)
        looked = _forked(look, place, urls(number))
        assert looked == 0, f"{scenario}, killed behind step {number}: see above"
        shutil.rmtree(place)
        if status == 0:
            return (number - first) // apart
        assert status == -signal.SIGKILL, f"{scenario}: step {number} ended with {status}"
    raise AssertionError("there is no last step")


def _forked(act: Callable[[], None], folder: Path, urls: tuple[str, str], *, behind: int = 0) -> int:
    """Do something in a process of its own; returns how it ended."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        os.chdir(folder)
        if behind:
            Counted.left = behind
            two_stores.split = _counted
        # A kill, not a power cut: what was written is seen by whoever comes next.
        penstock.configure(store=urls[0], slices_store=urls[1], durability="normal")
        act()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(code)


def _counted(jobs: Store, slices: Store) -> Any:
    first: Any = Counted(jobs)
    second: Any = Counted(slices)
    pair(first, second)
    return two_stores.SplitStore(first, second)


def main(scenarios: list[str], *, jobs_url: str | None = None, first: int = 1, apart: int = 1) -> None:
    """Play them, each with its kills; with `jobs_url`, jobs are in schemas of a PostgreSQL: their names end it."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-kills-"))
    try:
        for scenario in scenarios or list(SCENARIOS):

            def urls(number: int, name: str = scenario) -> tuple[str, str]:
                place = folder / f"{name}-{number}"
                jobs = f"{jobs_url}{name}_{number}" if jobs_url else f"sqlite:///{place / 'jobs.db'}"
                return jobs, f"sqlite:///{place / 'slices.db'}"

            done = kills(scenario, folder, urls, first=first, apart=apart)
            print(f"{scenario}: killed behind {done} steps", flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.store.split.kills")
    parser.add_argument("scenarios", nargs="*", help=f"of {', '.join(SCENARIOS)}; by default all")
    parser.add_argument("--jobs", metavar="URL", help="a PostgreSQL, and the beginning of schemas in it")
    parser.add_argument("--first", type=int, default=1, help="the first step to be killed behind")
    parser.add_argument("--apart", type=int, default=1, help="steps to the next")
    asked = parser.parse_args()
    main(asked.scenarios, jobs_url=asked.jobs, first=asked.first, apart=asked.apart)
