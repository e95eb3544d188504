"""What tests of plug-ins share.

- `server`: a `Driver` over the configured store: a server whose worker is the test itself.
"""

import sys
from pathlib import Path

import pytest

from penstock.store import Store

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests.driver import Driver  # noqa: E402


@pytest.fixture
def server(configured_store: Store) -> Driver:
    return Driver(configured_store)
