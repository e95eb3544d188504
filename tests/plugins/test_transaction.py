"""What `perform` writes to the application's own database: all of it or none, and never twice."""

import sqlite3
from contextlib import contextmanager

import pytest

from penstock import BatchJob, Job, Retry, State, Transaction
from penstock.errors import StoreFull
from penstock.records import decode_records

LOG: list = []
BROKEN: set = set()


class Application:
    """A database of the application's: a file, and a connection to it."""

    def __init__(self, path):
        self.path = path
        self.connection = sqlite3.connect(path)
        self.connection.execute("CREATE TABLE sent (name TEXT)")
        self.connection.commit()

    def send(self, name):
        self.connection.execute("INSERT INTO sent VALUES (?)", (name,))

    def sent(self):
        """Return what is committed, as another connection sees it."""
        other = sqlite3.connect(self.path)
        try:
            return [name for (name,) in other.execute("SELECT name FROM sent ORDER BY rowid")]
        finally:
            other.close()


class SessionLike:
    """As an SQLAlchemy session: begins by itself, has commit, rollback and close, and is a context manager of another
    meaning: leaving it closes without a commit."""

    def __init__(self, connection):
        self.connection = connection

    def commit(self):
        LOG.append("commit")
        self.connection.commit()

    def rollback(self):
        LOG.append("rollback")
        self.connection.rollback()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.rollback()


@pytest.fixture(autouse=True)
def application(tmp_path, configured_store, monkeypatch):
    LOG.clear()
    BROKEN.clear()
    made = Application(tmp_path / "application.db")
    monkeypatch.setitem(globals(), "APP", made)
    yield made
    made.connection.close()


APP: Application = None
"""Set by a fixture."""


@contextmanager
def atomic():
    """As Django's: commits at its end, rolls back when something is raised inside."""
    try:
        yield
    except BaseException:
        APP.connection.rollback()
        LOG.append("rollback")
        raise
    APP.connection.commit()
    LOG.append("commit")


TRANSACTIONS = {
    "DBAPI connection": lambda self: APP.connection,
    "context manager": lambda self: atomic(),
    "session": lambda self: SessionLike(APP.connection),
}


@pytest.fixture(params=TRANSACTIONS)
def transaction(request):
    return TRANSACTIONS[request.param]


class Send(Transaction, kind="transaction.Send"):
    destroy_on_complete = False
    name: str = "ada"

    def transaction(self):
        return APP.connection

    def perform(self):
        APP.send(self.name)
        if self.name in BROKEN:
            raise ValueError(self.name)
        if "exit" in BROKEN:
            raise SystemExit(1)
        return self.name


class SendLines(Transaction, BatchJob, kind="transaction.SendLines"):
    destroy_on_complete = False
    collect_output = True
    slice_size = 3

    def transaction(self):
        return APP.connection

    def perform(self, record):
        LOG.append(record)
        APP.send(record)
        if record in BROKEN:
            raise ValueError(record)
        return f"sent {record}"


def variant(cls, transaction, **body):
    return type(Job)("Variant", (cls,), {"__module__": __name__, "transaction": transaction, **body})


def stored(cls, records, **values):
    job = cls(**values)
    job.upload(list(records))
    return job.save()


class TestRegular:
    def test_what_it_wrote_is_committed_when_it_returns(self, server, application, transaction):
        job = variant(Send, transaction).create()
        server.run()
        assert (job.reload().state, application.sent()) == (State.COMPLETED, ["ada"])
        assert LOG in ([], ["commit"])

    def test_what_it_wrote_is_rolled_back_when_it_raises(self, server, application, transaction):
        BROKEN.add("ada")
        job = variant(Send, transaction).create()
        server.run()
        assert (job.reload().state, application.sent()) == (State.FAILED, [])
        assert LOG in ([], ["rollback"])
        BROKEN.clear()
        job.retry()
        server.run()
        assert application.sent() == ["ada"]

    def test_what_would_end_the_process_rolls_back_too(self, server, application, transaction):
        BROKEN.add("exit")
        job = variant(Send, transaction).create()
        server.run()
        assert (job.reload().state, application.sent()) == (State.FAILED, [])

    def test_hooks_around_perform_are_inside_or_outside_by_their_place(self, server, application):
        class Hooked(Send):
            def before_perform(self):
                LOG.append(("before", application.connection.in_transaction))

            def after_perform(self):
                LOG.append(("after", application.sent()))

        Hooked.create()
        server.run()
        assert LOG == [("before", False), ("after", ["ada"])]

    def test_a_job_that_moves_itself_keeps_what_it_wrote(self, server, application):
        class Giving(Send):
            def perform(self):
                APP.send("before giving up")
                self.abort()

        job = Giving.create()
        server.run()
        assert (job.reload().state, application.sent()) == (State.ABORTED, ["before giving up"])

    def test_a_result_that_cannot_be_stored_leaves_nothing_written(self, server, application):
        class Odd(Send):
            collect_output = True

            def perform(self):
                APP.send(self.name)
                return object() if BROKEN else "fine"

        BROKEN.add("x")
        job = Odd.create()
        server.run()
        assert (job.reload().state, application.sent()) == (State.FAILED, [])
        BROKEN.clear()
        job.retry()
        server.run()
        assert application.sent() == ["ada"]

    def test_fields_that_cannot_be_stored_leave_nothing_written(self, server, application):
        class Odd(Send):
            numbers: list[int] = []  # noqa: RUF012

            def perform(self):
                APP.send(self.name)
                if BROKEN:
                    self.numbers.append(object())

        BROKEN.add("x")
        job = Odd.create()
        server.run()
        assert (job.reload().state, application.sent()) == (State.FAILED, [])
        BROKEN.clear()
        job.retry()
        server.run()
        assert application.sent() == ["ada"]

    def test_a_commit_that_fails_fails_the_job(self, server, application):
        class Deferred(Send):
            def transaction(self):
                APP.connection.execute("PRAGMA foreign_keys = ON")
                APP.connection.execute("CREATE TABLE IF NOT EXISTS a (id INTEGER PRIMARY KEY)")
                text = "CREATE TABLE IF NOT EXISTS b (a INTEGER REFERENCES a DEFERRABLE INITIALLY DEFERRED)"
                APP.connection.execute(text)
                APP.connection.commit()
                return atomic()

            def perform(self):
                APP.connection.execute("INSERT INTO b VALUES (1)")

        job = Deferred.create()
        server.run()
        assert job.reload().state is State.FAILED
        assert "FOREIGN KEY" in job.exception.message

    def test_with_retry_each_try_begins_with_nothing_written(self, server, application, clock):
        class Trying(Retry, Send):
            retry_limit = 2

            def perform(self):
                LOG.append(len(APP.sent()))
                APP.send(self.name)
                if len(LOG) < 3:
                    raise ValueError

            def retry_delay(self, failures):
                return 0

        Trying.create()
        server.run()
        assert (LOG, application.sent()) == ([0, 0, 0], ["ada"])

    def test_performed_here_it_is_in_a_transaction_too(self, application):
        Send().perform_now()
        assert application.sent() == ["ada"]
        BROKEN.add("grace")
        with pytest.raises(ValueError, match="grace"):
            Send(name="grace").perform_now()
        assert application.sent() == ["ada"]

    def test_a_class_without_one_says_so(self, server):
        class Bare(Transaction):
            def perform(self):
                """Nothing."""

        job = Bare.create()
        server.run()
        assert job.reload().exception.summary == "NotImplementedError: Bare has no transaction method"


class TestBatch:
    def test_a_whole_slice_is_one_transaction(self, server, application, transaction):
        seen = []

        def after_perform(self):
            seen.append(len(application.sent()))

        cls = variant(SendLines, transaction, after_perform=after_perform)
        job = stored(cls, "abcde")
        server.run()
        assert (job.reload().state, application.sent()) == (State.COMPLETED, list("abcde"))
        assert seen == [0, 0, 0, 3, 3]
        assert list(job.output.records()) == [f"sent {name}" for name in "abcde"]

    def test_one_that_fails_is_rolled_back_and_performed_again_whole_and_nothing_is_doubled(
        self, server, application, transaction, balanced_accounts
    ):
        BROKEN.add("e")
        job = stored(variant(SendLines, transaction), "abcdefgh")
        server.run()
        assert (job.reload().state, application.sent()) == (State.FAILED, list("abcgh"))
        accounts = balanced_accounts(job)
        assert (accounts["processed"], accounts["failed"], accounts["outputs"]) == (5, 3, {"main": 5})
        (failed,) = server.store.failed_slices(job.id)
        assert failed.done == 0
        BROKEN.clear()
        job.retry()
        server.run()
        assert job.reload().state is State.COMPLETED
        assert sorted(application.sent()) == list("abcdefgh")
        assert list(job.output.records()) == [f"sent {name}" for name in "abcdefgh"]
        assert [name for name in LOG if name not in ("commit", "rollback")] == list("abcdeghdef")

    def test_the_record_that_failed_is_the_one_that_is_named(self, server):
        BROKEN.add("e")
        job = stored(SendLines, "abcdef")
        server.run()
        (failed,) = server.store.failed_slices(job.id)
        from penstock.model.failure import parse_failure

        assert parse_failure(failed.exception).record_number == 5

    def test_slices_that_fail_again_and_again_write_nothing(self, server, application, balanced_accounts):
        BROKEN.add("e")
        job = stored(SendLines, "abcdef")
        for _ in range(4):
            server.run()
            job.reload().retry()
        server.run()
        assert application.sent() == list("abc")
        assert balanced_accounts(job)["failed"] == 3

    @pytest.mark.parametrize("what", ["a value", "a category"])
    def test_a_result_that_cannot_be_stored_rolls_the_slice_back_too(self, server, application, what):
        from penstock import Result

        class Odd(SendLines):
            def perform(self, record):
                result = super().perform(record)
                if record == "b" and not BROKEN:
                    return object() if what == "a value" else Result(result, "nowhere")
                return result

        job = stored(Odd, "abc")
        server.run()
        assert (job.reload().state, application.sent()) == (State.FAILED, [])
        BROKEN.add("x")
        job.retry()
        server.run()
        assert application.sent() == list("abc")
        assert list(job.output.records()) == [f"sent {name}" for name in "abc"]

    def test_a_job_that_pauses_itself_in_a_slice_leaves_nothing_of_the_slice_written(
        self, server, application, balanced_accounts
    ):
        class Pausing(SendLines):
            def perform(self, record):
                result = super().perform(record)
                if record == "e" and "e" not in BROKEN:
                    BROKEN.add("e-seen")
                    if LOG.count("e") == 1:
                        self.pause()
                return result

        job = stored(Pausing, "abcdef")
        server.run()
        assert (job.reload().state, application.sent()) == (State.PAUSED, list("abc"))
        balanced_accounts(job)
        job.resume()
        server.run()
        assert application.sent() == list("abcdef")
        assert list(job.output.records()) == [f"sent {name}" for name in "abcdef"]

    def test_a_worker_that_dies_in_a_slice_leaves_nothing_of_it_written(self, server, application):
        job = stored(SendLines, "abc")
        task = server.take()
        server._performer._job_of(task)
        application.send("half")
        application.connection.rollback()  # As the database does for a process that is gone.
        server.crash(task)
        server.run()
        assert (job.reload().state, application.sent()) == (State.COMPLETED, list("abc"))

    def test_a_hook_behind_the_slice_runs_after_the_commit(self, server, application):
        class Hooked(SendLines):
            def after_slice(self):
                LOG.append(("committed", len(application.sent())))

        stored(Hooked, "abcd")
        server.run()
        assert [entry for entry in LOG if isinstance(entry, tuple)] == [("committed", 3), ("committed", 4)]

    def test_performed_here_a_slice_is_rolled_back_whole_and_goes_on_whole(self, application):
        BROKEN.add("b")
        job = SendLines()
        job.upload(list("abcd"))
        with pytest.raises(ValueError, match="b"):
            job.perform_now()
        assert application.sent() == []
        BROKEN.clear()
        job.perform_now()
        assert application.sent() == list("abcd")
        assert list(job.output.records()) == [f"sent {name}" for name in "abcd"]

    def test_without_it_a_slice_goes_on_at_the_record_that_failed(self, server):
        class Plain(BatchJob):
            slice_size = 3
            destroy_on_complete = False

            def perform(self, record):
                LOG.append(record)
                if record in BROKEN:
                    raise ValueError

        BROKEN.add("b")
        job = stored(Plain, "abc")
        server.run()
        BROKEN.clear()
        job.reload().retry()
        server.run()
        assert list("abbc") == LOG

    def test_what_a_slice_wrote_is_known_by_its_output(self, server, configured_store, application):
        """An output is stored once for each slice that was committed."""
        job = stored(SendLines, "abcdef")
        server.run()
        written = [decode_records(row.payload) for row in configured_store.outputs(job.id, "main")]
        assert written == [["sent a", "sent b", "sent c"], ["sent d", "sent e", "sent f"]]


@pytest.fixture
def balanced_accounts(configured_store):
    from penstock.service.jobs import check_job

    def check(job):
        view = check_job(configured_store, job.id)
        assert view["balanced"], view
        return view

    return check


def test_a_store_in_trouble_after_the_commit_keeps_the_result_and_performs_nothing_twice(
    server, application, configured_store, monkeypatch
):
    job = stored(SendLines, "abc")
    task = server.take()
    server.perform(task)

    def full(*_args, **_named):
        raise StoreFull("full")

    with monkeypatch.context() as patch:
        patch.setattr(configured_store, "settle_slices", full)
        with pytest.raises(StoreFull):
            server.turn()
    server.run()
    assert (job.reload().state, application.sent()) == (State.COMPLETED, list("abc"))
