"""What `perform` writes to the store's database, and that its job is done: both or neither, and never twice."""

import sqlite3
import threading
import time
from contextlib import contextmanager

import pytest
from tests.callers import django_database, driver, engine_for, on_postgres
from tests.driver import Driver

import penstock
from penstock import BatchJob, Job, Retry, State, StoreTransaction, Transaction, events, field
from penstock.errors import ConfigurationError, StoreBusy, StoreUnavailable
from penstock.server.messages import JobDone, RunJob
from penstock.store import open_store
from penstock.testing import drain, temporary_store

TABLE = ""
"""Set by a fixture."""


class Paying(StoreTransaction, abstract=True):
    def pay(self, connection, number):
        connection.execute(f"INSERT INTO {TABLE} VALUES ({number})")


class Pay(Paying, Retry, Job, kind="store_transaction.Pay"):
    retry_limit = 0
    collect_output = True
    destroy_on_complete = False
    number: int = 1

    def perform(self, connection):
        self.pay(connection, self.number)
        if self.number < 0:
            raise ValueError(self.number)
        return self.number


class PayAll(Paying, BatchJob, kind="store_transaction.PayAll"):
    slice_size = 3
    collect_output = True
    destroy_on_complete = False
    refuses: list[int] = field(default_factory=list)

    def perform(self, number, connection):
        self.pay(connection, number)
        self.add_statistic("paid")
        if number in self.refuses:
            raise ValueError(number)
        return number * 10


class Site:
    """A store with a table of payments in its database, and a server."""

    def __init__(self, store):
        self.store = store
        self.server = Driver(store)

    def paid(self):
        with driver(self.store.url) as caller:
            return sorted(number for (number,) in caller.execute(f"SELECT number FROM {TABLE}").fetchall())


@pytest.fixture(params=["sqlite_file", "postgres"])
def site(request, monkeypatch):
    store = request.getfixturevalue(request.param)
    schema = store.url.partition("schema=")[2]
    monkeypatch.setitem(globals(), "TABLE", f"{schema}.payments" if schema else "payments")
    penstock.configure(store=store.url)
    with store.lending() as connection:
        connection.execute(f"CREATE TABLE {TABLE} (number integer)")
    return Site(store)


def uploaded(numbers, cls=PayAll, **values):
    job = cls(**values)
    job.upload(list(numbers))
    return job.save()


class TestRegular:
    def test_the_effect_and_the_end_of_the_job_are_stored_together(self, site):
        job = Pay.create()
        reply = site.server.perform(site.server.take())
        # Before the dispatcher knows of it.
        assert (reply.stored, job.reload().state, job.result, site.paid()) == (True, State.COMPLETED, 1, [1])
        site.server.run()
        assert job.reload().state is State.COMPLETED

    def test_one_that_is_destroyed_on_completion_is_gone_with_the_commit(self, site):
        job = Pay.create(destroy_on_complete=True, collect_output=False)
        site.server.perform(site.server.take())
        assert (site.store.job(job.id), site.paid()) == (None, [1])

    def test_what_raises_leaves_nothing_and_is_tried_again(self, site):
        job = Pay.create(number=-1, retry_limit=1)
        site.server.run()
        assert (job.reload().state, job.failure_count, site.paid()) == (State.QUEUED, 1, [])
        job.update(number=2, run_at=None)
        site.server.run()
        assert (job.reload().state, site.paid()) == (State.COMPLETED, [2])

    def test_a_result_that_cannot_be_stored_leaves_nothing(self, site):
        class Odd(Pay):
            def perform(self, connection):
                self.pay(connection, 1)
                return object()

        job = Odd.create()
        site.server.run()
        assert (job.reload().state, site.paid()) == (State.FAILED, [])

    def test_a_job_that_moves_itself_keeps_what_it_wrote(self, site):
        class Giving(Pay):
            def perform(self, connection):
                self.pay(connection, self.number)
                self.abort() if self.number == 1 else self.snooze(60)

        aborted, put_off = Giving.create(number=1), Giving.create(number=2)
        site.server.run()
        assert (aborted.reload().state, put_off.reload().state) == (State.ABORTED, State.QUEUED)
        assert put_off.run_at is not None
        assert site.paid() == [1, 2]

    def test_jobs_saved_inside_belong_to_the_transaction(self, site):
        class Next(Job):
            def perform(self):
                pass

        class Leading(Pay):
            def perform(self, connection):
                Next.create()
                Next.create(connection=connection)
                return super().perform(connection)

        Leading.create(number=-1)
        site.server.run()
        assert Next.query.count() == 0
        Leading.create()
        site.server.perform(site.server.take())
        assert Next.query.count() == 2

    def test_hooks_before_the_end_are_inside_and_those_after_the_move_run_once_it_is_committed(self, site):
        seen = []

        class Hooked(Pay):
            def after_perform(self):
                seen.append(("after_perform", site.paid()))

            def before_complete(self):
                seen.append(("before_complete", site.paid()))

            def after_complete(self):
                seen.append(("after_complete", site.paid()))

        Hooked.create()
        site.server.run()
        assert seen == [("after_perform", []), ("before_complete", []), ("after_complete", [1])]

    def test_of_one_that_somebody_moved_on_nothing_stays(self, site):
        job = Pay.create()
        task = site.server.take()
        Pay.query.where(id=job.id).first().abort()
        reply = site.server.perform(task)
        site.server.run()
        assert (reply.stored, job.reload().state, site.paid()) == (False, State.ABORTED, [])

    def test_a_worker_that_dies_between_commit_and_report_has_done_it_once(self, site):
        job = Pay.create()
        task = site.server.take()
        site.server._performer.run(task)
        site.server.crash(task)
        site.server.run()
        assert (job.reload().state, job.row.crash_count, site.paid()) == (State.COMPLETED, 0, [1])

    def test_a_perform_that_commits_itself_fails(self, site):
        class Ending(Pay):
            def perform(self, connection):
                self.pay(connection, 1)
                connection.commit()
                self.pay(connection, 2)

        job = Ending.create()
        site.server.run()
        assert job.reload().state is State.FAILED
        assert "the transaction was ended before its time" in job.exception.summary
        assert site.paid() in ([1], [1, 2])

    def test_a_job_that_took_the_unique_key_of_another_fails_and_leaves_nothing(self, site):
        class One(Pay):
            unique_by = ("number",)
            name: str = ""

            def perform(self, connection):
                self.pay(connection, self.number)
                self.number = 7
                self.snooze(60)

        One.create(number=7, run_at="2100-01-01T00:00:00Z")
        job = One.create(number=1)
        site.server.run()
        assert (job.reload().state, site.paid()) == (State.FAILED, [])
        assert "the same unique key" in job.exception.summary

    def test_what_follows_its_end_follows_limits_are_free_and_events_told(self, site):
        class Limited(Pay):
            throttle_running_jobs = 1

        told = []
        with events.subscribed(events.JobCompleted, told.append):
            jobs = [Limited.create(number=n) for n in (1, 2, 3)]
            site.server.run()
        assert [event.job_id for event in told] == [job.id for job in jobs]
        assert site.paid() == [1, 2, 3]

    def test_a_throttle_that_says_no_opens_no_transaction(self, site):
        class Held(Pay):
            @penstock.throttle("not now")
            def not_now(self):
                return True

            def transaction(self):
                raise AssertionError

        job = Held.create()
        site.server.run()
        assert (job.reload().state, job.throttled_by) == (State.QUEUED, "not now")


class TestTheCommit:
    def test_a_store_that_has_no_time_for_it_puts_the_job_off(self, site):
        class Busy(Pay):
            @contextmanager
            def transaction(self):
                raise StoreBusy("somebody holds it")
                yield

        job = Busy.create()
        site.server.run()
        assert (job.reload().state, job.throttled_by, job.failure_count) == (State.QUEUED, "somebody holds it", 0)

    @pytest.mark.parametrize("was_committed", [True, False])
    def test_a_commit_without_an_answer_is_settled_by_the_attempt(self, site, was_committed):
        class Lost(Pay):
            @contextmanager
            def transaction(self):
                with super().transaction() as connection:
                    yield connection
                    if not was_committed and not lost:
                        lost.append(1)
                        raise StoreUnavailable("no answer")
                if was_committed:
                    raise StoreUnavailable("no answer")

        lost = []
        job = Lost.create()
        site.server.run()
        if not was_committed:
            assert (job.reload().state, job.throttled_by, site.paid()) == (State.QUEUED, "no answer", [])
            job.run_now()
            site.server.run()
        assert (job.reload().state, job.failure_count, site.paid()) == (State.COMPLETED, 0, [1])

    @pytest.mark.parametrize("moment", ["in perform", "before the commit"])
    def test_a_connection_that_is_cut_leaves_nothing_and_the_job_is_done_later(self, site, moment):
        if not on_postgres(site.store.url):
            pytest.skip("nobody can cut the connection to a file")
        cuts = []

        def cut(connection):
            if not cuts:
                cuts.append(1)
                with driver(site.store.url) as other:
                    other.execute(f"SELECT pg_terminate_backend({connection.info.backend_pid}, 10000)")

        class Cut(Pay):
            @contextmanager
            def transaction(self):
                with super().transaction() as connection:
                    yield connection
                    cut(connection)

            def perform(self, connection):
                self.pay(connection, self.number)
                if moment == "in perform":
                    cut(connection)
                return 1

        job = Cut.create()
        site.server.run()
        assert (job.reload().state, job.failure_count, site.paid()) == (State.QUEUED, 0, [])
        assert "the store cannot be reached" in job.throttled_by or "ended" in job.throttled_by
        job.run_now()
        site.server.run()
        assert (job.reload().state, site.paid()) == (State.COMPLETED, [1])

    def test_a_commit_that_the_database_refuses_fails_the_job(self, site):
        with site.store.lending() as connection:
            connection.execute(f"CREATE TABLE {TABLE}_of (number integer PRIMARY KEY)")
            target = f"{TABLE}_of (number) DEFERRABLE INITIALLY DEFERRED"
            connection.execute(f"CREATE TABLE {TABLE}_lines (number integer REFERENCES {target})")

        class Odd(Pay):
            @contextmanager
            def transaction(self):
                if not on_postgres(site.store.url):
                    site.store.connections.session().raw.execute("PRAGMA foreign_keys = on")
                with super().transaction() as connection:
                    yield connection

            def perform(self, connection):
                self.pay(connection, 1)
                connection.execute(f"INSERT INTO {TABLE}_lines VALUES (5)")

        job = Odd.create()
        site.server.run()
        assert (job.reload().state, site.paid()) == (State.FAILED, [])
        assert "oreign" in job.exception.message or "FOREIGN" in job.exception.message

    def test_one_that_keeps_the_only_writer_waiting_is_stopped(self, site, monkeypatch):
        if on_postgres(site.store.url):
            assert site.store.longest_hold is None
            pytest.skip("writers do not wait for each other")
        assert site.store.longest_hold == 10
        monkeypatch.setattr(site.store, "longest_hold", 0.05)

        class Endless(Pay):
            def perform(self, connection):
                self.pay(connection, 1)
                while True:
                    pass

        job = Endless.create()
        site.server.run()
        assert (job.reload().state, site.paid()) == (State.FAILED, [])
        assert "it kept all others from writing for more than 0.05 s" in job.exception.message

    def test_to_wait_for_the_only_writer_takes_nothing_of_the_timeout(self, site):
        if on_postgres(site.store.url):
            pytest.skip("writers do not wait for each other")
        waiting = threading.Event()

        def hold():
            with site.store.reserving():
                waiting.set()
                time.sleep(0.5)

        for make in (lambda: Pay.create(timeout=0.2), lambda: uploaded([2, 3], timeout=0.2)):
            job = make()
            task = site.server.take()
            waiting.clear()
            holder = threading.Thread(target=hold)
            holder.start()
            waiting.wait(10)
            assert site.server.perform(task).stored is True
            holder.join()
            site.server.run()
            assert job.reload().state is State.COMPLETED
        assert site.paid() == [1, 2, 3]

    def test_a_timeout_leaves_nothing(self, site):
        class Endless(Pay):
            def perform(self, connection):
                self.pay(connection, 1)
                while True:
                    pass

        job = Endless.create(timeout=0.05)
        site.server.run()
        assert (job.reload().state, site.paid()) == (State.FAILED, [])
        assert "it took longer than its timeout of 0.05 s" in job.exception.message


class TestBatch:
    def test_each_slice_is_stored_with_its_effects(self, site):
        job = uploaded(range(7))
        reply = site.server.perform(site.server.take())
        assert (reply.stored, reply.outputs, site.paid()) == (True, [], [0, 1, 2])
        assert site.store.accounts(job.id).processed == 3
        site.server.run()
        assert (job.reload().state, site.paid(), job.statistics) == (State.COMPLETED, list(range(7)), {"paid": 7})
        assert [value for part in job.output for value in part] == [n * 10 for n in range(7)]

    def test_of_a_slice_that_fails_nothing_stays_and_all_of_it_is_performed_again(self, site):
        job = uploaded(range(6), refuses=[4])
        site.server.run()
        assert (job.reload().state, site.paid(), job.statistics) == (State.FAILED, [0, 1, 2], {"paid": 3})
        (failed,) = job.each_failed_record()
        assert failed.record_number == 5
        job.update(refuses=[])
        job.retry()
        site.server.run()
        assert (job.reload().state, site.paid(), job.statistics) == (State.COMPLETED, list(range(6)), {"paid": 6})
        assert [value for part in job.output for value in part] == [n * 10 for n in range(6)]

    def test_of_a_slice_that_moves_its_job_nothing_stays(self, site):
        class Pausing(PayAll):
            def perform(self, number, connection):
                if number == 4 and self.refuses:
                    self.pause()
                return super().perform(number, connection)

        job = uploaded(range(6), cls=Pausing, refuses=[99])
        site.server.run()
        assert (job.reload().state, site.paid()) == (State.PAUSED, [0, 1, 2])
        job.update(refuses=[])
        job.resume()
        site.server.run()
        assert (job.reload().state, site.paid()) == (State.COMPLETED, list(range(6)))

    def test_a_slice_that_was_taken_over_meanwhile_leaves_nothing(self, site):
        job = uploaded(range(3))
        task = site.server.take()
        site.server.die()
        reply = site.server.perform(task)
        assert (reply.stored, site.paid()) == (False, [])
        site.server.run()
        assert (job.reload().state, site.paid()) == (State.COMPLETED, [0, 1, 2])

    def test_perform_slice_is_given_the_connection_too(self, site):
        class Together(Paying, BatchJob):
            collect_output = True
            destroy_on_complete = False

            def perform_slice(self, records, connection):
                for number in records:
                    self.pay(connection, number)
                return records

        job = uploaded(range(5), cls=Together)
        site.server.run()
        assert (job.reload().state, site.paid()) == (State.COMPLETED, list(range(5)))

    def test_perform_now_commits_slice_by_slice(self, site):
        job = PayAll(refuses=[4])
        job.upload(list(range(7)))
        with pytest.raises(ValueError, match="4"):
            job.perform_now()
        assert site.paid() == [0, 1, 2]
        job.refuses = []
        job.perform_now()
        assert (job.state, site.paid()) == (State.COMPLETED, list(range(7)))


class TestOwnConnections:
    def test_a_session_of_sqlalchemy(self, site):
        import sqlalchemy
        from sqlalchemy.orm import Session

        class WithSession(Pay):
            @contextmanager
            def transaction(self):
                with Session(engine_for(site.store.url)) as session, session.begin():
                    yield session

            def pay(self, session, number):
                session.execute(sqlalchemy.text(f"INSERT INTO {TABLE} VALUES (:number)"), {"number": number})

        done, failed = WithSession.create(), WithSession.create(number=-1)
        site.server.run()
        assert (done.reload().state, failed.reload().state, site.paid()) == (State.COMPLETED, State.FAILED, [1])

    def test_a_connection_of_django(self, site):
        from django.db import transaction

        class WithDjango(Pay):
            @contextmanager
            def transaction(self):
                with transaction.atomic(using="caller"):
                    yield connection

            def pay(self, connection, number):
                with connection.cursor() as cursor:
                    cursor.execute(f"INSERT INTO {TABLE} VALUES (%s)", [number])

        connection = django_database(site.store.url)
        done, failed = WithDjango.create(), WithDjango.create(number=-1)
        site.server.run()
        connection.close()
        assert (done.reload().state, failed.reload().state, site.paid()) == (State.COMPLETED, State.FAILED, [1])

    def test_one_to_another_database_fails_the_job(self, site, tmp_path):
        class Elsewhere(Pay):
            @contextmanager
            def transaction(self):
                with sqlite3.connect(tmp_path / "other.db") as connection:
                    yield connection
                connection.close()

        job = Elsewhere.create()
        site.server.run()
        assert job.reload().state is State.FAILED
        assert "WrongConnection" in job.exception.summary

    def test_what_is_no_context_manager_fails_the_job(self, site):
        class Plain(Pay):
            def transaction(self):
                yield 1

        job = Plain.create()
        site.server.run()
        assert "Plain.transaction is no context manager: decorate it @contextmanager" in job.reload().exception.summary


class TestHere:
    def test_perform_now_commits_at_its_end_and_rolls_back_when_it_raises(self, site):
        assert Pay().perform_now() == 1
        with pytest.raises(ValueError, match="-1"):
            Pay(number=-1).perform_now()
        assert (site.paid(), Pay.query.count()) == ([1], 0)

    def test_called_by_hand_perform_takes_the_connection_that_is_given(self, site):
        with site.store.lending() as connection:
            assert Pay().perform(connection) == 1
            assert PayAll().perform(2, connection=connection) == 20
        assert site.paid() == [1, 2]
        with pytest.raises(TypeError, match=r"Pay\.perform needs a connection: give one, or call perform_now"):
            Pay().perform()

    def test_in_a_test_with_a_store_in_memory(self, monkeypatch):
        monkeypatch.setitem(globals(), "TABLE", "payments")
        with temporary_store() as store:
            with store.lending() as connection:
                connection.execute("CREATE TABLE payments (number integer)")
            Pay.create()
            uploaded([2, 3])
            assert drain().completed == 2
            with store.lending() as connection:
                assert connection.execute("SELECT count(*) FROM payments").fetchone() == (3,)


class TestClassesThatCannotBe:
    def refused(self, bases, words, **body):
        with pytest.raises(ConfigurationError, match=words):
            type(Job)("Wrong", bases, {"__module__": __name__, "__qualname__": "Wrong", **body})

    def test_perform_must_take_the_connection_last(self):
        self.refused(
            (StoreTransaction, Job), r"given the connection last: def perform\(self, connection\)", perform=no_one
        )
        words = r"given the connection last: def perform\(self, record, connection\)"
        self.refused((StoreTransaction, BatchJob), words, perform=one)
        words = r"given the connection last: def perform_slice\(self, records, connection\)"
        self.refused((StoreTransaction, BatchJob), words, perform_slice=one)

    def test_perform_cannot_be_async(self):
        async def perform(self, connection):
            pass

        self.refused((StoreTransaction, Job), "is async, which cannot go with StoreTransaction", perform=perform)

    def test_it_goes_with_no_other_transaction(self):
        self.refused((StoreTransaction, Transaction), "cannot go with Transaction: there is one commit", perform=one)

    def test_it_goes_before_batch_job(self):
        self.refused((BatchJob, StoreTransaction), "goes before BatchJob among the base classes", perform=two)

    def test_records_cannot_be_rejected(self):
        words = "cannot go with"
        self.refused((StoreTransaction, BatchJob), words, perform=two, on_record_error="reject")

    def test_no_field_is_named_connection(self):
        body = {"__module__": __name__, "__annotations__": {"connection": str}}
        with pytest.raises(TypeError, match="connection: a field cannot have this name, under which create"):
            type(Job)("Wrong", (Job,), body)


def no_one(self): ...


def one(self, connection): ...


def two(self, record, connection): ...


def test_a_task_carries_what_a_slice_is_settled_by(sqlite_file):
    penstock.configure(store=sqlite_file.url)
    server = Driver(open_store(sqlite_file.url))
    uploaded([1, 2])
    task = server.take()
    assert (task.slice_id > 0, task.attempt, task.record_count) == (True, 1, 2)
    assert not isinstance(task, RunJob)
    assert JobDone(1, 0.0, None, None, {}, {}).stored is None
