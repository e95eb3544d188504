"""A worker process of PgQueuer, as its own command runs one: that does not start with the typer of today."""

import sys
from typing import Any

import uvloop

from benchmarks.queue_rivals import pgqueuer_main


async def main() -> Any:
    pgq = await pgqueuer_main()
    await pgq.run(batch_size=int(sys.argv[1]))


if __name__ == "__main__":
    uvloop.run(main())
