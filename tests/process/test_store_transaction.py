"""Jobs and slices completed in the store's own transaction, by workers that are killed: each effect exactly once.

A worker is killed in `perform` behind the effect, behind the settlement and before the commit, behind the commit and
before the dispatcher is told, or at a random moment of all that. `python -m tests.process.test_store_transaction 500`
is the long form; `PENSTOCK_TEST_STORE=postgres` has it played on PostgreSQL.
"""

import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from tests.postgres import running_postgres
from tests.process.lab import Lab, wait_for
from tests.process.yard import Yard, open_yard

from penstock.query import Query
from penstock.store import close_stores

pytestmark = pytest.mark.process

SLICE = 4
POINTS = ("perform", "settled", "committed", "random")
JOBS = """
    import random
    from contextlib import contextmanager
    from pydantic import PrivateAttr

    def die(where, number):
        note("died", number, where)
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    class Paying(StoreTransaction, Job, abstract=True):
        _dies = PrivateAttr(None)
        _timer = PrivateAttr(None)

        @contextmanager
        def transaction(self):
            self._dies = self._timer = None
            with super().transaction() as connection:
                yield connection
                self.at("settled")
            if self._timer is not None:
                self._timer.cancel()  # What it has not killed by now dies here.
                die("committed", self._dies[1])
            self.at("committed")

        def at(self, point):
            if self._dies is not None and self._dies[0] == point:
                die(*self._dies)

        def pay(self, connection, number, dies):
            connection.execute(f"INSERT INTO {TABLE} VALUES ({number})")
            if dies and once(f"dying-{number}"):
                self._dies = dies, number
                self.at("perform")
                if dies == "random":
                    self._timer = threading.Timer(random.uniform(0, 0.01), die, self._dies)
                    self._timer.daemon = True
                    self._timer.start()

    class Pay(Paying):
        number: int
        dies: str = ""

        def perform(self, connection):
            self.pay(connection, self.number, self.dies)

    class PayAll(Paying, BatchJob):
        slice_size = 4
        collect_output = True
        destroy_on_complete = False

        def perform(self, record, connection):
            self.pay(connection, *record)
            return record[0]
"""


def schema_of(url: str) -> str:
    return url.rpartition("schema=")[2]


@contextmanager
def paying(lab: Lab) -> Iterator[Yard]:
    """A yard with a table of payments in the store's own database."""
    table = "paid" if lab.store.startswith("penstock") else f"{schema_of(lab.store)}.paid"
    with open_yard(lab, f"    TABLE = {table!r}\n{JOBS}") as yard:
        with yard.store.lending() as connection:
            connection.execute(f"CREATE TABLE {table} (number bigint)")
        yard.table = table  # type: ignore[attr-defined]
        yield yard


@pytest.fixture(params=["sqlite", "postgres"])
def yard(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Yard]:
    lab.store = "penstock.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with paying(lab) as made:
        yield made


def paid(yard: Yard) -> Counter[int]:
    with yard.store.lending() as connection:
        rows = connection.execute(f"SELECT number FROM {yard.table}").fetchall()  # type: ignore[attr-defined]
    return Counter(number for (number,) in rows)


CREATE = """
    import json
    given = json.loads(sys.argv[1])
    jobs = Pay.create_many([Pay(number=n, dies=dies) for n, dies in given["jobs"]])
    batch = PayAll()
    batch.upload(map(tuple, given["records"]))
    print(batch.save().id)
"""


def play(yard: Yard, rounds: int, seed: int, seconds: float = 60.0) -> Counter[str]:
    """Have a worker killed in each of so many jobs and slices, and check what has been paid; returns the kills."""
    chance = random.Random(seed)
    points = [POINTS[n % len(POINTS)] for n in range(rounds)]
    chance.shuffle(points)
    half = rounds // 2
    # Some that nobody dies of stand between them.
    jobs = [(n, dies) for n, dies in enumerate(p for point in points[:half] for p in (point, ""))]
    first = len(jobs)
    slices = enumerate(points[half:])
    records = [(first + SLICE * n + k, point if k == n % SLICE else "") for n, point in slices for k in range(SLICE)]
    batch = UUID(yard.python(CREATE, json.dumps({"jobs": jobs, "records": records})))
    yard.serve(processes=2)
    wait_for(
        lambda: yard.row(batch).state == "completed" and yard.store.count_jobs(Query()) == 1,
        "all jobs to be done",
        seconds=seconds,
    )
    assert paid(yard) == Counter(range(first + len(records))), f"seed {seed}"
    with yard.store.transaction():
        outputs = [row.record_count for row in yard.store.outputs(batch, "main")]
    assert sum(outputs) == len(records), f"seed {seed}"
    assert yard.lab.check(str(batch))["processed"] == len(records), f"seed {seed}"
    died = Counter(number for _, number, _ in yard.notes("died"))
    # A timer may strike in the very moment in which it is called off.
    assert len(died) == rounds, f"seed {seed}: {len(died)} workers of {rounds} were killed"
    return Counter(points)


def test_whatever_kills_a_worker_when_each_effect_is_there_exactly_once(yard: Yard) -> None:
    play(yard, rounds=8, seed=random.randrange(1 << 30))


def main(rounds: int) -> None:
    """Play a long game: `python -m tests.process.test_store_transaction ROUNDS`."""
    seed = random.randrange(1 << 30)
    on_postgres = os.environ.get("PENSTOCK_TEST_STORE") == "postgres"
    server = running_postgres() if on_postgres else None
    with tempfile.TemporaryDirectory(prefix="penstock-lab-") as name:
        urls = [f"{next(server)}&schema=paying_{os.urandom(4).hex()}"] if server else []
        lab = Lab(Path(name), *urls)
        try:
            with paying(lab) as yard:
                points = play(yard, rounds, seed, seconds=60 + rounds * 10.0)
        finally:
            lab.close()
            close_stores()
            if server is not None:
                server.close()
    told = ", ".join(f"{points[point]} {words}" for point, words in WORDS.items())
    where = "PostgreSQL" if on_postgres else "SQLite"
    print(f"{rounds} workers killed on {where} ({told}): each effect exactly once (seed {seed})")


WORDS = {
    "perform": "in perform",
    "settled": "between perform and commit",
    "committed": "between commit and report",
    "random": "at a random moment",
}

if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
