"""Rejects and sealed jobs with real servers: resubmitted records outlive kill -9, what is sealed is found nowhere."""

import csv
import os
import signal
from collections.abc import Iterator

import pytest
from tests.process.lab import Lab, wait_for
from tests.process.yard import Yard, open_yard
from tests.tables import contents

from penstock.keyring import Keyring

pytestmark = pytest.mark.process

JOBS = """
    class Strict(BatchJob):
        input_category = InputCategory(format="csv")
        output_categories = [OutputCategory(format="csv", columns=["n", "text"])]
        slice_size = 20
        on_record_error = "reject"
        destroy_on_complete = False

        def perform(self, row):
            number = int(row["n"])
            if told("slow") and self.record_number % 7 == 0:
                note("at", self.record_number)
                wait_until_told("go")
            return {"n": number * 2, "text": row["text"]}

    class Sealed(BatchJob):
        slice_size = 5
        encrypt = ENCRYPT
        collect_output = True
        destroy_on_complete = False
        on_record_error = "reject"

        def perform(self, line):
            sys.stderr.write(f"I see {line}\\n")
            sys.stderr.flush()
            if "dies" in line and not told("go"):
                os.kill(os.getpid(), signal.SIGKILL)
            if "bad" in line:
                raise ValueError(f"cannot take {line}")
            return line.upper()
"""


@pytest.fixture
def yard(lab: Lab) -> Iterator[Yard]:
    with open_yard(lab, JOBS.replace("ENCRYPT", "False")) as made:
        yield made


def test_records_that_come_back_are_neither_lost_nor_doubled_whoever_is_killed(yard: Yard) -> None:
    count, bad = 400, set(range(3, 400, 5))
    with yard.lab.path("in.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["n", "text"])
        writer.writerows([f"x{n}" if n in bad else n, f"text {n}, {n}"] for n in range(1, count + 1))
    job_id = yard.python("job = Strict(); job.upload('in.csv'); job.save(); print(job.id)")
    server = yard.serve()
    (job_uuid,) = [row["id"] for row in yard.lab.jobs()]
    assert str(job_uuid) == job_id
    wait_for(lambda: yard.lab.show(job_id)["state"] == "completed", "the first pass")
    assert yard.lab.check(job_id)["rejected"] == len(bad)

    yard.tell("slow")
    find = "job = Strict.query.where(id=sys.argv[1]).first()"
    resubmit = f"""{find}
job.download("rejects.csv", "rejects")
rows = list(__import__("csv").DictReader(open("rejects.csv", newline="")))
print(job.resubmit({{int(row["record_number"]): row["record"].lstrip("x") for row in rows}}))
"""
    assert yard.python(resubmit, job_id) == str(len(bad))
    yard.await_notes("at")
    os.kill(yard.worker(server), signal.SIGKILL)
    yard.await_notes("at", 2)
    yard.kill(server)
    yard.tell("go")
    yard.serve()
    wait_for(lambda: yard.lab.show(job_id)["state"] == "completed", "the second pass")
    checked = yard.lab.check(job_id)
    assert (checked["rejected"], checked["processed"], checked["outputs"]) == (0, count, {"main": count})
    yard.python(f"{find}\njob.download('out.csv')", job_id)
    with yard.lab.path("out.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["n", "text"], *([str(n * 2), f"text {n}, {n}"] for n in range(1, count + 1))]


def test_a_run_keeps_its_job_where_records_were_rejected(lab: Lab) -> None:
    lab.module(
        "jobs",
        """
        from penstock import BatchJob

        class Numbers(BatchJob):
            on_record_error = "reject"
            def perform(self, line):
                return str(int(line) * 2)
        """,
    )
    lab.path("in.txt").write_text("1\nx\n3\n")
    ended = lab.run("jobs:Numbers", "--input", "in.txt", "--output", "out.txt")
    assert ended.code == 0, ended.err
    assert lab.path("out.txt").read_text() == "2\n6\n"
    (job,) = lab.jobs()
    assert lab.check(job["id"])["outputs"] == {"main": 2, "rejects": 1}
    lab.path("in.txt").write_text("1\n2\n3\n")
    assert lab.run("jobs:Numbers", "--input", "in.txt", "--output", "out.txt").code == 0
    assert [it["id"] for it in lab.jobs()] == [job["id"]]


@pytest.mark.parametrize("sealed", [True, False])
def test_what_is_sealed_is_found_in_no_file_of_the_store_though_a_worker_dies(yard: Yard, sealed: bool) -> None:
    mark = "xyzzy-plugh-4711"
    yard.module(JOBS.replace("ENCRYPT", str(sealed)))
    Keyring.generate().save(yard.lab.path("keys.toml"))
    lines = [f"{mark} {n}{' bad' if n in (3, 17) else ''}{' dies' if n == 8 else ''}" for n in range(1, 31)]
    configure = "import penstock; penstock.configure(keyring='keys.toml')"
    with yard.lab.path("jobs.py").open("a") as file:
        file.write(f"\n{configure}\n")
    source = f"job = Sealed(); job.upload({lines!r}); job.save(); print(job.id)"
    job_id = yard.python(source)
    yard.serve(workers=1)
    wait_for(lambda: yard.lab.show(job_id)["state"] == "failed", "the crashes")

    def holds() -> bool:
        return mark.encode() in contents(yard.store).lower()

    assert holds() is not sealed
    yard.tell("go")
    yard.python("Sealed.query.where(id=sys.argv[1]).first().retry()", job_id)
    wait_for(lambda: yard.lab.show(job_id)["state"] == "completed", "the end")
    assert holds() is not sealed
    assert yard.lab.check(job_id)["outputs"] == {"main": 28, "rejects": 2}
