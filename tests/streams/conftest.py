"""What the tests of streams share: both gzip libraries, and a folder that any user may enter."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.streams import gz


@pytest.fixture(params=["isal", "standard library"])
def gzip_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test that asks for it runs with isal and with the fall-back."""
    if request.param == "isal":
        pytest.importorskip("isal")
    else:
        monkeypatch.setitem(sys.modules, "isal", None)
        monkeypatch.delitem(sys.modules, "isal.igzip", raising=False)
        monkeypatch.delitem(sys.modules, "isal.isal_zlib", raising=False)
    assert gz._library().file.__name__ == {"isal": "IGzipFile"}.get(request.param, "GzipFile")
    return str(request.param)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Unlike `tmp_path`, whose parents only its owner may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
