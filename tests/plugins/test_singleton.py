"""One job of a kind at a time."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from penstock import BatchJob, Job, Singleton, State
from penstock.errors import DuplicateJob

pytestmark = pytest.mark.usefixtures("configured_store")


class Only(Singleton, kind="singleton.Only"):
    destroy_on_complete = False
    customer: str = "ada"

    def perform(self):
        if self.customer == "bad":
            raise ValueError


def test_a_second_is_refused_whatever_its_fields_and_the_first_is_named():
    first = Only.create()
    with pytest.raises(DuplicateJob, match=f"there is a singleton.Only job already, {first.id}"):
        Only.create(customer="grace")
    assert Only.query.count() == 1


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.PAUSED])
def test_one_that_waits_runs_or_is_paused_is_in_the_way(server, state):
    job = Only.create()
    if state is State.PAUSED:
        job.pause()
    if state is State.RUNNING:
        assert server.take() is not None
    assert job.reload().state is state
    with pytest.raises(DuplicateJob):
        Only.create()


@pytest.mark.parametrize("how", ["complete", "fail", "abort", "destroy", "break"])
def test_one_that_has_ended_is_not(server, how):
    job = Only.create(customer="bad" if how == "break" else "ada")
    server.run() if how in ("complete", "break") else getattr(job, how)()
    Only.create()


def test_a_failed_one_cannot_come_back_while_another_waits():
    failed = Only.create().fail("x")
    second = Only.create()
    with pytest.raises(DuplicateJob, match="cannot retry"):
        failed.retry()
    second.abort()
    assert failed.retry().state is State.QUEUED


def test_of_many_made_at_once_exactly_one_is_stored_and_the_others_are_told_the_same():
    def make(number):
        try:
            return Only.create(customer=f"c{number}")
        except DuplicateJob as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(64)))
    (job,) = [found for found in made if isinstance(found, Job)]
    told = {str(error) for error in made if isinstance(error, Exception)}
    assert told == {f"there is a singleton.Only job already, {job.id}: only one may wait or run at a time"}
    assert Only.query.count() == 1


def test_subclasses_have_one_each():
    class Other(Only):
        pass

    Only.create()
    Other.create()
    with pytest.raises(DuplicateJob):
        Other.create()


def test_a_class_may_be_unique_by_its_fields_instead():
    class PerCustomer(Only):
        unique_by = ("customer",)

    PerCustomer.create(customer="ada")
    PerCustomer.create(customer="grace")
    with pytest.raises(DuplicateJob, match="customer='ada'"):
        PerCustomer.create(customer="ada")


def test_a_batch_job_is_in_the_way_from_its_upload_on(server):
    class Lines(Singleton, BatchJob):
        destroy_on_complete = False

        def perform(self, record):
            return record

    first = Lines()
    first.upload(["a"])
    first.save()
    second = Lines()
    with pytest.raises(DuplicateJob):
        second.upload(["a"])
    server.run()
    second = Lines()
    second.upload(["a"])
    second.save()
    assert Lines.query.counts() == {State.COMPLETED: 1, State.QUEUED: 1}


def test_a_worker_that_dies_leaves_it_in_the_way(server):
    Only.create()
    server.crash(server.take())
    with pytest.raises(DuplicateJob):
        Only.create()
