"""How the worker processes of a server or node run."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.config import settings
from penstock.errors import ConfigurationError
from penstock.server.chosen import Chosen
from penstock.server.log_handlers import importable_name
from penstock.server.logs import options_of, travelling
from penstock.server.markers import MOST_SLOTS


def cores() -> int:
    """Return the processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server runs."""

    app: Sequence[str]
    """The modules its workers import."""
    workers: int = 10
    """Slots: pieces of work that run at once."""
    processes: int | None = None
    """Worker processes that share the slots. None: one for each core, but no more than slots."""
    concurrency: int = 0
    """`async` regular jobs that run at once on the event loops of its processes. 0: they take slots."""
    heavy: int = 0
    """Processes besides, each of which does one piece of heavy work at a time and nothing else. 0: it takes slots."""
    chosen: Chosen = field(default_factory=Chosen)
    """Which jobs it works on."""
    recycle_jobs: int | None = None
    """Pieces of work after which a worker process is replaced. None: never."""
    recycle_mb: int | None = None
    """Resident memory in MB (2**20 bytes) at which one is replaced, after what it holds is done. None: never."""
    memory_limit_mb: int | None = None
    """Memory in MB beyond which a worker gets none: what asks for more fails with `MemoryError`. None: no limit."""
    logging: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the log for the workers; plain data."""

    def __post_init__(self) -> None:
        if self.workers > MOST_SLOTS * self.process_count:
            raise ConfigurationError(
                f"{self.workers} workers are too many for --processes {self.process_count}: "
                f"each has {MOST_SLOTS} at most; "
                "give more processes or fewer workers"
            )

    @property
    def process_count(self) -> int:
        """The number of worker processes."""
        return min(self.processes or cores(), self.workers)


def settings_of_workers() -> dict[str, Any]:
    """Return the settings of this process that its workers are to have too."""
    chosen = settings()
    return {
        "durability": chosen.durability,
        "timezone": chosen.timezone,
        "max_record": chosen.max_record,
        "max_slice": chosen.max_slice,
        "max_document": chosen.max_document,
        **({"keyring": chosen.keyring} if isinstance(chosen.keyring, str) else {}),
        **({"tracing": importable_name(chosen.tracing, "tracing")} if chosen.tracing else {}),
        **travelling(options_of(chosen)),
    }
