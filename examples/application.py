"""An application that pushes jobs to nodes and gets every answer back: see `reactor_jobs.py` for how to run it.

    python application.py [HOST:PORT [NUMBER]]

It waits until a node is there, enqueues NUMBER jobs, 1,000 by default, one each millisecond, and counts the feedback.
"""

import sys
import time
from collections import Counter

import reactor_jobs

from penstock import Distributor, JobFailed


def main(address: str = "127.0.0.1:5000", number: str = "1000") -> None:
    """See the module."""
    answers: Counter[object] = Counter()
    with Distributor(address) as distributor:
        print(f"listening at {distributor.address}", flush=True)
        resize = reactor_jobs.resize.options(on_success=lambda result, handle: answers.update([handle.id]))
        for index in range(int(number)):
            distributor.enqueue(resize, f"{index}.png", width=index)
            time.sleep(0.001)

        handle = distributor.enqueue(reactor_jobs.ask, "are you there")
        print(handle.result(timeout=60))
        try:
            distributor.enqueue(reactor_jobs.read, "missing.txt").result(timeout=60)
        except JobFailed as error:
            print("failed for good:", error.failure.class_name)
    # Leaving has waited for the feedback that was due.
    once = sum(count == 1 for count in answers.values())
    print(f"{number} jobs, {once} of them with exactly one feedback")


if __name__ == "__main__":
    main(*sys.argv[1:])
