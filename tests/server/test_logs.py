"""The log of one process: everything goes through one queue, nobody waits for a handler, and nothing is lost."""

import gc
import json
import logging
import os
import re
import subprocess
import sys
import threading
import warnings
from collections import Counter
from textwrap import dedent
from types import SimpleNamespace

import pytest

from penstock.errors import ConfigurationError
from penstock.ids import new_id
from penstock.server import log_delivery
from penstock.server.log_context import job_context, root_level
from penstock.server.log_pieces import Piece, begin_piece
from penstock.server.logs import SETTINGS, LogOptions, ProcessLog, options_of, travelling

ENOUGH = 30
"""Seconds after which something that was waited for has not happened."""
app = logging.getLogger("tests.logs.app")


class Kept(logging.Handler):
    """Keeps what it is given; while it is `held` it takes nothing."""

    def __init__(self, level=logging.NOTSET):
        super().__init__(level)
        self.records = []
        self.entered = threading.Event()
        self.free = threading.Event()
        self.free.set()

    @property
    def messages(self):
        return [record.getMessage() for record in self.records]

    def hold(self):
        self.free.clear()
        return self

    def emit(self, record):
        self.entered.set()
        assert self.free.wait(ENOUGH)
        self.records.append(record)


@pytest.fixture
def begin(tmp_path):
    """`begin(**options)` starts the log of this process. Its console is a file; `log.lines()` reads it."""
    console = os.open(tmp_path / "console", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    started = []

    def start(*handlers, worker=None, **options):
        for ours in list(logging.root.handlers):
            logging.root.removeHandler(ours)  # Those of pytest, which refuse what is hostile; it lets go of them.
        sources = tuple((lambda handler=handler: handler) for handler in handlers)
        log = ProcessLog(LogOptions(handlers=sources, **options), worker=worker, console=console).start()
        log.lines = lambda: flushed(log) and (tmp_path / "console").read_text("utf-8").splitlines()
        started.append(log)
        return log

    yield start
    for log in started:
        log.close(ENOUGH)
    os.close(console)


def flushed(log):
    assert log.flush(ENOUGH)
    return True


def told(line):
    """Return a line of text without its time."""
    return line.partition(" ")[2]


# What is logged, and where to ---------------------------------------------------------------------


class TestOutputs:
    def test_a_record_goes_to_the_console_the_file_and_every_handler_at_once(self, begin, tmp_path):
        kept, other = Kept(), Kept()
        log = begin(kept, other, file=str(tmp_path / "file"))
        app.info("hello %s", "world")
        assert [told(line) for line in log.lines()] == ["INFO tests.logs.app: hello world"]
        assert (tmp_path / "file").read_text().splitlines() == log.lines()
        assert kept.messages == other.messages == ["hello world"]

    def test_in_json_every_output_is_lines_of_json(self, begin, tmp_path):
        log = begin(format="json", file=str(tmp_path / "file"))
        app.info("hello")
        log.relay("w:1", "printed")
        printed = [json.loads(line)["message"] for line in log.lines()]
        (logged,) = (json.loads(line) for line in (tmp_path / "file").read_text().splitlines())
        assert logged["message"] == "hello"
        assert printed == ["hello", "printed"]

    def test_a_handler_keeps_its_level_filter_and_formatter_and_gets_ours_without_one(self, begin):
        loud, own, plain = Kept(logging.ERROR), Kept(), Kept()
        own.addFilter(lambda record: "secret" not in record.getMessage())
        own.setFormatter(logging.Formatter("own %(message)s"))
        log = begin(loud, own, plain, format="json")
        app.info("secret")
        app.error("bad")
        log.flush(ENOUGH)
        assert (loud.messages, own.messages, plain.messages) == (["bad"], ["bad"], ["secret", "bad"])
        assert own.format(own.records[0]) == "own bad"
        assert json.loads(plain.format(plain.records[0]))["message"] == "secret"

    def test_handlers_may_follow_later(self, begin):
        kept = Kept()
        log = begin()
        app.info("before")
        log.flush(ENOUGH)
        log.add_handlers([lambda: kept])
        app.info("after")
        log.flush(ENOUGH)
        assert kept.messages == ["after"]

    def test_a_bad_output_stops_the_start_and_nothing_is_taken_over(self, begin, tmp_path):
        before = logging.root.level
        for options in ({"file": str(tmp_path / "no" / "x")}, {"syslog": "/no/such"}, {"timezone": "Mars"}):
            with pytest.raises(ConfigurationError, match=r"^setting (log_file|syslog|timezone): "):
                begin(**options)
        with pytest.raises(ConfigurationError, match=r"^setting log_handlers: .*<lambda> raised ZeroDivisionError"):
            ProcessLog(LogOptions(handlers=(lambda: 1 / 0,))).start()
        assert (logging.root.handlers, logging.root.level) == ([], before)

    def test_warnings_and_the_ends_of_threads_are_logged(self, begin):
        log = begin()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("careful", stacklevel=1)
        thread = threading.Thread(target=lambda: 1 / 0, name="user-1")
        thread.start()
        thread.join(ENOUGH)
        lines = log.lines()
        assert "WARNING py.warnings: " in lines[0]
        assert "UserWarning: careful" in lines[0]
        assert any("ERROR penstock: the thread user-1 ended by an exception" in line for line in lines)
        assert lines[-1] == "    ZeroDivisionError: division by zero"


class TestOfUserCode:
    def test_dict_config_of_an_imported_module_takes_nothing_away(self, tmp_path):
        program = """
            from logging.config import dictConfig
            log = ProcessLog(LogOptions(file=path)).start()
            ours = logging.getLogger("penstock.worker")
            root = {"level": "ERROR", "handlers": ["own"]}
            dictConfig({"version": 1, "handlers": {"own": {"class": "logging.NullHandler"}}, "root": root})
            assert ours.disabled
            log.attach()
            logging.getLogger("later").info("user's")
            ours.info("ours")
            print([type(handler).__name__ for handler in logging.root.handlers])
            log.close()
        """
        ended = run(program, tmp_path / "log")
        assert ended.stdout == "['NullHandler', 'Intake']\n"
        assert [told(line) for line in ended.stderr.splitlines()] == [
            "INFO later: user's",
            "INFO penstock.worker: ours",
        ]
        assert (tmp_path / "log").read_text() == ended.stderr

    def test_basic_config_does_nothing_and_attached_twice_is_once(self, begin):
        log = begin()
        logging.basicConfig(level=logging.DEBUG)
        log.attach()
        app.info("once")
        app.debug("not wanted")
        assert len(log.lines()) == 1


# Context and level --------------------------------------------------------------------------------


class TestContext:
    def test_records_of_any_logger_are_told_with_the_job_and_the_worker(self, begin):
        log = begin(worker="server:1", format="json")
        job_id = new_id()
        number = 0
        with job_context(
            job_id=job_id, kind="K", slice_number=3, record_number=lambda: number, worker="server:1:0", level=None
        ):
            number = 217
            logging.getLogger("some.library").warning("inside")
        app.info("outside")
        inside, outside = map(json.loads, log.lines())
        about = {"job": str(job_id), "kind": "K", "slice": 3, "record": 217, "worker": "server:1:0"}
        assert about.items() <= inside.items()
        assert (outside["worker"], "job" in outside) == ("server:1", False)

    def test_handlers_of_the_user_find_it_on_the_record(self, begin):
        kept = Kept()
        log = begin(kept)
        with job_context(kind="K"):
            app.info("inside")
        app.info("outside")
        log.flush(ENOUGH)
        assert [record.job_context for record in kept.records] == [{"kind": "K"}, {}]

    def test_each_of_several_threads_tells_its_own(self, begin):
        log = begin(format="json")
        start = threading.Barrier(4)

        def work(kind):
            start.wait(ENOUGH)
            for number in range(200):
                with job_context(kind=kind, record_number=number):
                    app.info("%s %d", kind, number)

        threads = [threading.Thread(target=work, args=(kind,)) for kind in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(ENOUGH)
        found = [json.loads(line) for line in log.lines()]
        assert len(found) == 800
        assert all(entry["message"] == f"{entry['kind']} {entry['record']}" for entry in found)

    def test_what_is_logged_is_what_it_was_then(self, begin):
        kept = Kept().hold()
        log = begin(kept)
        items = [1]
        app.info("%s", items)
        items.append(2)
        kept.free.set()
        log.flush(ENOUGH)
        assert kept.messages == ["[1]"]

    def test_handlers_get_the_exception_itself_and_others_the_record_as_it_was(self, begin):
        kept, beside = Kept(), Kept()
        log = begin(kept)
        logging.root.addHandler(beside)
        error = ValueError("no")
        app.error("failed %d", 5, exc_info=error)
        log.flush(ENOUGH)
        assert kept.records[0].exc_info[1] is error
        assert beside.records[0].args == (5,)
        assert not hasattr(beside.records[0], "job_context")


class TestLevel:
    def test_a_jobs_level_is_of_its_thread_alone_while_others_log(self, begin):
        log = begin(format="json", level="info")
        inside, done = threading.Barrier(4), threading.Barrier(4)

        def work(kind, level):
            with job_context(kind=kind, level=level):
                inside.wait(ENOUGH)
                for name in ("debug", "info", "error"):
                    getattr(app, name)(name)
                done.wait(ENOUGH)

        threads = [
            threading.Thread(target=work, args=pair)
            for pair in (("low", "debug"), ("high", "error"), ("none", None), ("lowest", "trace"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(ENOUGH)
        app.debug("after")
        found = Counter((entry["kind"], entry["message"]) for entry in map(json.loads, log.lines()))
        low = [("low", "debug"), ("low", "info"), ("low", "error")]
        lowest = [("lowest", message) for _, message in low]
        assert found == Counter([*low, *lowest, ("high", "error"), ("none", "info"), ("none", "error")])
        assert logging.root.level == logging.INFO

    def test_a_piece_tells_its_beginning_and_end_at_debug_with_duration_and_metric(self, begin):
        log = begin(format="json", level="info")
        for level in (None, "debug"):
            with Piece(kind="K"):
                begin_piece("perform", level)
        start, end = map(json.loads, log.lines())
        assert (start["message"], start["level"], start["logger"]) == ("Start #perform", "DEBUG", "penstock.worker")
        assert (end["message"], end["metric"], end["kind"]) == ("Completed #perform", "K/perform", "K")
        assert end["duration"] >= 0

    @pytest.mark.parametrize("raised", [True, False])
    def test_a_piece_that_fails_says_so(self, begin, raised):
        log = begin(level="debug")
        try:
            with Piece(kind="K") as piece:
                begin_piece("slice", None)
                if raised:
                    raise ValueError("no")
                piece.failed = True
        except ValueError:
            pass
        assert re.search(r"Failed #slice kind=K duration=\S+ metric=K/slice$", log.lines()[1])

    def test_a_piece_that_never_began_leaves_nothing(self, begin):
        log = begin(level="debug")
        with pytest.raises(ValueError, match="no"), Piece(kind="K", level="trace"):
            raise ValueError("no")
        assert log.lines() == []
        assert logging.root.level == logging.DEBUG


# Handlers that are slow, or fail ------------------------------------------------------------------


class TestSlowHandlers:
    def test_a_handler_that_hangs_holds_up_nobody_and_then_gets_everything(self, begin):
        kept = Kept().hold()
        log = begin(kept)
        for number in range(2_000):
            app.info("%d", number)
        assert kept.entered.wait(ENOUGH)
        assert kept.records == []
        kept.free.set()
        assert log.flush(ENOUGH)
        assert kept.messages == [str(number) for number in range(2_000)]

    def test_who_logs_faster_than_handlers_write_is_held_to_their_pace_and_loses_nothing(self, begin, monkeypatch):
        monkeypatch.setattr(log_delivery, "MOST_WAITING", 10)
        monkeypatch.setattr(log_delivery, "PATIENCE", ENOUGH)
        kept = Kept()
        log = begin(kept)
        waiting = []
        for number in range(3_000):
            app.info("%d", number)
            waiting.append(log._delivery._waiting.qsize())
        assert log.flush(ENOUGH)
        assert kept.messages == [str(number) for number in range(3_000)]
        assert max(waiting) <= 11

    def test_they_are_waited_for_as_long_as_they_are_quick(self, begin, monkeypatch):
        monkeypatch.setattr(log_delivery, "MOST_WAITING", 10)
        monkeypatch.setattr(log_delivery, "PATIENCE", 0.0)
        monkeypatch.setattr(log_delivery, "SLOWEST", 0)
        kept = Kept()
        log = begin(kept)
        for number in range(1_000):
            app.info("%d", number)
        assert log.flush(ENOUGH)
        assert kept.messages == [str(number) for number in range(1_000)]

    def test_behind_a_handler_that_hangs_records_are_dropped_and_counted_and_warnings_kept_longer(
        self, begin, monkeypatch
    ):
        monkeypatch.setattr(log_delivery, "MOST_WAITING", 10)
        kept = Kept().hold()
        log = begin(kept)
        app.info("first")
        assert kept.entered.wait(ENOUGH)
        for number in range(1_000):
            app.info("%d", number)
        for number in range(15):
            app.error("error %d", number)
        kept.free.set()
        assert log.flush(ENOUGH)
        app.info("after")
        log.flush(ENOUGH)
        note = next(message for message in kept.messages if "dropped" in message)
        dropped = int(note.split()[0])
        assert note == f"{dropped} log records were dropped: more was logged than the handlers could take"
        assert dropped == 1_000 + 15 + 2 - (len(kept.messages) - 1)
        assert sum(message.startswith("error") for message in kept.messages) == 10
        assert kept.messages[-1] == "after"
        # All is well again: nothing is dropped before it is full again.
        kept.hold()
        for number in range(8):
            app.info("again %d", number)
        kept.free.set()
        assert log.flush(ENOUGH)
        assert sum(message.startswith("again") for message in kept.messages) == 8

    def test_all_is_delivered_when_it_is_closed_and_handlers_are_closed(self, begin):
        class Buffered(Kept):
            written, closed = (), False

            def flush(self):
                self.written = tuple(self.messages)

            def close(self):
                self.closed = True
                super().close()

        kept = Buffered()
        log = begin(kept)
        for number in range(5_000):
            app.info("%d", number)
        assert log.close(ENOUGH)
        assert kept.written == tuple(str(number) for number in range(5_000))
        assert kept.closed
        assert log.close(ENOUGH)

    def test_closing_waits_so_long_and_no_longer_and_says_what_is_lost(self, begin, tmp_path):
        kept = Kept().hold()
        log = begin(kept)
        app.info("one")
        app.info("two")
        assert kept.entered.wait(ENOUGH)
        assert not log.flush(0.01)
        assert not log.close(0.01)
        last = (tmp_path / "console").read_text().splitlines()[-1]
        assert re.search(r"WARNING penstock.log: up to \d log records are lost: <Kept \(NOTSET\)> has not taken", last)
        assert logging.root.handlers == []
        kept.free.set()

    def test_a_prompt_context_waits_until_its_records_are_written(self, begin):
        kept = Kept()
        begin(kept)
        with job_context(prompt=True):
            app.info("about to die")
            assert kept.messages == ["about to die"]


class TestFailingHandlers:
    def test_one_that_raises_is_told_of_once_and_the_others_get_everything(self, begin):
        class Failing(logging.Handler):
            def emit(self, record):
                raise OSError("the network is down")

        class Careful(logging.Handler):
            def emit(self, record):
                try:
                    raise OSError("no such host")
                except OSError:
                    self.handleError(record)

        kept = Kept()
        log = begin(Failing(), Careful(), kept)
        for number in range(100):
            app.info("%d", number)
        log.flush(ENOUGH)
        notes = [record for record in kept.records if record.name == "penstock.log"]
        assert {record.getMessage().split()[3] for record in notes} == {"<Failing", "<Careful"}
        assert {str(record.exc_info[1]) for record in notes} == {"the network is down", "no such host"}
        assert [message for message in kept.messages if message.isdigit()] == [str(n) for n in range(100)]
        assert len(log.lines()) > 100

    def test_one_that_logs_itself_makes_no_circle(self, begin):
        class Chatty(Kept):
            def emit(self, record):
                super().emit(record)
                app.info("sending %s", record.getMessage())

        chatty = Chatty()
        log = begin(chatty)
        app.info("one")
        assert [told(line).partition(": ")[2] for line in log.lines()] == ["one", "sending one"]
        assert chatty.messages == ["one"]

    def test_what_cannot_be_told_is_told_as_far_as_it_goes_and_nothing_ends(self, begin):
        class Hostile:
            def __str__(self):
                raise RuntimeError("no")

        log = begin(format="json")
        app.info("%s", Hostile())
        app.info(Hostile())
        app.info("%d", "x")
        app.info("\ud800", extra={"value": Hostile(), b"key": b"\xff"})
        app.info("after")
        lines = [json.loads(line)["message"] for line in log.lines()]
        assert lines[0] == "%s (its arguments cannot be shown: RuntimeError: no)"
        assert lines[1].startswith("<Hostile that cannot be shown: RuntimeError>")
        assert lines[2].startswith("%d (its arguments cannot be shown: TypeError: ")
        assert lines[3:] == ["\\ud800", "after"]


# Processes ----------------------------------------------------------------------------------------


def run(program, *words):
    """Run a program in a process of its own; a deadlock is its end after some time."""
    before = """
        import faulthandler, logging, os, signal, sys, threading, time
        from penstock.server.log_context import job_context
        from penstock.server.logs import LogOptions, ProcessLog
        app = logging.getLogger("app")
        path = sys.argv[1]
        faulthandler.dump_traceback_later(25, exit=True)
    """
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", dedent(before) + dedent(program), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=2 * ENOUGH,
        check=False,
    )


class TestProcesses:
    def test_children_of_a_fork_log_directly_while_threads_of_the_parent_log_on(self, tmp_path):
        program = """
            log = ProcessLog(LogOptions(file=path, format="json"), console=os.open(os.devnull, os.O_WRONLY)).start()
            ending = threading.Event()
            def chatter():
                while not ending.is_set():
                    with job_context(kind="parent", level="trace"):
                        app.debug("x" * 100)
            threads = [threading.Thread(target=chatter) for _ in range(3)]
            for thread in threads: thread.start()
            for number in range(40):
                child = os.fork()
                if child == 0:
                    with job_context(kind=f"child {number}", level="debug"):
                        for line in range(5):
                            app.debug("line %d", line)
                    assert log.flush()
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0
            ending.set()
            for thread in threads: thread.join()
            assert log.close(20)
        """
        ended = run(program, tmp_path / "log")
        assert (ended.returncode, ended.stderr) == (0, "")
        found = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
        # Where others use the processor too, lines of the parent are dropped, which a line of no kind tells.
        children = Counter(kind for entry in found if (kind := entry.get("kind", "parent")) != "parent")
        assert children == {f"child {number}": 5 for number in range(40)}

    def test_a_signal_handler_and_a_finalizer_may_log_at_any_moment(self, tmp_path):
        program = """
            class Loud:
                def __del__(self):
                    app.info("gone")
            log = ProcessLog(LogOptions(file=path), console=os.open(os.devnull, os.O_WRONLY)).start()
            signal.signal(signal.SIGALRM, lambda *_: app.info("signalled"))
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            for number in range(3000):
                Loud()
                app.info("number %d", number)
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert log.close(20)
        """
        ended = run(program, tmp_path / "log")
        assert (ended.returncode, ended.stderr) == (0, "")
        lines = (tmp_path / "log").read_text().splitlines()
        assert sum("number" in line for line in lines) == sum("gone" in line for line in lines) == 3_000
        assert sum("signalled" in line for line in lines) > 0

    def test_closed_before_os_exit_nothing_is_lost(self, tmp_path):
        program = """
            log = ProcessLog(LogOptions(file=path)).start()
            for number in range(5000):
                app.info("number %d", number)
            log.close(20)
            os._exit(0)
        """
        ended = run(program, tmp_path / "log")
        assert ended.returncode == 0
        for text in (ended.stderr, (tmp_path / "log").read_text()):
            assert [int(line.split()[-1]) for line in text.splitlines()] == list(range(5_000))

    def test_a_console_that_nobody_reads_any_more_ends_nothing(self, tmp_path):
        program = """
            reader, writer = os.pipe()
            log = ProcessLog(LogOptions(file=path), console=writer).start()
            app.info("one")
            log.flush()
            os.close(reader)
            app.info("two")
            assert log.close()
        """
        ended = run(program, tmp_path / "log")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert len((tmp_path / "log").read_text().splitlines()) == 2

    def test_a_console_that_is_full_holds_up_neither_who_logs_nor_the_end(self, tmp_path):
        program = """
            reader, writer = os.pipe()
            log = ProcessLog(LogOptions(), console=writer).start()
            for number in range(2000):
                app.info("%d %s", number, "x" * 100)
            assert not log.close(0.2)
            os._exit(7)
        """
        ended = run(program, tmp_path / "log")
        assert (ended.returncode, ended.stderr) == (7, "")


# Settings -----------------------------------------------------------------------------------------


class TestSettings:
    def test_options_are_those_of_the_settings_and_travel_as_plain_data(self):
        given = SimpleNamespace(
            log_level=None, log_format="json", log_file="f", syslog=None, log_handlers=[dedent, "a:b"], timezone="UTC"
        )
        options = options_of(given)
        assert options == LogOptions("warning", "json", "f", None, (dedent, "a:b"), "UTC")
        assert options_of(given, level="info").level == "info"
        packed = travelling(options)
        assert json.loads(json.dumps(packed)) == packed
        assert packed["log_handlers"] == ["textwrap:dedent", "a:b"]
        assert set(packed) == set(SETTINGS.values())

    def test_what_cannot_travel_is_named(self):
        with pytest.raises(ConfigurationError, match="setting log_handlers: workers cannot import"):
            travelling(LogOptions(handlers=(lambda: None,)))


def test_after_it_the_root_logger_and_hooks_are_as_they_were(begin):
    before = (logging.root.level, threading.excepthook, warnings.showwarning)
    log = begin(level="trace")
    assert (logging.root.level, threading.excepthook, warnings.showwarning) != before
    log.close(ENOUGH)
    assert (logging.root.level, threading.excepthook, warnings.showwarning) == before
    assert root_level.own is None
    gc.collect()
