"""Servers whose slices are in a store of their own: killed, gone on with, and of one mind about where that is."""

import pytest
from tests.process.lab import Lab, wait_for
from tests.process.yard import open_yard

from penstock.states import State

pytestmark = pytest.mark.process

JOBS = """
    class Turned(BatchJob):
        slice_size = 10
        collect_output = True
        destroy_on_complete = False

        def perform(self, line):
            note("done", self.record_number)
            time.sleep(0.001)
            return line[::-1]

    def make():
        job = Turned()
        job.upload("in.txt")
        job.save()
        print(job.id)
"""
SLICES = "sqlite:///slices.db"


@pytest.fixture
def lines(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    plain = Lab.environment.fget
    with_slices = property(lambda lab: {**plain(lab), "PENSTOCK_SLICES_STORE": SLICES})
    monkeypatch.setattr(Lab, "environment", with_slices)
    return lab.lines("in.txt", 800)


def test_a_server_that_is_killed_leaves_its_slices_to_the_next(lab, lines):
    with open_yard(lab, JOBS) as yard:
        (job_id,) = map(str, yard.python("make()").split())
        for count in (100, 400):
            server = yard.serve()
            yard.await_notes("done", count)
            yard.kill(server)
        yard.serve()
        yard.serve()
        wait_for(lambda: lab.show(job_id)["state"] == State.COMPLETED, "the job to be completed")
        lab.check(job_id)
        assert lab.run("download", job_id, "--output", "out.txt", command="jobs").code == 0
        assert lab.path("out.txt").read_text() == "".join(f"{line[::-1]}\n" for line in lines)
        checked = lab.run("check", command="store")
        assert checked.code == 0, checked.out + checked.err.encode()


def test_a_server_with_another_second_store_or_none_does_not_start(lab, lines):
    with open_yard(lab, JOBS) as yard:
        yard.python("make()")
        for other in ("sqlite:///other.db", ""):
            refused = lab.run("--app", "jobs", command="server", env={"PENSTOCK_SLICES_STORE": other})
            assert refused.code == 2
            assert "has its slices in" in refused.told[0]


def test_a_run_that_is_killed_is_resumed(lab, lines):
    with open_yard(lab, JOBS) as yard:
        run = lab.start("jobs:Turned", "--input", "in.txt", "--output", "out.txt")
        yard.await_notes("done", 300)
        run.kill_group()
        run.process.wait()
        resumed = lab.run("--resume", "--app", "jobs")
        assert resumed.code == 0, resumed.err
        assert lab.path("out.txt").read_text() == "".join(f"{line[::-1]}\n" for line in lines)
