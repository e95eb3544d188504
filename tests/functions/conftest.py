"""What tests of job functions share.

- `server`: a `Driver` over the configured store: a server whose worker is the test itself.
"""

import pytest
from tests.driver import Driver

from penstock.store import Store


@pytest.fixture
def server(configured_store: Store) -> Driver:
    return Driver(configured_store)
