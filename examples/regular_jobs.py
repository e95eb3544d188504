"""Regular jobs: fields, creating, asking, and a server that runs them.

    $ python regular_jobs.py

makes jobs in `letters.db`, runs `penstock server` until they are done, and says what came of them. In an
application the server runs all the time, on its own: `penstock server --app regular_jobs`.
"""

import subprocess
import sys
from datetime import date

from penstock import Job, configure, field


class LetterJob(Job):
    """Write a letter. Fields are checked when a job is made, and again when it is read."""

    priority = 30  # 1 is the most urgent; 50 is usual
    collect_output = True
    destroy_on_complete = False

    username: str
    pages: int = field(1, ge=1, le=99)
    written_on: date = field(default_factory=date.today, user_editable=True, copy_on_restart=True)

    def perform(self) -> str:
        """Return the letter; `result` has it afterwards."""
        if self.username == "nobody":
            raise ValueError("nobody reads letters")
        return f"Dear {self.username}, {self.pages} pages on {self.written_on:%d.%m.%Y}"


def make_jobs() -> LetterJob:
    """Queue a few jobs and return the most urgent one."""
    LetterJob.create(username="ada", written_on=date(2025, 12, 10))
    # One transaction: all or none.
    LetterJob.create_many({"username": name, "pages": 2} for name in ("grace", "edsger", "nobody"))
    return LetterJob.create(username="alan", priority=1)


def tell() -> None:
    """Say what became of the jobs."""
    urgent = LetterJob.query.where(priority__lt=30).first()
    assert urgent is not None
    print(urgent.result)
    print(f"{LetterJob.query.completed.count()} completed, {LetterJob.query.failed.count()} failed")
    for letter in LetterJob.query.failed:
        assert letter.exception is not None
        print(f"{letter.username}: {letter.exception.summary}")
    # Correct what was wrong, and queue it again: LetterJob.query.failed.retry() does so for all.
    for letter in LetterJob.query.failed:
        letter.update(username="somebody")
        letter.retry()


def main() -> None:
    """Make jobs, run them, correct the one that fails, and run it again."""
    configure(store="sqlite:///letters.db")
    make_jobs()
    command = [sys.executable, "-m", "penstock", "server", "--app", "regular_jobs", "--workers", "2"]
    server = subprocess.Popen([*command, "--store", "letters.db", "--log-level", "warning"])
    try:
        for letter in LetterJob.query:
            letter.wait(timeout=60)
        tell()
        for letter in LetterJob.query:
            letter.wait(timeout=60)
        print(f"{LetterJob.query.completed.count()} completed, {LetterJob.query.failed.count()} failed")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
