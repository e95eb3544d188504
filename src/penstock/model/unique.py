"""Unique keys: what makes a job the only one of its kind that is queued, running or paused."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.model.record import JobRecord

MAX_LENGTH = 200
"""Characters of a key that is kept readable; a longer one ends in a digest of its values."""


def unique_key_of(job: "JobRecord", names: Sequence[str] | None) -> str | None:
    """Return the key of a job over the fields named: its kind, then their values. None for None."""
    if names is None:
        return None
    if not names:
        return job.kind
    values = json.loads(job.model_dump_json(include=set(names)))
    text = json.dumps([values[name] for name in names], ensure_ascii=False, sort_keys=True)
    if len(text) > MAX_LENGTH:
        import hashlib  # Loads a library of its own.

        text = hashlib.sha256(text.encode()).hexdigest()
    return f"{job.kind} {text}"


def words_of(job: "JobRecord") -> str:
    """Return what is unique about a job, for people: `ReportJob with username='ada'`."""
    names = job.unique_by or ()
    if not names:
        return f"{job.kind} job"
    return f"{job.kind} job with {', '.join(f'{name}={getattr(job, name)!r}' for name in names)}"
