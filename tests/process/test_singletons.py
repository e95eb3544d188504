"""Many processes create the same job at once: exactly one succeeds, and all others get the same clear error."""

import json
from collections import Counter
from typing import Any

import pytest
from tests.process.lab import Lab

pytestmark = pytest.mark.process

COUNT = 100
JOBS = """
    from typing import ClassVar
    from penstock import Job
    from penstock.plugins.singleton import Singleton

    class Nightly(Singleton):
        def perform(self):
            pass

    class Import(Job):
        unique_by: ClassVar = ["customer"]
        customer: str
        number: int = 0
        def perform(self):
            pass
"""
TOGETHER = """
    import json, os, sys
    import singles
    from penstock.errors import PenstockError
    from penstock.store import close_stores

    gate, opened = os.pipe()
    told, tell = os.pipe()

    def act(number):
        os.close(opened)
        os.read(gate, 1)  # Returns when nobody holds the other end any more.
        try:
            job = eval(sys.argv[2], {**vars(singles), "number": number})
            said = {"id": str(job.id), "error": None}
        except PenstockError as error:
            said = {"id": None, "error": f"{type(error).__name__}: {error}"}
        close_stores()
        os.write(tell, json.dumps(said).encode() + b"\\n")

    children = []
    for number in range(int(sys.argv[1])):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                act(number)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.close(gate), os.close(opened), os.close(tell)
    with os.fdopen(told) as lines:
        sys.stdout.write(lines.read())
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
"""Starts processes that wait at a gate and then all evaluate an expression; prints what each of them got."""


@pytest.fixture
def singles(lab: Lab) -> Lab:
    lab.module("singles", JOBS)
    return lab


def together(lab: Lab, expression: str, count: int = COUNT) -> list[dict[str, Any]]:
    lines = lab.python(TOGETHER, str(count), expression).decode().splitlines()
    assert len(lines) == count
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("store", ["there", "made by them"])
def test_of_a_hundred_processes_that_create_one_singleton_one_succeeds(singles: Lab, store: str) -> None:
    if store == "there":
        singles.python("from penstock.store import current_store; current_store()")
    said = together(singles, "Nightly.create()")
    (made,) = [one["id"] for one in said if one["id"]]
    errors = Counter(one["error"] for one in said if one["error"])
    assert errors == {
        f"DuplicateJob: there is a Nightly job already, {made}: only one may wait or run at a time": COUNT - 1
    }
    assert [job["id"] for job in singles.jobs()] == [made]


def test_for_each_value_of_the_unique_fields_one_succeeds(singles: Lab) -> None:
    said = together(singles, "Import.create(customer=f'c{number % 10}', number=number)")
    assert sum(one["id"] is not None for one in said) == 10
    errors = Counter(one["error"].partition(" already, ")[0] for one in said if one["error"])
    assert errors == {f"DuplicateJob: there is a Import job with customer='c{n}'": 9 for n in range(10)}
    assert len(singles.jobs()) == 10


def test_a_hundred_processes_that_ensure_one_singleton_all_get_the_same(singles: Lab) -> None:
    said = together(singles, "Nightly.ensure()")
    assert {one["error"] for one in said} == {None}
    (made,) = {one["id"] for one in said}
    assert [job["id"] for job in singles.jobs()] == [made]


def test_many_that_come_back_at_once_beside_each_other_let_one_in(singles: Lab) -> None:
    """Of twenty jobs of one key that have failed, one can be tried again at a time."""
    singles.python("""
        import singles
        for _ in range(20):
            singles.Nightly.create().fail("no")
    """)
    said = together(singles, "list(Nightly.query)[number].retry()", 20)
    assert sum(one["id"] is not None for one in said) == 1
    errors = {one["error"].replace(one["error"].split()[4], "ID") for one in said if one["error"]}
    assert errors == {
        "DuplicateJob: cannot retry job ID another Nightly with the same unique key is queued, running or paused"
    }
    assert Counter(job["state"] for job in singles.jobs()) == {"queued": 1, "failed": 19}
