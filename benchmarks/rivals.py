"""Other ways to apply a function to each line of a file; they store nothing.

python -m benchmarks.rivals loop|forked|pool|parallel|dask FUNCTION INPUT OUTPUT [CHUNK]
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
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


def parallel(function: Function, source: str, target: str) -> None:
    """GNU parallel: two processes over parts of the file, whose outputs are kept in order."""
    command = [sys.executable, "-m", "benchmarks.rivals", "filter", function.__name__, "-", "-"]
    with open(target, "wb") as results:
        words = ["--pipepart", "--arg-file", source, "--block", "-2", "--jobs", "2", "--keep-order"]
        subprocess.run(["parallel", *words, shlex.join(command)], stdout=results, check=True)


def filter_lines(function: Function, _source: str, _target: str) -> None:
    """Standard input to standard output: what GNU parallel starts."""
    while block := sys.stdin.buffer.read(BLOCK) + sys.stdin.buffer.readline():
        done = [function(line) for line in block.decode().split("\n")[:-1]]
        sys.stdout.buffer.write(("\n".join(done) + "\n").encode())


def dask(function: Function, source: str, target: str) -> None:
    """A Dask bag with two processes, its default scheduler for bags; its files put behind each other."""
    import dask
    from dask import bag

    with dask.config.set(scheduler="processes", num_workers=2), tempfile.TemporaryDirectory() as folder:
        lines = bag.read_text(source, blocksize=16 * BLOCK)
        written = lines.map(lambda line: function(line[:-1])).to_textfiles(f"{folder}/*.txt", last_endline=True)
        with open(target, "wb") as whole:
            for name in written:
                with open(name, "rb") as part:
                    shutil.copyfileobj(part, whole, BLOCK)


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
    ways = {
        "loop": loop,
        "forked": forked,
        "pool": pool,
        "parallel": parallel,
        "filter": filter_lines,
        "dask": dask,
    }
    ways[way](getattr(functions, name), *rest)
