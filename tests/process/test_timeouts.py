"""Time-outs, memory limits, and code that tries to end its process: the job fails, its neighbours do not."""

import json
from collections.abc import Iterator
from uuid import UUID

import pytest
from tests.process.lab import Lab, wait_for
from tests.process.yard import Yard, open_yard

from penstock.model.failure import Failure, parse_failure
from penstock.states import State

pytestmark = pytest.mark.process

JOBS = """
    import _thread, ctypes

    class Kept(Job, abstract=True):
        destroy_on_complete = False

    class Looping(Kept):
        timeout = 0.3
        how: str = "loop"

        def perform(self):
            note("begin", self.how, os.getpid())
            if self.how == "loop":
                while True:
                    pass
            if self.how == "tidy":
                try:
                    while True:
                        pass
                finally:
                    note("tidy")
            if self.how == "sleep in python":
                while True:
                    time.sleep(0.01)
            if self.how == "sleep in C":
                time.sleep(1000)
            if self.how == "swallow":
                while True:
                    try:
                        while True:
                            pass
                    except BaseException as error:
                        note("swallowed", type(error).__name__)
            if self.how == "wait for a lock":
                threading.Event().wait()
            if self.how == "caught":
                try:
                    while True:
                        pass
                except TimeoutError:
                    note("caught")

        def after_fail(self):
            note("after_fail", self.how)

    class Tried(Retry, Looping):
        retry_limit = 1

        def retry_delay(self, failures):
            return 0.05

    class Neighbour(Kept):
        def perform(self):
            note("neighbour", os.getpid())
            wait_until_told("go on")

    class Quick(Kept):
        timeout = 5.0
        def perform(self):
            note("quick", os.getpid())

    class Lines(BatchJob, Kept):
        slice_size = 5
        timeout = 0.3
        collect_output = True
        bad: list[int] = []
        how: str = "loop"

        def perform(self, record):
            if record in self.bad and not told("mended"):
                note("begin", record, os.getpid())
                while self.how == "loop":
                    pass
                time.sleep(1000)
            return record * 10

    class Hungry(Kept):
        how: str = "bytes"
        def perform(self):
            note("hungry", os.getpid())
            if self.how == "bytes":
                return len(bytearray(4 << 30))
            held = []
            while True:
                held.append("x" * (1 << 20) + str(len(held)))

    class Leaving(Kept):
        how: str = ""

        def perform(self):
            note("begin", self.how, os.getpid())
            match self.how:
                case "exit()":
                    exit(3)
                case "sys.exit":
                    sys.exit("bye")
                case "SystemExit":
                    raise SystemExit
                case "KeyboardInterrupt":
                    raise KeyboardInterrupt
                case "GeneratorExit":
                    raise GeneratorExit
                case "BaseException":
                    class Odd(BaseException):
                        pass
                    raise Odd("odd")
                case "_thread.exit":
                    _thread.exit()
                case "async exception":
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(threading.get_ident()), ctypes.py_object(SystemExit)
                    )
                    for _ in range(10_000_000):
                        pass
                case "interrupt_main":
                    _thread.interrupt_main()
                case "SIGINT" | "SIGTERM" | "SIGHUP":
                    os.kill(os.getpid(), getattr(signal, self.how))
                    time.sleep(0.2)
                case "thread that raises":
                    thread = threading.Thread(target=lambda: 1 / 0)
                    thread.start()
                    thread.join()
                case "closed output":
                    sys.stdout.close()
                    sys.stderr.close()
                case "recursion":
                    def deeper():
                        return deeper()
                    deeper()
"""


@pytest.fixture
def yard(lab: Lab) -> Iterator[Yard]:
    with open_yard(lab, JOBS) as made:
        yield made
        made.tell("go on")


def failure_of(yard: Yard, job_id: UUID) -> Failure:
    failure = parse_failure(yard.row(job_id).exception)
    assert failure is not None
    return failure


def upload(yard: Yard, count: int, **values: object) -> UUID:
    program = """
        import json
        job = Lines(**json.loads(sys.argv[1]))
        job.upload(range(1, int(sys.argv[2]) + 1))
        print(job.save().id)
    """
    return UUID(yard.python(program, json.dumps(values), str(count)))


# Time-outs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["loop", "tidy", "sleep in python"])
def test_python_code_that_takes_too_long_is_ended_by_an_exception_and_its_worker_lives(yard: Yard, how: str) -> None:
    server = yard.serve(workers=1)
    pid = yard.worker(server)
    (job_id,) = yard.create(f"Looping.create(how={how!r})")
    yard.await_states(State.FAILED, job_id)
    failure = failure_of(yard, job_id)
    assert failure.summary == "penstock.errors.JobTimeout: it took longer than its timeout of 0.3 s"
    assert any("jobs.py" in frame for frame in failure.backtrace)
    row = yard.row(job_id)
    assert (row.failure_count, row.crash_count) == (1, 0)
    (quick,) = yard.create("Quick.create()")
    yard.await_states(State.COMPLETED, quick)
    assert yard.notes("quick") == [["quick", str(pid)]]
    assert len(yard.notes("tidy")) == (how == "tidy")
    yard.await_notes("after_fail")


def test_code_that_catches_the_exception_and_ends_is_completed(yard: Yard) -> None:
    yard.serve()
    (job_id,) = yard.create("Looping.create(how='caught')")
    yard.await_states(State.COMPLETED, job_id)
    assert len(yard.notes("caught")) == 1


@pytest.mark.parametrize("how", ["sleep in C", "swallow", "wait for a lock"])
def test_what_does_not_end_loses_its_worker_and_its_neighbours_run_again_without_blame(yard: Yard, how: str) -> None:
    server = yard.serve(workers=3)
    pid = yard.worker(server)
    neighbours = yard.create("Neighbour.create()", "Neighbour.create()")
    yard.await_notes("neighbour", 2)
    (job_id,) = yard.create(f"Looping.create(how={how!r})")
    yard.await_states(State.FAILED, job_id)
    failure = failure_of(yard, job_id)
    assert failure.class_name == "penstock.errors.JobTimeout"
    assert "did not end when it was told to" in failure.message
    # Theirs is not the blame, nor is it taken for a crash of the job itself.
    yard.await_notes("neighbour", 4)
    yard.tell("go on")
    yard.await_states(State.COMPLETED, *neighbours)
    for found in (job_id, *neighbours):
        assert yard.row(found).crash_count == 0
    assert [yard.row(found).failure_count for found in neighbours] == [0, 0]
    assert len(yard.notes("neighbour")) == 4
    assert yard.worker(server) != pid
    assert yard.notes("begin") == [["begin", *how.split(), str(pid)]]
    yard.await_notes("after_fail")


def test_a_job_that_was_killed_at_its_time_out_is_retried_as_often_as_it_says(yard: Yard) -> None:
    yard.serve(workers=1)
    (job_id,) = yard.create("Tried.create(how='sleep in C')")

    def has_ended() -> bool:
        row = yard.row(job_id)
        return row.failure_count == 2 and row.pending_hooks is None

    wait_for(has_ended, "its second failure")
    assert (yard.state(job_id), len(yard.notes("begin"))) == (State.FAILED, 2)
    fields = json.loads(yard.row(job_id).fields)
    assert len(fields["failed_at_list"]) == len(fields["errors"]) == 2


def test_jobs_that_end_in_time_leave_nothing_behind_that_could_hit_others(yard: Yard) -> None:
    server = yard.serve(workers=4)
    pid = yard.worker(server)
    job_ids = [UUID(line) for line in yard.python("for n in range(300): print(Quick.create(timeout=0.05).id)").split()]
    wait_for(lambda: all(yard.state(job_id) in (State.COMPLETED, State.FAILED) for job_id in job_ids), "all")
    # One may fail for its own sake, on a machine that is busy; none ends the worker or another.
    failures = [failure_of(yard, job_id) for job_id in job_ids if yard.state(job_id) is State.FAILED]
    assert {failure.class_name for failure in failures} <= {"penstock.errors.JobTimeout"}
    assert yard.worker(server) == pid


@pytest.mark.parametrize("how", ["loop", "sleep in C"])
def test_a_record_of_a_batch_job_that_takes_too_long_is_named_and_the_others_are_done(yard: Yard, how: str) -> None:
    yard.serve(workers=2)
    job_id = upload(yard, 20, bad=[7, 18], how=how)
    yard.await_states(State.FAILED, job_id)
    found = sorted(yard.store.failed_slices(job_id), key=lambda failed: failed.number)
    failures = [parse_failure(failed.exception) for failed in found]
    assert [failure.record_number for failure in failures if failure] == [7, 18]
    assert {failure.class_name for failure in failures if failure} == {"penstock.errors.JobTimeout"}
    checked = yard.lab.check(str(job_id))
    assert checked["processed"] + checked["failed"] == 20
    if how == "loop":
        assert (checked["processed"], checked["failed"]) == (13, 7)
        assert [failed.failed_record for failed in found] == [7, 18]
    assert {failed.crash_count for failed in found} == {0}
    yard.tell("mended")
    yard.python(f"Lines.query.where(id='{job_id}').first().retry()")
    yard.await_states(State.COMPLETED, job_id)
    told = yard.python(f"print(list(Lines.query.where(id='{job_id}').first().output.records()))")
    assert json.loads(told) == [10 * n for n in range(1, 21)]


# Memory ------------------------------------------------------------------------------------------


def test_a_job_that_wants_more_memory_than_its_worker_may_have_fails_and_its_neighbours_do_not(yard: Yard) -> None:
    server = yard.serve("--memory-limit", "400", workers=2)
    pid = yard.worker(server)
    (neighbour,) = yard.create("Neighbour.create()")
    yard.await_notes("neighbour")
    (job_id,) = yard.create("Hungry.create()")
    yard.await_states(State.FAILED, job_id)
    assert failure_of(yard, job_id).class_name == "MemoryError"
    yard.tell("go on")
    yard.await_states(State.COMPLETED, neighbour)
    assert yard.worker(server) == pid
    assert (len(yard.notes("hungry")), len(yard.notes("neighbour"))) == (1, 1)


def test_one_that_takes_it_little_by_little_fails_and_leaves_the_memory_to_the_next(yard: Yard) -> None:
    server = yard.serve("--memory-limit", "400", workers=1)
    pid = yard.worker(server)
    for _ in range(3):
        (job_id,) = yard.create("Hungry.create(how='little by little')")
        yard.await_states(State.FAILED, job_id)
        assert failure_of(yard, job_id).class_name == "MemoryError"
        (quick,) = yard.create("Quick.create()")
        yard.await_states(State.COMPLETED, quick)
    assert yard.worker(server) == pid


def test_without_a_limit_what_its_worker_dies_of_is_found_out_and_the_server_goes_on(yard: Yard) -> None:
    """As the system's out-of-memory killer does it, with SIGKILL."""
    yard.module(
        """
        class Oom(Job):
            destroy_on_complete = False
            def perform(self):
                note("oom")
                print("allocating", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)

        class Quick(Job):
            def perform(self):
                note("quick")
        """
    )
    yard.serve(workers=1)
    job_id, quick = yard.create("Oom.create(priority=1)", "Quick.create()")
    yard.await_states(State.FAILED, job_id)
    failure = failure_of(yard, job_id)
    assert failure.class_name == "WorkerCrashed"
    assert "SIGKILL" in failure.message
    assert "allocating" in failure.message  # The last that it said.
    assert len(yard.notes("oom")) == 3
    yard.await_states(None, quick)


# Code that would end its process -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("exit()", "SystemExit"),
        ("sys.exit", "SystemExit"),
        ("SystemExit", "SystemExit"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("GeneratorExit", "GeneratorExit"),
        ("BaseException", "jobs.Leaving.perform.<locals>.Odd"),
        ("_thread.exit", "SystemExit"),
        ("async exception", "SystemExit"),
        ("recursion", "RecursionError"),
        ("interrupt_main", None),
        ("SIGINT", None),
        ("SIGTERM", None),
        ("SIGHUP", None),
        ("thread that raises", None),
        ("closed output", None),
    ],
)
def test_what_would_end_the_process_fails_the_job_or_nothing_and_the_worker_lives(
    yard: Yard, how: str, name: str | None
) -> None:
    server = yard.serve(workers=2)
    pid = yard.worker(server)
    (neighbour,) = yard.create("Neighbour.create()")
    yard.await_notes("neighbour")
    (job_id,) = yard.create(f"Leaving.create(how={how!r})")
    yard.await_states(State.FAILED if name else State.COMPLETED, job_id)
    if name:
        assert failure_of(yard, job_id).class_name == name
    yard.tell("go on")
    (quick,) = yard.create("Quick.create()")
    yard.await_states(State.COMPLETED, neighbour, quick)
    assert yard.notes("quick") == [["quick", str(pid)]]
    assert len(yard.notes("neighbour")) == 1
    assert yard.worker(server) == pid
