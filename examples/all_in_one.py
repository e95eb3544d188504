"""A distributor and a node started by one program: `python all_in_one.py`."""

import reactor_jobs

from penstock import Distributor, gather
from penstock.distributor.running import running_node
from penstock.server.options import ServerOptions

SECRET = "only for this example"  # noqa: S105


def main() -> None:
    """Push a hundred jobs to a node of our own."""
    options = ServerOptions(app=["reactor_jobs"], workers=4, processes=1, concurrency=1000)
    with (
        Distributor("127.0.0.1:0", secret=SECRET) as distributor,
        running_node([distributor.address], options, name="here", secret=SECRET),
    ):
        handles = [distributor.enqueue(reactor_jobs.ask, f"is {number} even") for number in range(100)]
        print(len(gather(handles, timeout=60)), "answers")


if __name__ == "__main__":
    main()
