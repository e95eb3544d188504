"""What `python -m benchmarks all` measures: each figure of docs/figures.md, on both stores; half an hour."""

from typing import NamedTuple

SQLITE, POSTGRES = "SQLite", "PostgreSQL"


class Step(NamedTuple):
    """One subject on one store."""

    subject: str
    store: str
    settings: dict[str, int]
    """Those that differ from the subject's own full size, so that all of it takes no longer than that."""


SIZES: dict[str, dict[str, int]] = {
    "batch": {"rounds": 3},
    "work": {"lines": 1_000_000, "work_rounds": 2},
    "records": {"rounds": 5},
    "jobs": {"rounds": 3},
    "enqueue": {"rounds": 5},
    "latency": {},
    "idle": {},
    "memory": {"large_mb": 600},
    "profile": {},
}
PLAN = (
    *(Step(subject, store, sizes) for subject, sizes in SIZES.items() for store in (SQLITE, POSTGRES)),
    Step("queues", POSTGRES, {"rounds": 3}),
)
