"""Watched folders on real servers: a slow writer, and servers killed at random moments. Every file once, whole."""

import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from tests.process.lab import Lab, wait_for
from tests.process.yard import Yard, open_yard

from penstock.query import Query
from penstock.states import State, SubState

pytestmark = pytest.mark.process

JOBS = """
    import penstock
    from penstock.jobs import DirmonJob, UploadFile
    from penstock.jobs.entries import check_entry, move_entry
    from penstock.store import current_store

    penstock.configure(allowed_roots=[os.getcwd()])

    class Load(BatchJob):
        slice_size = 50

        def after_batch(self):
            (upload,) = self.input_category.uploads
            note("done", upload.file_name.rpartition("/")[2], upload.record_count, self.id)

        def perform(self, line):
            pass

    def watch(seconds):
        entry = check_entry({"name": "in", "pattern": os.getcwd() + "/in/**/*", "kind": "Load"})
        current_store().insert_entry(entry.to_row())
        move_entry(current_store(), "in", "enable")
        DirmonJob.ensure(check_seconds=seconds)
"""
LIVE = (State.QUEUED, State.RUNNING, State.PAUSED)


@pytest.fixture
def yard(lab: Lab) -> Iterator[Yard]:
    with open_yard(lab, JOBS) as made:
        lab.path("in").mkdir()
        yield made


def done(yard: Yard) -> Counter[tuple[str, str]]:
    """Return how often each file was processed, with its number of records, by jobs that are different."""
    notes = {(line[1].partition("_")[2], line[2], line[3]) for line in yard.notes("done")}
    return Counter((name, count) for name, count, _ in notes)


STEPS = ("found", "starting", "archived", "uploading", "queued", "processing", "ending")
"""Where a file stands on its way: waiting in the folder; with an `UploadFile` job, not moved yet; in the archive,
nothing of it uploaded; records being stored; its job made; records being processed; all done, the end not stored."""


def steps_of(yard: Yard) -> Counter[str]:
    """Return how many files stand at each step of their way, as the store and the folder have it."""
    store = yard.store
    standing: Counter[str] = Counter()
    started: set[str] = set()
    for row in store.find_jobs(Query(kinds=("UploadFile",), states=LIVE)):
        told = json.loads(row.fields)
        started.add(told["source"])
        target = store.job(UUID(told["job_id"]))
        if target is None:
            standing["archived" if os.path.exists(told["archived"]) else "starting"] += 1
        elif target.draft:
            standing["uploading"] += 1
    for row in store.find_jobs(Query(kinds=("Load",), states=LIVE)):
        if row.state is State.QUEUED:
            standing["queued"] += 1
        else:
            standing["ending" if row.sub_state is SubState.AFTER else "processing"] += 1
    present = {str(path) for path in yard.lab.path("in").glob("*.txt")}
    standing["found"] = len(present - started)
    return +standing


def at_rest(yard: Yard) -> bool:
    """Tell whether no file is waiting, being started or being processed."""
    waiting = [path for path in yard.lab.path("in").glob("*") if path.is_file()]
    return not waiting and yard.store.count_jobs(Query(kinds=("UploadFile", "Load"), states=LIVE)) == 0


def test_a_file_that_is_written_slowly_is_started_once_it_is_whole(yard: Yard) -> None:
    yard.python("watch(0.3)")
    server = yard.serve()
    yard.worker(server)
    with yard.lab.path("in/slow.txt").open("w") as file:
        for number in range(30):
            file.write(f"{number}\n" * 10)
            file.flush()
            time.sleep(0.05)
    yard.await_notes("done")
    assert done(yard) == {("slow.txt", "300"): 1}


def play(yard: Yard, rounds: int, seed: int) -> Counter[str]:
    """Kill a server again and again while files arrive, each time as one gets to another step of its way.

    Then each must have been done once. Returns at how many kills a file stood at each step.
    """
    chance = random.Random(seed)
    killed_at: Counter[str] = Counter()
    yard.python("watch(0.1)")
    expected: Counter[tuple[str, str]] = Counter()
    for number in range(rounds):
        server = yard.serve()
        yard.worker(server)
        for letter in "abc":
            name, count = f"{letter}{number}.txt", chance.randint(1, 400)
            part = yard.lab.path(f"in/.{name}")
            part.write_text("line\n" * count)
            os.replace(part, yard.lab.path(f"in/{name}"))
            expected[name, str(count)] += 1
        await_step(yard, STEPS[number % len(STEPS)], seconds=chance.uniform(0.5, 2.0))
        yard.kill(server)
        killed_at.update(steps_of(yard).keys())
    yard.worker(yard.serve())
    wait_for(lambda: at_rest(yard) and len(done(yard)) >= len(expected), "all files to be processed")
    assert done(yard) == expected, f"seed {seed}"
    archived = Counter(path.name.partition("_")[2] for path in yard.lab.path("in/archive").iterdir())
    assert archived == Counter(name for name, _ in expected), f"seed {seed}"
    failed = [row.exception for row in yard.store.find_jobs(Query(states=(State.FAILED,)))]
    assert failed == [], f"seed {seed}"
    return killed_at


def await_step(yard: Yard, step: str, *, seconds: float) -> None:
    """Wait until a file stands at a step, or for so long: it may have passed between two looks."""
    deadline = time.monotonic() + seconds
    while not steps_of(yard)[step] and time.monotonic() < deadline:
        pass


def test_whatever_is_killed_when_each_file_is_processed_once(yard: Yard) -> None:
    play(yard, rounds=3, seed=random.randrange(1 << 30))


def main(rounds: int) -> None:
    """Play a long game: `python -m tests.process.test_dirmon ROUNDS`."""
    seed = random.randrange(1 << 30)
    with tempfile.TemporaryDirectory(prefix="penstock-lab-") as name:
        lab = Lab(Path(name))
        try:
            with open_yard(lab, JOBS) as yard:
                lab.path("in").mkdir()
                killed_at = play(yard, rounds, seed)
        finally:
            lab.close()
    print(f"{rounds} servers killed, {3 * rounds} files, each processed once (seed {seed})")
    print("killed while a file was " + ", ".join(f"{step}: {killed_at[step]}" for step in STEPS))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
