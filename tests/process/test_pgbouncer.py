"""Servers behind a real PgBouncer in transaction mode: all is done, by the slow check, and nothing is said silently."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.faults.pooler import pooler
from tests.postgres import OwnPostgres, own_postgres
from tests.process.lab import Lab, wait_for
from tests.process.yard import Yard, open_yard

from penstock.query import Query
from penstock.states import State

pytestmark = pytest.mark.process

CONNECTIONS = 4

JOBS = """
    class Small(Job):
        n: int = 0
        def perform(self):
            note("small", self.n)

    class Turned(BatchJob):
        slice_size = 5
        collect_output = True
        destroy_on_complete = False
        def perform(self, line):
            note("line", self.record_number, os.getppid())
            time.sleep(0.008)  # Long enough for a server that no wake-up reaches to look by itself.
            return line[::-1]
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def url(postgres: OwnPostgres) -> Iterator[str]:
    with pooler(postgres, CONNECTIONS) as found:
        yield found


@pytest.fixture
def yard(lab: Lab, url: str, request: pytest.FixtureRequest) -> Iterator[Yard]:
    lab.store = f"{url}&schema=t{abs(hash(request.node.name))}"
    lab.extra["PENSTOCK_DEAD_AFTER"] = "3"
    with open_yard(lab, JOBS) as made:
        yield made


def test_jobs_and_records_are_done_once_each_and_the_log_says_that_wake_ups_come_late(yard: Yard) -> None:
    lines = yard.lab.lines("in.txt", 500)
    servers = [yard.serve() for _ in range(2)]
    for server in servers:
        yard.worker(server)
    job = yard.python("job = Turned(); job.upload('in.txt'); job.save(); print(job.id)")
    yard.python("Small.create_many([Small(n=n) for n in range(300)])")
    yard.await_notes("small", 300)
    yard.python("Turned.query.where(id=sys.argv[1]).first().wait(60).download('out.txt')", job)
    assert yard.lab.path("out.txt").read_text("utf-8") == "".join(f"{line[::-1]}\n" for line in lines)
    assert sorted(int(n) for _, n in yard.notes("small")) == list(range(300))
    assert len({server for _, _, server in yard.notes("line")}) == 2, "one server did it all"
    assert yard.lab.check(job)["balanced"]
    for server in servers:
        assert server.err.count("a pooler is in between") == 1, server.err


def test_a_server_that_is_killed_is_missed_by_its_heartbeat_and_what_it_held_is_done(yard: Yard) -> None:
    lines = yard.lab.lines("in.txt", 1_000)
    first, second = yard.serve(), yard.serve()
    job = yard.python("job = Turned(); job.upload('in.txt'); job.save(); print(job.id)")
    wait_for(lambda: len({server for _, _, server in yard.notes("line")}) == 2, "both at work")
    yard.kill(first)
    yard.python("Turned.query.where(id=sys.argv[1]).first().wait(60).download('out.txt')", job)
    assert yard.lab.path("out.txt").read_text("utf-8") == "".join(f"{line[::-1]}\n" for line in lines)
    wait_for(lambda: len(yard.store.servers()) == 1, "its row to be gone")
    yard.stop(second)


def test_idle_servers_take_work_by_the_slow_check(yard: Yard) -> None:
    server = yard.serve()
    yard.worker(server)
    for number in range(3):
        (job_id,) = yard.create(f"Small.create(n={number})")
        yard.await_notes("small", number + 1)
        yard.await_states(None, job_id)


def test_what_is_set_for_our_connections_is_not_left_to_those_of_others(yard: Yard, url: str) -> None:
    import psycopg

    yard.python("import penstock; penstock.configure(durability='normal'); [Small.create(n=n) for n in range(30)]")
    assert yard.store.count_jobs(Query(states=(State.QUEUED,))) == 30
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):  # Each in a transaction, so that all connections of the pooler are looked at.
            other = stack.enter_context(psycopg.connect(url, prepare_threshold=None))
            for name, value in (("synchronous_commit", "on"), ("statement_timeout", "0"), ("lock_timeout", "0")):
                assert other.execute(f"SHOW {name}").fetchone() == (value,)
