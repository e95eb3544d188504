"""axe-core, which finds what keeps people with a screen reader or weak eyes out. Fetched for the tests by npm."""

import os
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

VERSION = "4.14.1"
SERIOUS = ("serious", "critical")


@cache
def axe_source() -> str:
    """Return the script; the test is skipped where npm is not there or has no network, but never in CI."""
    folder = Path.home() / ".cache" / "penstock-tests"
    kept = folder / f"axe-core-{VERSION}.tgz"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(
                ["npm", "pack", "--silent", f"axe-core@{VERSION}"],
                cwd=folder,
                check=True,
                capture_output=True,
                timeout=120,
            )
        except (OSError, subprocess.SubprocessError) as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no axe-core to test with: npm pack failed ({error})")
    with tarfile.open(kept) as archive:
        file = archive.extractfile("package/axe.min.js")
        assert file is not None
        return file.read().decode()


def serious(page: Any) -> dict[str, list[str]]:
    """Return what is serious on a page in which the script was run, and where."""
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return {
        each["id"]: [node["html"][:120] for node in each["nodes"]][:5]
        for each in found["violations"]
        if each["impact"] in SERIOUS
    }
