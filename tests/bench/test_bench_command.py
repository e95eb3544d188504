"""`penstock bench`: each subject runs in a small size. No figure is asserted: these tests keep the programs alive."""

import json

import pytest
from tests.process.lab import Lab

from penstock.bench.subjects import SUBJECTS
from penstock.cli.bench import NAMES

pytestmark = [pytest.mark.process, pytest.mark.linux]

SMALL = {
    "batch": ["lines=500", "rounds=1"],
    "jobs": ["jobs=50", "more_jobs=100", "rounds=1"],
    "enqueue": ["jobs=100", "commits=5", "rounds=1"],
    "latency": ["pickups=2"],
    "idle": ["idle_seconds=1"],
    "memory": ["small_mb=1", "medium_mb=1", "large_mb=1"],
    "claims": ["future=100", "completed=100", "held=100", "ready=50", "claims=2"],
    "scale": ["jobs=100", "lines=2000", "most_servers=2"],
}


@pytest.fixture
def lab(tmp_path) -> Lab:
    return Lab(tmp_path)


def bench(lab: Lab, name: str, *words: str):
    sizes = [word for setting in SMALL[name] for word in ("--set", setting)]
    return lab.run(name, *sizes, *words, command="bench", seconds=300)


def test_the_command_offers_every_subject():
    assert sorted(NAMES) == sorted(SUBJECTS) == sorted(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_each_subject_gives_tables_with_settings_and_versions_and_leaves_nothing_behind(lab, name):
    done = bench(lab, name, "--json")
    assert done.code == 0, done
    told = json.loads(done.out)
    assert told["subject"] == name
    assert {f"{setting}={value}" for setting, value in told["settings"].items()} >= set(SMALL[name])
    assert {"python", "penstock", "sqlite", "cores", "when"} <= set(told["machine"])
    assert told["machine"]["store"] == "SQLite"
    assert told["tables"]
    assert all(told["tables"].values())
    assert list(lab.path(".").iterdir()) == []


def test_postgres_is_measured_in_a_schema_of_its_own_that_goes(lab, postgres_url):
    psycopg = pytest.importorskip("psycopg")
    lab.store = postgres_url
    done = bench(lab, "scale", "--json")
    assert done.code == 0, done
    jobs, records = json.loads(done.out)["tables"].values()
    assert [row["servers"] for row in jobs] == [row["servers"] for row in records] == [1, 2]
    assert all(row["log bytes"] > 0 and row["server CPU µs"] > 0 for row in (*jobs, *records))
    with psycopg.connect(postgres_url.partition("&schema=")[0]) as connection:
        left = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'penstock_bench%'").fetchall()
    assert left == []


def test_people_get_a_table(lab):
    done = bench(lab, "enqueue")
    assert done.code == 0, done
    assert "one at a time : bare commits" in done.out.decode()
    assert "store SQLite" in done.out.decode()


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("jobs", ["--set", "lines=3"], "bench jobs has no setting 'lines'; it has jobs, more_jobs, rounds"),
        ("jobs", ["--set", "jobs=many"], "--set jobs=many: write a whole number"),
        ("claims", ["--store", "postgresql://localhost/none"], "give a SQLite store with --store"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(lab, name, words, said):
    done = lab.run(name, *words, command="bench", seconds=300)
    assert done.code == 2
    assert said in done.err
