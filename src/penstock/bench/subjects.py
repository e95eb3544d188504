"""What can be measured, and how one measurement is made."""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

from penstock.bench.ground import Ground
from penstock.bench.report import Report, machine
from penstock.errors import ConfigurationError

SUBJECTS = ("batch", "jobs", "enqueue", "latency", "idle", "memory", "claims", "scale")
"""Each is a module with `SETTINGS`, a full and a quick value for each, and `run(ground, **settings)`."""
SQLITE_ONLY = frozenset({"claims"})


class Measurement(NamedTuple):
    """What was measured, how, and what came of it."""

    subject: str
    title: str
    settings: dict[str, int]
    machine: dict[str, Any]
    report: Report


def subject_module(subject: str) -> ModuleType:
    """Return the module of a subject."""
    return importlib.import_module(f"penstock.bench.{subject}")


def settings_of(module: ModuleType, given: Mapping[str, int | None], *, quick: bool) -> dict[str, int]:
    """Return the settings of a measurement: what is given, else the full or the quick value."""
    settings = {}
    for name, (full, small) in module.SETTINGS.items():
        value = given.get(name)
        settings[name] = value if value is not None else small if quick else full
    return settings


def measure(
    subject: str, ground: Ground, *, quick: bool = False, given: Mapping[str, int | None] | None = None
) -> Measurement:
    """Run a measurement.

    Raises:
        ConfigurationError: it cannot be made on this kind of store, or a setting is not one of its own.
    """
    if subject in SQLITE_ONLY and ground.postgres is not None:
        raise ConfigurationError(f"bench {subject} counts what SQLite reads: give a SQLite store with --store")
    module = subject_module(subject)
    unknown = [name for name in given or {} if name not in module.SETTINGS]
    if unknown:
        known = ", ".join(module.SETTINGS)
        raise ConfigurationError(f"bench {subject} has no setting {unknown[0]!r}; it has {known}")
    settings = settings_of(module, given or {}, quick=quick)
    before = machine()
    report = module.run(ground, **settings)
    title = (module.__doc__ or "").splitlines()[0]
    return Measurement(subject, title, settings, {**before, "store": ground.engine}, report)
