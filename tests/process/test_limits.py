"""A limit on running jobs, over two real servers, as an observer sees it the whole time. By counts, not by time."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent

import pytest
from tests.process.lab import ENOUGH, Lab, Started, wait_for

pytestmark = pytest.mark.process

LIMIT = 3
COUNT = 400
JOBS = """
    import os, random, time
    from penstock import BatchJob, Job

    LOG = os.open("log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    class Limited(Job):
        throttle_running_jobs = 3
        number: int = 0
        def perform(self):
            time.sleep(random.uniform(0.02, 0.04))
            os.write(LOG, f"{self.number} {os.getppid()}\\n".encode())

    class LimitedToo(Limited):
        pass

    class LimitedLines(BatchJob):
        throttle_running_jobs = 2
        slice_size = 1
        number: int = 0
        def perform(self, line):
            time.sleep(0.1)
            os.write(LOG, f"{self.number} {os.getppid()}\\n".encode())
"""
OBSERVER = """
    import json, sqlite3, sys, time
    from collections import Counter

    path, query = sys.argv[1:]
    if "://" in path:
        import psycopg
        url, _, schema = path.rpartition("&schema=")
        connection = psycopg.connect(url, autocommit=True, options=f"-csearch_path={schema}")
    else:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    seen = Counter()
    print("looking", flush=True)
    began = False
    while True:
        running, queued, others = connection.execute(query).fetchone()
        if running or queued or others:
            began = True
            seen[running, queued > 0] += 1
        elif began:
            break
    connection.close()
    print(json.dumps([[*key, count] for key, count in seen.items()]))
"""
"""Counts snapshots by how many jobs run and whether any waits, from the first job to the last, as fast as it can."""


@pytest.fixture
def limited(lab: Lab) -> Lab:
    lab.module("limited", JOBS)
    lab.python("from penstock.store import current_store; current_store()")
    return lab


@contextmanager
def observed(lab: Lab, condition: str = "true") -> Iterator[Counter[tuple[int, bool]]]:
    """Count, until no job is left, the snapshots by how many jobs of a condition run, and whether any waits."""
    query = f"""SELECT count(*) FILTER (WHERE state = 'running' AND {condition}),
        count(*) FILTER (WHERE state = 'queued' AND {condition}), count(*) FILTER (WHERE NOT ({condition})) FROM jobs"""
    command = [sys.executable, "-c", dedent(OBSERVER), lab.store, query]
    observer = subprocess.Popen(
        command, cwd=lab.folder, env=lab.environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    lab.started.append(observer)
    assert observer.stdout is not None
    assert observer.stdout.readline() == b"looking\n"
    seen: Counter[tuple[int, bool]] = Counter()
    yield seen
    out, _ = observer.communicate(timeout=ENOUGH)
    assert observer.returncode == 0
    seen.update({(running, waits): count for running, waits, count in json.loads(out)})


def serve(lab: Lab, workers: int = 4) -> Started:
    """Start a server, and return it once all its workers are ready."""
    server = lab.start("--app", "limited", "--workers", str(workers), "--processes", "2", command="server")
    wait_for(lambda: server.err.count("ready") >= 2, "the workers")
    return server


def stop(*servers: Started) -> None:
    for server in servers:
        server.process.terminate()
    for server in servers:
        ended = server.end()
        assert ended.code == 0, ended.err
        assert "Traceback" not in ended.err


def logged(lab: Lab) -> list[list[str]]:
    return [line.split() for line in lab.path("log.txt").read_text().splitlines()]


def share(seen: Counter[tuple[int, bool]], limit: int = LIMIT) -> float:
    """Return the part of the snapshots with work that waits in which all places of the limit are taken."""
    waiting = sum(count for (_, waits), count in seen.items() if waits)
    return sum(count for (running, waits), count in seen.items() if waits and running == limit) / waiting


@pytest.mark.parametrize("workers", [2, 10], ids=["2 slots each", "10 slots each"])
def test_two_servers_never_pass_a_limit_and_keep_all_its_places_taken_while_work_waits(
    limited: Lab, workers: int
) -> None:
    servers = [serve(limited, workers) for _ in range(2)]
    with observed(limited) as seen:
        limited.python(f"import limited; limited.Limited.create_many({{'number': n}} for n in range({COUNT}))")
    stop(*servers)
    assert max(running for running, _ in seen) == LIMIT
    assert seen.total() > 1000, "too few snapshots to say anything"
    assert share(seen) >= 0.95, seen
    done = logged(limited)
    assert sorted(int(number) for number, _ in done) == list(range(COUNT))
    # With two slots each, no server can have all places of the limit.
    assert workers > LIMIT or len({server for _, server in done}) == 2
    print(f"{share(seen):.4f} of {seen.total()} snapshots: {dict(seen)}")


def test_a_group_over_two_kinds_has_one_limit(limited: Lab) -> None:
    servers = [serve(limited) for _ in range(2)]
    with observed(limited) as seen:
        limited.python("""
            import limited
            from penstock.store import current_store
            with current_store().transaction():
                for n in range(60):
                    for cls in (limited.Limited, limited.LimitedToo):
                        cls.create(number=n, throttle_group="the same")
        """)
    stop(*servers)
    assert max(running for running, _ in seen) == LIMIT
    assert share(seen) >= 0.95, seen
    assert sorted(int(number) for number, _ in logged(limited)) == sorted([*range(60)] * 2)


def test_limited_batch_jobs_all_run_to_their_end_and_no_more_at_once_than_the_limit(limited: Lab) -> None:
    # All are there before the first server is, and each has fewer slices than there are slots.
    limited.python("""
        import limited
        for n in range(8):
            job = limited.LimitedLines(number=n)
            job.upload(map(str, range(3)))
            job.save()
    """)
    with observed(limited) as seen:
        servers = [serve(limited) for _ in range(2)]
    stop(*servers)
    assert max(running for running, _ in seen) == 2
    assert Counter(number for number, _ in logged(limited)) == {str(n): 3 for n in range(8)}


def test_a_server_that_is_killed_leaves_its_places_to_the_others(limited: Lab) -> None:
    servers = [serve(limited) for _ in range(2)]
    with observed(limited) as seen:
        limited.python("import limited; limited.Limited.create_many({'number': n} for n in range(100))")
        wait_for(lambda: limited.path("log.txt").exists() and len(logged(limited)) > 20, "work at both")
        servers[0].kill_group()
        servers[0].end()
    stop(servers[1])
    assert max(running for running, _ in seen) == LIMIT
    assert {int(number) for number, _ in logged(limited)} == set(range(100))
    assert limited.python("from penstock.store import current_store; print(current_store().limits())") == b"{}\n"
