"""The console, a file that several write to, syslog, and handlers of the user's own."""

import logging
import os
import socket
import subprocess
import sys
import threading
from contextlib import closing
from textwrap import dedent

import pytest

from penstock.errors import ConfigurationError
from penstock.server.log_context import TRACE
from penstock.server.log_formats import TextFormatter
from penstock.server.log_handlers import handlers_from, importable_name
from penstock.server.log_outputs import SYSLOG_LINE, Console, SharedFile, Syslog

FORM = TextFormatter(with_time=False)


@pytest.fixture
def failures(monkeypatch):
    """What handlers could not do."""
    found = []
    monkeypatch.setattr(logging.Handler, "handleError", lambda handler, record: found.append(sys.exc_info()[1]))
    return found


def record(message, level=logging.INFO):
    return logging.makeLogRecord(
        {"name": "myapp", "levelno": level, "levelname": logging.getLevelName(level), "msg": message}
    )


class TestConsole:
    def test_lines_are_whole_and_those_of_workers_unchanged(self, tmp_path, failures):
        with (tmp_path / "out").open("wb") as out:
            console = Console(FORM, descriptor=out.fileno())
            console.handle(record("ä\ud800"))
            console.relay("w:1", "printed ä \x1b[0m")
        assert (tmp_path / "out").read_text("utf-8") == "INFO myapp: ä\\ud800\nprinted ä \x1b[0m\n"
        assert failures == []

    def test_in_json_what_was_printed_is_wrapped(self, tmp_path):
        with (tmp_path / "out").open("wb") as out:
            console = Console(FORM, as_json=True, descriptor=out.fileno())
            console.relay("w:1", "printed")
            console.relay("w:1", '{"message": "logged"}')
        printed, logged = (tmp_path / "out").read_text("utf-8").splitlines()
        assert '"message": "printed", "worker": "w:1"}' in printed
        assert logged == '{"message": "logged"}'

    def test_where_nobody_reads_lines_are_dropped_without_a_word(self, failures):
        reader, writer = os.pipe()
        os.close(reader)
        Console(FORM, descriptor=writer).handle(record("x"))
        os.close(writer)
        assert failures == []

    def test_a_descriptor_that_does_not_block_is_waited_for(self, failures):
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        console = Console(FORM, descriptor=writer)
        thread = threading.Thread(target=lambda: console.handle(record("x" * 500_000)))
        thread.start()
        read = b""
        while not read.endswith(b"\n"):
            read += os.read(reader, 1 << 16)
        thread.join(10)
        assert read.decode() == f"INFO myapp: {'x' * 500_000}\n"
        assert failures == []
        os.close(reader)
        os.close(writer)


class TestSharedFile:
    def test_lines_are_appended_to_what_is_there(self, tmp_path):
        (tmp_path / "log").write_text("before\n")
        with closing(SharedFile(str(tmp_path / "log"), FORM)) as file:
            file.handle(record("after"))
        assert (tmp_path / "log").read_text() == "before\nINFO myapp: after\n"

    def test_whole_lines_of_several_processes_come_one_after_another(self, tmp_path):
        program = """
            import logging, sys
            from penstock.server.log_formats import TextFormatter
            from penstock.server.log_outputs import SharedFile
            file = SharedFile(sys.argv[1], TextFormatter(with_time=False))
            sys.stdin.read(1)
            for _ in range(300):
                file.handle(logging.makeLogRecord({"name": "p", "msg": sys.argv[2] * 20_000}))
        """
        path = tmp_path / "log"
        writers = [
            subprocess.Popen([sys.executable, "-c", dedent(program), str(path), letter], stdin=subprocess.PIPE)
            for letter in "abc"
        ]
        for writer in writers:
            writer.communicate(b"x", timeout=60)
        lines = path.read_text().splitlines()
        assert sorted(line.partition(" p: ")[2] for line in lines) == [
            letter * 20_000 for letter in "abc" for _ in range(300)
        ]

    def test_a_file_that_was_rotated_away_is_made_anew(self, tmp_path):
        with closing(SharedFile(str(tmp_path / "log"), FORM)) as file:
            file.handle(record("one"))
            (tmp_path / "log").rename(tmp_path / "log.1")
            file.handle(record("two"))
            (tmp_path / "log").unlink()
            file.handle(record("three"))
        assert (tmp_path / "log.1").read_text() == "INFO myapp: one\n"
        assert (tmp_path / "log").read_text() == "INFO myapp: three\n"

    def test_a_folder_that_is_gone_for_a_while_loses_what_was_logged_meanwhile_and_no_more(self, tmp_path, failures):
        folder = tmp_path / "logs"
        folder.mkdir()
        with closing(SharedFile(str(folder / "log"), FORM)) as file:
            folder.rename(tmp_path / "away")
            file.handle(record("lost"))
            folder.mkdir()
            file.handle(record("back"))
        assert [type(error) for error in failures] == [FileNotFoundError]
        assert (folder / "log").read_text() == "INFO myapp: back\n"

    def test_closed_by_logging_config_it_opens_again(self, tmp_path):
        file = SharedFile(str(tmp_path / "log"), FORM)
        file.close()
        file.handle(record("x"))
        file.close()
        assert (tmp_path / "log").read_text() == "INFO myapp: x\n"

    def test_a_relative_path_means_the_folder_of_the_start(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with closing(SharedFile("log", FORM)) as file:
            (tmp_path / "log").rename(tmp_path / "log.1")
            monkeypatch.chdir("/")
            file.handle(record("x"))
        assert (tmp_path / "log").exists()

    def test_it_is_for_its_owner_and_group(self, tmp_path):
        SharedFile(str(tmp_path / "log"), FORM).close()
        assert (tmp_path / "log").stat().st_mode & 0o037 == 0

    def test_a_file_that_cannot_be_written_is_named(self, tmp_path):
        with pytest.raises(ConfigurationError, match=r"^setting log_file: .*/no/log: No such file or directory$"):
            SharedFile(str(tmp_path / "no" / "log"), FORM)


@pytest.fixture
def daemon(tmp_path):
    """A syslog daemon on a local socket; `daemon(path)` binds one."""
    made = []

    def bind(path=tmp_path / "log", family=socket.AF_UNIX):
        made.append(socket.socket(family, socket.SOCK_DGRAM))
        made[-1].bind(str(path) if family == socket.AF_UNIX else path)
        made[-1].settimeout(10)
        return made[-1]

    yield bind
    for one in made:
        one.close()


class TestSyslog:
    @pytest.mark.parametrize(
        ("level", "priority"), [(TRACE, 15), (10, 15), (20, 14), (30, 12), (40, 11), (50, 10)], ids=str
    )
    def test_a_record_is_a_datagram_with_priority_program_and_message(self, tmp_path, daemon, level, priority):
        listening = daemon()
        with closing(Syslog(str(tmp_path / "log"), FORM)) as syslog:
            syslog.handle(record("hello\nworld", level))
            name = logging.getLevelName(level)
            expected = f"<{priority}>penstock[{os.getpid()}]: {name} myapp: hello\n    world\0"
            assert listening.recv(1 << 16).decode() == expected

    def test_over_udp(self, daemon):
        listening = daemon(("127.0.0.1", 0), socket.AF_INET)
        with closing(Syslog(f"127.0.0.1:{listening.getsockname()[1]}", FORM)) as syslog:
            syslog.handle(record("hello"))
            assert b"myapp: hello" in listening.recv(1 << 16)

    def test_a_huge_record_is_cut_and_not_lost(self, tmp_path, daemon, failures):
        listening = daemon()
        form = TextFormatter(with_time=False, longest=SYSLOG_LINE)
        with closing(Syslog(str(tmp_path / "log"), form)) as syslog:
            syslog.handle(record("x" * (8 << 20)))
            data = listening.recv(1 << 20)
        assert len(data) < SYSLOG_LINE + 50
        assert b"more bytes)" in data
        assert failures == []

    def test_a_daemon_that_is_started_anew_gets_what_comes_then(self, tmp_path, daemon, failures):
        first = daemon()
        with closing(Syslog(str(tmp_path / "log"), FORM)) as syslog:
            first.close()
            (tmp_path / "log").unlink()
            syslog.handle(record("lost"))
            second = daemon()
            syslog.handle(record("back"))
            assert b"myapp: back" in second.recv(1 << 16)
        assert len(failures) == 1

    def test_where_nobody_listens_it_is_said_at_the_start(self, tmp_path):
        with pytest.raises(ConfigurationError, match=r"^setting syslog: .*/none: .*No such file"):
            Syslog(str(tmp_path / "none"), FORM)

    @pytest.mark.parametrize("address", ["localhost:", "localhost:abc", ":514", "localhost:70000", "host.invalid:514"])
    def test_what_is_no_address_is_named(self, address):
        with pytest.raises(ConfigurationError, match=f"^setting syslog: {address}: "):
            Syslog(address, FORM)


HANDLERS = """
    import logging
    calls = []
    def one():
        calls.append("one")
        return logging.NullHandler()
    def several():
        return [logging.NullHandler(), logging.NullHandler()]
    def wrong():
        return "stderr"
    def broken():
        raise OSError("no such host")
    def leaving():
        raise SystemExit(3)
    class Nested:
        @staticmethod
        def one():
            return logging.NullHandler()
    number = 5
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module `log_setup` of the user's own."""
    (tmp_path / "log_setup.py").write_text(dedent(HANDLERS))
    (tmp_path / "log_broken.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("log_setup", None)
    sys.modules.pop("log_broken", None)


@pytest.mark.usefixtures("module")
class TestHandlersOfTheUser:
    def test_functions_by_name_and_functions_return_one_or_several(self):
        found = handlers_from(["log_setup:one", "log_setup:several", "log_setup:Nested.one", logging.NullHandler])
        assert len(found) == 5
        assert sys.modules["log_setup"].calls == ["one"]

    @pytest.mark.parametrize(
        ("source", "says"),
        [
            ("log_setup", "log_setup: write it as module:function"),
            ("log_nowhere:one", "log_nowhere:one: there is no module 'log_nowhere' in"),
            ("log_broken:one", "log_broken:one: log_broken does not import: .*log_broken.py:1: ModuleNotFoundError"),
            ("log_setup:none", "log_setup:none: the module log_setup has no function none"),
            ("log_setup:number", "log_setup:number: the module log_setup has no function number"),
            ("log_setup:wrong", "log_setup:wrong: it returned 'stderr'; a logging.Handler or a list of them is wanted"),
            ("log_setup:broken", "log_setup:broken raised OSError: no such host"),
            ("log_setup:leaving", "log_setup:leaving raised SystemExit: 3"),
        ],
    )
    def test_what_is_wrong_is_said_with_the_setting_and_the_function(self, source, says):
        with pytest.raises(ConfigurationError, match=f"^setting log_handlers: {says}"):
            handlers_from([source])

    def test_a_function_travels_by_its_name_if_it_can_be_imported_by_it(self):
        import log_setup

        assert importable_name(log_setup.one) == "log_setup:one"
        assert importable_name("log_setup:one") == "log_setup:one"
        for function in (lambda: None, _main_function()):
            with pytest.raises(ConfigurationError, match="setting log_handlers: workers cannot import"):
                importable_name(function)


def _main_function():
    def made():
        return None

    made.__module__, made.__qualname__ = "__main__", "made"
    return made
