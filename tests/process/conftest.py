"""What tests with real processes share: a laboratory of their own, in which no process may survive."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests.process.lab import Lab  # noqa: E402

CONFIGURED = os.environ.get("PENSTOCK_TEST_STORE")


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """An empty folder that any user may enter, and the commands run in it.

    With `PENSTOCK_TEST_STORE=postgres` their store is one in PostgreSQL.
    """
    store = [request.getfixturevalue("postgres_url")] if CONFIGURED == "postgres" else []
    with tempfile.TemporaryDirectory(prefix="penstock-lab-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        made = Lab(folder, *store)
        try:
            yield made
            made.await_none_living()
        finally:
            made.close()
