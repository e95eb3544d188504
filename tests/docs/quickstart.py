"""The quick start by somebody who has nothing yet: `python -m tests.docs.quickstart`.

In an empty folder, with a new virtual environment, Penstock and all it needs installed, doing only what the page says.
"""

import os
import subprocess
import sys
import tempfile
import time

from tests.docs.blocks import ROOT

PAGE = "docs/quickstart.md"


def read_fresh(folder: str) -> int:
    """Do all of it, and return the exit code."""
    kept = ("PATH", "HOME", "LANG", "PIP_INDEX_URL", "PIP_CONFIG_FILE")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    command = [sys.executable, "-m", "tests.docs.run_page", PAGE, "--fresh"]
    return subprocess.run(command, cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}, check=False).returncode


def main() -> None:
    """Do it, and tell how long it took."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="penstock-quickstart-") as folder:
        code = read_fresh(folder)
        there = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    print(f"exit code {code} after {time.monotonic() - began:.0f} s; the folder has {', '.join(there)}")
    sys.exit(code)


if __name__ == "__main__":
    main()
