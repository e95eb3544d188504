"""A batch job performed in this process."""

import pytest

from penstock import BatchJob, after_batch, before_batch
from penstock.errors import JobIncomplete, StoreFull
from penstock.states import State

BAD: set = set()
SEEN: list = []


@pytest.fixture(autouse=True)
def _forgetful():
    BAD.clear()
    SEEN.clear()


class Doubling(BatchJob, kind="tests.batch.inline.Doubling"):
    slice_size = 3
    collect_output = True

    def perform(self, record):
        SEEN.append(self.record_number)
        if record in BAD:
            raise ValueError(f"bad {record}")
        return record * 2


def uploaded(records=range(1, 9)):
    job = Doubling()
    job.upload(records)
    return job


def test_all_slices_are_performed_and_the_job_is_completed_and_kept(configured_store, balanced):
    job = uploaded()
    assert job.perform_now() is job
    assert (job.state, job.percent_complete) == (State.COMPLETED, 100)
    assert list(job.output.records()) == [2, 4, 6, 8, 10, 12, 14, 16]
    assert list(range(1, 9)) == SEEN
    accounts = balanced(job)
    assert (accounts["processed"], accounts["outputs"]) == (8, {"main": 8})


def test_the_first_exception_comes_out_and_the_next_call_goes_on_at_its_record(configured_store, balanced):
    job = uploaded()
    BAD.update({2, 5})
    for bad in (2, 2, 5):
        with pytest.raises(ValueError, match=f"bad {bad}"):
            job.perform_now()
        assert balanced(job)["failed"] == 3 - (bad - 1) % 3
        if bad == 2 and SEEN.count(2) == 2:
            BAD.discard(2)
    BAD.clear()
    job.perform_now()
    assert SEEN == [1, 2, 2, 2, 3, 4, 5, 5, 6, 7, 8]
    assert list(job.output.records()) == [2, 4, 6, 8, 10, 12, 14, 16]
    assert balanced(job)["processed"] == 8


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_would_end_the_process_comes_out_too(configured_store, balanced, error):
    class Exits(BatchJob):
        collect_output = True

        def perform(self, record):
            if record in BAD:
                raise error
            return record

    job = Exits()
    job.upload([1, 2, 3])
    BAD.add(2)
    with pytest.raises(error):
        job.perform_now()
    assert balanced(job)["processed"] == 1
    BAD.clear()
    assert list(job.perform_now().output.records()) == [1, 2, 3]


def test_a_job_that_is_saved_is_for_servers(configured_store):
    job = uploaded().save()
    with pytest.raises(JobIncomplete):
        job.perform_now()


def test_a_job_without_records_is_refused(configured_store):
    with pytest.raises(JobIncomplete):
        Doubling().perform_now()


def test_no_record_is_lost_when_the_store_refuses_a_result(configured_store, monkeypatch, balanced):
    job = uploaded()

    def full(*_args, **_named):
        raise StoreFull("full")

    with monkeypatch.context() as patch:
        patch.setattr(configured_store, "settle_slices", full)
        with pytest.raises(StoreFull):
            job.perform_now()
    job.perform_now()
    assert list(job.output.records()) == [2, 4, 6, 8, 10, 12, 14, 16]
    assert balanced(job)["processed"] == 8


def test_before_batch_may_upload_and_after_batch_download_as_on_a_server(configured_store, tmp_path, balanced):
    class Nightly(Doubling):
        @before_batch
        def load(self):
            self.upload([1, 2, 3, 4])

        @after_batch
        def deliver(self):
            self.download(tmp_path / "out.txt")

    job = Nightly()
    job.perform_now()
    assert (tmp_path / "out.txt").read_text() == "2\n4\n6\n8\n"
    assert balanced(job)["processed"] == 4


@pytest.mark.parametrize("broken", ["before", "perform", "after"])
def test_hooks_run_once_though_the_work_is_done_in_several_calls(configured_store, balanced, broken):
    moments = []
    trouble = {broken}

    class Hooked(BatchJob):
        collect_output = True

        def stumble(self, where):
            if where in trouble:
                raise ValueError(where)

        @before_batch
        def load(self):
            self.upload([3, 4])
            moments.append("before")
            self.stumble("before")

        @after_batch
        def deliver(self):
            moments.append("after")
            self.stumble("after")

        def perform(self, record):
            if record == 4:
                self.stumble("perform")
            return record

    job = Hooked()
    job.upload([1, 2])
    with pytest.raises(ValueError, match=broken):
        job.perform_now()
    trouble.clear()
    job.perform_now()
    assert list(job.output.records()) == [1, 2, 3, 4]
    assert balanced(job)["uploaded"] == 4
    extra = [] if broken == "perform" else [broken]
    assert sorted(moments) == sorted(["after", "before", *extra])
