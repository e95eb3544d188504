"""What runs under valgrind: `python -m tests.instructions.child FILE`.

Each path runs once to warm up, then in a process of its own that ends right behind it, beside one that ends at once.
What the first took more is the path's alone: whatever came before they have in common.
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tests.instructions.paths import PATHS

from penstock import clock


def main() -> None:
    """Run all paths, and write by path the processes with it and without it."""
    gc.disable()
    pids = {}
    with clock.use(clock.ManualClock()):
        for name, (prepare, units) in PATHS.items():
            run = prepare()
            run(units // 5)
            pids[name] = [_forked(lambda run=run, units=units: run(units)), _forked(lambda: None)]
    Path(sys.argv[1]).write_text(json.dumps(pids))


def _forked(run: Callable[[], object]) -> int:
    """Run something in a process of its own, and return its number."""
    child = os.fork()
    if child == 0:
        done = 1
        try:
            run()
            done = 0
        finally:
            os._exit(done)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("a path failed; see above")
    return child


if __name__ == "__main__":
    main()
