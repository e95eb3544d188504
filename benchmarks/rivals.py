"""Other ways to apply a function to each line of a file; they store nothing.

python -m benchmarks.rivals loop|forked|pool FUNCTION INPUT OUTPUT [CHUNK]
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import Pool

from penstock.bench import functions

Function = Callable[[str], str]
BLOCK = 1 << 20
read_text = partial(open, encoding="utf-8", newline="\n")
write_text = partial(open, mode="w", encoding="utf-8", newline="\n")


def loop(function: Function, source: str, target: str) -> None:
    """One process, line by line."""
    with read_text(source) as lines, write_text(target) as results:
        for line in lines:
            results.write(function(line[:-1]) + "\n")


def forked(function: Function, source: str, target: str) -> None:
    """Two processes, each over half of the bytes; then the second output is put behind the first."""
    end = os.path.getsize(source)
    with open(source, "rb") as file:
        file.seek(end // 2)
        file.readline()
        middle = file.tell()
    second = f"{target}.second"
    children = [
        _fork(function, source, 0, middle, target),
        _fork(function, source, middle, end, second),
    ]
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    with open(target, "ab") as whole, open(second, "rb") as rest:
        shutil.copyfileobj(rest, whole, BLOCK)
    os.remove(second)


def pool(function: Function, source: str, target: str, chunk: str) -> None:
    """What the standard library offers for this."""
    with read_text(source) as lines, write_text(target) as results, Pool(2) as workers:
        for result in workers.imap(function, (line[:-1] for line in lines), chunksize=int(chunk)):
            results.write(result + "\n")
        workers.close()
        # Waited for, so that their time is counted.
        workers.join()


def _fork(function: Function, source: str, start: int, end: int, target: str) -> int:
    child = os.fork()
    if child == 0:
        with open(target, "wb") as results:
            for block in _blocks(source, start, end):
                done = [function(line) for line in block.decode().split("\n")[:-1]]
                results.write(("\n".join(done) + "\n").encode())
        os._exit(0)
    return child


def _blocks(source: str, start: int, end: int) -> Iterator[bytes]:
    """Yield whole lines between two line ends."""
    with open(source, "rb") as file:
        file.seek(start)
        while (left := end - file.tell()) > 0:
            yield file.read(BLOCK) + file.readline() if left > BLOCK else file.read(left)


if __name__ == "__main__":
    way, name, *rest = sys.argv[1:]
    {"loop": loop, "forked": forked, "pool": pool}[way](getattr(functions, name), *rest)
