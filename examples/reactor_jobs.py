"""Job functions for a distributor and its nodes. The application and the nodes both import this module.

Three terminals, in this folder, with the same secret in each:

    export PENSTOCK_SECRET="only for these examples"
    penstock node --name worker_1 --connect 127.0.0.1:5000 --app reactor_jobs      # terminals 1 and 2: worker_2
    python application.py 127.0.0.1:5000                                          # terminal 3
"""

import asyncio

from penstock import Arguments, job


@job
def resize(path: str, width: int = 100) -> str:
    """Pretend to make a smaller picture."""
    return f"{path} is {width} wide"


@resize.callback
def note(arguments: Arguments) -> None:
    """Add something for the application to see."""
    arguments["characters"] = len(arguments["result"])


@job(retry_limit=2, backoff=0.1)
def read(path: str) -> str:
    """Read a file, which may not be there: tried three times."""
    with open(path, encoding="utf-8") as file:
        return file.read()


@job
async def ask(question: str) -> str:
    """Ask somebody who takes a while; a node has thousands of these under way at once."""
    await asyncio.sleep(0.05)
    return f"{question}? Yes."
