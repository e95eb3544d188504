"""An actor: a process that does to jobs what the driver says, with its own copies of them.

Started as `python actor.py ROLE` in the folder of a laboratory. Commands come as JSON lines, and each is answered by
one. A stranger has not imported the classes of the jobs.
"""

import json
import os
import sys
from datetime import timedelta
from typing import Any
from uuid import UUID

sys.path.insert(0, os.getcwd())

from penstock import Job, clock
from penstock.errors import JobNotFound
from penstock.model.failure import Failure
from penstock.model.job import load_job
from penstock.model.moves import move_job
from penstock.model.querying import destroy_job
from penstock.states import Move
from penstock.store import current_store

STRANGER = "stranger"


class Actor:
    """See the module."""

    def __init__(self, role: str) -> None:
        self.copies: dict[tuple[str, int], Job] = {}
        self.told: list[str] = []
        self.jobs: Any = None
        if role != STRANGER:
            import machine_jobs  # type: ignore[import-not-found]

            self.jobs = machine_jobs
            self.jobs.told_here = self.told

    def act(self, command: dict[str, Any]) -> dict[str, Any]:
        """Obey, and tell what came of it."""
        act = getattr(self, command.pop("do"))
        self.told.clear()
        reply: dict[str, Any] = {"before": newest()}
        try:
            reply["result"] = act(**command)
        except Exception as error:
            reply["error"], reply["text"] = type(error).__name__, str(error)
            # Whatever it holds now was not stored, or only in part.
            self.copies = {key: job for key, job in self.copies.items() if key[0] != command.get("job")}
        return {**reply, "after": newest(), "told": list(self.told)}

    # What is asked ----------------------------------------------------------------------------------

    def create(self, kind: str, values: dict[str, Any], when: str) -> str:
        """Make a job, or a batch job with its records; returns its id."""
        job = getattr(self.jobs, kind)(**values)
        if when == "later":
            job.run_at = clock.now() + timedelta(hours=1)
        if when == "soon or never":
            job.expires_at = clock.now() + timedelta(seconds=0.02)
        if job.batch and not job.lazy:
            job.upload(job.lines())
        job.save()
        self.copies[job.id.hex, 0] = job
        return str(job.id.hex)

    def move(self, job: str, copy: int, fresh: bool, move: str, edits: dict[str, Any] | None = None) -> None:
        """Make a move; with `edits`, of a copy that was changed and not saved."""
        if self.jobs is None:
            given = {"exception": Failure("penstock.JobFailed", "a stranger").to_json()} if move == "fail" else {}
            move_job(current_store(), UUID(job), Move(move), given)
            return
        mine = self.copy(job, copy, fresh)
        edit(mine, edits or {})
        getattr(mine, move)()

    def edit(self, job: str, copy: int, fresh: bool, edits: dict[str, Any]) -> None:
        """Change fields and save."""
        mine = self.copy(job, copy, fresh)
        edit(mine, edits)
        mine.save()

    def update(self, job: str, copy: int, fresh: bool, edits: dict[str, Any]) -> None:
        """Change fields at one go."""
        self.copy(job, copy, fresh).update(**edits)

    def run_now(self, job: str, copy: int, fresh: bool) -> None:
        """Let a scheduled job start."""
        self.copy(job, copy, fresh).run_now()

    def destroy(self, job: str) -> None:
        """Remove a job."""
        if self.jobs is None:
            row = current_store().job(UUID(job))
            if row is not None:
                destroy_job(current_store(), row)
            return
        self.copy(job, 0, True).destroy()
        self.forget(job)

    def delete(self, job: str) -> None:
        """Remove a job without its hooks."""
        self.copy(job, 0, True).delete()
        self.forget(job)

    def upload(self, job: str, copy: int, fresh: bool, name: str, count: int) -> int:
        """Add records to a batch job that is stored."""
        mine: Any = self.copy(job, copy, fresh)
        added: int = mine.upload(mine.lines(name, count))
        return added

    def bulk(self, state: str, move: str) -> int:
        """Move all jobs of a state."""
        done: int = getattr(Job.query.in_states(state), move)()
        return done

    def tidy(self) -> None:
        """Let everything go on that waits for a person."""
        Job.query.failed.retry()
        Job.query.paused.resume()
        for job in Job.query.scheduled:
            job.run_now()

    # Copies -----------------------------------------------------------------------------------------

    def copy(self, job: str, number: int, fresh: bool) -> Job:
        """Return one of the copies of a job, read anew or as it was read some time ago."""
        mine = self.copies.get((job, number))
        if mine is not None and fresh:
            mine.reload()
        elif mine is None:
            row = current_store().job(UUID(job))
            if row is None or row.draft:
                raise JobNotFound(f"there is no job {job}")
            mine = self.copies[job, number] = load_job(row)
        return mine

    def forget(self, job: str) -> None:
        """Drop the copies of a job: one that was destroyed is a new job, with the same id."""
        self.copies = {key: copy for key, copy in self.copies.items() if key[0] != job}


def edit(job: Job, edits: dict[str, Any]) -> None:
    """Set fields; a dict is changed in place."""
    for name, value in edits.items():
        if isinstance(value, dict):
            getattr(job, name).update(value)
        else:
            setattr(job, name, value)


def newest() -> int:
    """Return the number of the newest change of a job that is committed."""
    with current_store().connections.reading() as connection:  # type: ignore[attr-defined]
        found: int = connection.execute("SELECT coalesce(max(seq), 0) FROM watch").fetchone()[0]
    return found


def main() -> None:
    """Obey until there are no more commands."""
    actor = Actor(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(actor.act(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
