"""`import penstock` and a job class are light: nothing heavy is imported before it is used."""

import json
import subprocess
import sys

import pytest

LIMIT = 2.0
"""What importing and defining job classes may take, as a multiple of what pydantic takes for itself and one model:
about 1.6 when this was written. So it holds on slow machines too."""

HEAVY = {
    "asyncio",
    "bz2",
    "click",
    "gzip",
    "http",
    "isal",
    "lzma",
    "multiprocessing",
    "psycopg",
    "rich",
    "sqlite3",
    "ssl",
    "starlette",
    "subprocess",
    "xml",
}

SCRIPT = """
import json, sys, time
start = time.perf_counter()
from penstock import Job, BatchJob, field
class Copy(Job):
    source: str = field("a", description="What to copy.")
    def perform(self):
        pass
class Lines(BatchJob):
    def perform(self, record):
        return record
took = time.perf_counter() - start
print(json.dumps({"ms": took * 1000, "modules": sorted(sys.modules)}))
"""

PYDANTIC = """
import json, sys, time
start = time.perf_counter()
from pydantic import BaseModel, TypeAdapter
class Plain(BaseModel):
    size: int = 0
took = time.perf_counter() - start
print(json.dumps({"ms": took * 1000, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def fresh():
    """Return a function that imports in a fresh interpreter and tells how long it took, and of which modules."""

    def measure(script=SCRIPT):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    return measure


def test_nothing_heavy_is_imported_before_it_is_used(fresh):
    imported = {name.partition(".")[0] for name in fresh()["modules"]}
    # pydantic looks its plugins up through importlib.metadata, which knows zip files and their codecs.
    pydantics = {name.partition(".")[0] for name in fresh(PYDANTIC)["modules"]} & {"bz2", "gzip", "lzma"}
    assert imported & HEAVY - pydantics == set()


def test_no_engine_stream_server_or_face_is_imported_before_it_is_used(fresh):
    inner = {name for name in fresh()["modules"] if name.startswith("penstock.")}
    above = (
        "penstock.store.sqlite",
        "penstock.store.postgres",
        "penstock.streams",
        "penstock.server",
        "penstock.service",
        "penstock.cli",
    )
    assert {name for name in inner if name.startswith(above)} == set()


def test_importing_and_defining_a_job_takes_less_than_twice_what_pydantic_does(fresh):
    ours, pydantics = zip(*((fresh()["ms"], fresh(PYDANTIC)["ms"]) for _ in range(7)), strict=True)
    print(f"import penstock and two job classes: {min(ours):.0f} ms; pydantic alone: {min(pydantics):.0f} ms")
    assert min(ours) < LIMIT * min(pydantics)


def test_the_package_alone_imports_nothing_of_pydantic(fresh):
    script = "import json, sys, penstock; print(json.dumps({'modules': sorted(sys.modules)}))"
    assert not any(name.startswith("pydantic") for name in fresh(script)["modules"])
