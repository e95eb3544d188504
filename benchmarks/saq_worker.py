"""A worker process of SAQ."""

import sys

from benchmarks.queue_rivals import saq_settings

settings = saq_settings()

if __name__ == "__main__":
    from saq.__main__ import main

    sys.argv = ["saq", "benchmarks.saq_worker.settings", "--quiet"]
    main()
