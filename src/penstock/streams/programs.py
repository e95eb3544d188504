"""Another program that our bytes run through: fed and drained at once, without threads."""

import contextlib
import os
import select
from collections.abc import Sequence
from typing import IO

_BLOCK = 1 << 16
_TOLD = 1 << 16
"""Bytes of its standard error that are kept: the last ones."""


class Program:
    """A running program. It is fed and drained in steps, each of which waits until one of the two can be done."""

    def __init__(self, arguments: Sequence[str], secret: bytes | None = None, secret_option: str = "") -> None:
        """Start it.

        Args:
            arguments: The command.
            secret: Given to it through a pipe of its own. `None`: nothing.
            secret_option: The option that gets the number of that pipe.

        Raises:
            OSError: It cannot be started.
        """
        import subprocess

        handed: tuple[int, ...] = ()
        if secret is not None:
            reading, writing = os.pipe()
            os.write(writing, secret[:4000] + b"\n")
            os.close(writing)
            handed = (reading,)
            arguments = [arguments[0], secret_option, str(reading), *arguments[1:]]
        try:
            pipe = subprocess.PIPE
            environment = {**os.environ, "LC_ALL": "C"}
            self._process = subprocess.Popen(
                arguments, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=handed, env=environment
            )
        finally:
            for descriptor in handed:
                os.close(descriptor)
        self._owner = os.getpid()
        self._in: IO[bytes] | None = self._process.stdin
        self._out: IO[bytes] | None = self._process.stdout
        assert self._process.stderr is not None
        self._errors: IO[bytes] = self._process.stderr
        self._told = b""
        for stream in (self._in, self._out, self._errors):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)

    @property
    def ended(self) -> bool:
        """Whether all of its output was read."""
        return self._out is None

    @property
    def takes_more(self) -> bool:
        """Whether its standard input is open."""
        return self._in is not None

    def step(self, feed: memoryview) -> tuple[int, bytes]:
        """Wait until it takes or gives something; returns how much of `feed` it took, and what it gave.

        Must be given something to feed, unless the feeding has ended: both would wait for ever.
        """
        poll = select.poll()
        if self._in and feed:
            poll.register(self._in, select.POLLOUT)
        if self._out:
            poll.register(self._out, select.POLLIN)
            poll.register(self._errors, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll()}
        if self._errors.fileno() in ready:
            self._listen()
        taken, given = 0, b""
        if self._out and self._out.fileno() in ready:
            given = self._out.read(_BLOCK)
            if given == b"":
                self._out.close()
                self._out = None
        if self._in and feed and self._in.fileno() in ready:
            taken = self._fed(feed)
        return taken, given or b""

    def end_feeding(self) -> None:
        """Close its standard input."""
        if self._in:
            self._in.close()
            self._in = None

    def result(self) -> tuple[int, str]:
        """Wait for its end; returns the exit status and what it said on standard error."""
        status = self._process.wait()
        self._listen()
        self.close()
        return status, self._told.decode(errors="replace")

    def close(self) -> None:
        """Kill it if it still runs. Must not raise."""
        # A child after a fork has no say in what its parent started.
        if os.getpid() == self._owner and self._process.returncode is None:
            with contextlib.suppress(OSError):
                self._process.kill()
            self._process.wait()
        self._process.returncode = self._process.returncode or 0
        for stream in (self._in, self._out, self._errors):
            if stream:
                stream.close()
        self._in = self._out = None

    def _fed(self, feed: memoryview) -> int:
        assert self._in
        try:
            return self._in.write(feed[:_BLOCK]) or 0
        except BrokenPipeError:  # it has enough; why, its result tells
            self.end_feeding()
            return len(feed)

    def _listen(self) -> None:
        while not self._errors.closed and (said := self._errors.read(_BLOCK)):
            self._told = (self._told + said)[-_TOLD:]
