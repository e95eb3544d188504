"""Fixtures for pytest, which finds them by itself where Penstock is installed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from penstock.clock import ManualClock
    from penstock.store import Store


@pytest.fixture
def penstock_store() -> "Iterator[Store]":
    """Keep all jobs of the test in an empty store in memory."""
    from penstock.testing import temporary_store

    with temporary_store() as store:
        yield store


@pytest.fixture
def penstock_clock() -> "Iterator[ManualClock]":
    """Let the time of Penstock stand at 2026-01-01 UTC until `penstock_clock.advance(seconds)`."""
    from penstock.testing import ManualClock, use

    clock = ManualClock()
    with use(clock):
        yield clock
