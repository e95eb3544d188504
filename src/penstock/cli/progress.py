"""How a run is shown: a live bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import IO, Any

from penstock.service.batch_run import Observer

LINE_SECONDS = 2.0
"""How often a plain line is written."""

_TITLES = {"upload": "uploading", "process": "processing", "download": "writing"}


def progress_for(stream: IO[str], *, quiet: bool) -> "Shown":
    """Return the way to show progress on this stream."""
    if quiet:
        return Shown()
    return Bar() if stream.isatty() else Lines(stream)


class Shown(Observer):
    """Shows nothing; the others show more."""

    def phase(self, name: str, total: int | None, done: int = 0) -> None:
        """A part begins."""

    def progress(self, done: int, failed_slices: int) -> None:
        """So many records are done."""

    def line(self, text: str) -> None:
        """Write a line of output of user code, without disturbing what is shown."""
        sys.stderr.write(f"{text}\n")

    def close(self) -> None:
        """Show no more."""


class Lines(Shown):
    """A plain line now and then."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._title = ""
        self._total: int | None = None
        self._before = 0
        self._began = self._told = time.monotonic()
        self._last = (0, 0)

    def phase(self, name: str, total: int | None, done: int = 0) -> None:
        """End the last part with a line of its sum, and begin another."""
        self.close()
        self._title, self._total, self._before = _TITLES[name], total, done
        self._began = self._told = time.monotonic()

    def progress(self, done: int, failed_slices: int) -> None:
        """Write a line when one is due."""
        self._last = (done, failed_slices)
        if time.monotonic() - self._told >= LINE_SECONDS:
            self._told = time.monotonic()
            self._write()

    def close(self) -> None:
        """Write the sum of the last part."""
        if self._last[0]:
            self._write()
        self._last = (0, 0)

    def _write(self) -> None:
        done, failed = self._last
        seconds = max(time.monotonic() - self._began, 1e-6)
        rate = (done - self._before) / seconds
        of = f" of {self._total:,}" if self._total else ""
        left = f", {_duration((self._total - done) / rate)} left" if self._total and rate and done < self._total else ""
        bad = f", {_failed(failed)}" if failed else ""
        self._stream.write(f"{self._title}: {done:,}{of} records, {rate:,.0f}/s{left}{bad}\n")
        self._stream.flush()


class Bar(Shown):
    """A live bar with records, records/s, time left and failed slices."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            TextColumn("{task.fields[records]} records  {task.fields[rate]}/s"),
            TimeRemainingColumn(),
            TextColumn("[red]{task.fields[failed]}"),
            console=self._console,
            refresh_per_second=4,
        )
        self._task: Any = None
        self._total: int | None = None
        self._began, self._before = time.monotonic(), 0
        self._progress.start()

    def phase(self, name: str, total: int | None, done: int = 0) -> None:
        """End the last bar, and begin another."""
        self._end_bar()
        self._began, self._before, self._total = time.monotonic(), done, total
        self._task = self._progress.add_task(
            _TITLES[name], total=total, completed=done, records=f"{done:,}", rate="-", failed=""
        )

    def progress(self, done: int, failed_slices: int) -> None:
        """Move the bar."""
        if self._task is not None:
            rate = (done - self._before) / max(time.monotonic() - self._began, 1e-6)
            failed = _failed(failed_slices) if failed_slices else ""
            self._progress.update(self._task, completed=done, records=f"{done:,}", rate=f"{rate:,.0f}", failed=failed)

    def _end_bar(self) -> None:
        """Fill the bar of a part whose size was not known, so that it stands still."""
        if self._task is not None:
            done = next(task.completed for task in self._progress.tasks if task.id == self._task)
            self._progress.update(self._task, total=done or 1, completed=done or 1)
            self._progress.stop_task(self._task)

    def line(self, text: str) -> None:
        """Write a line above the bars."""
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the bars as they are."""
        if self._task is not None and self._total is None:
            self._end_bar()
        self._progress.stop()


def _failed(slices: int) -> str:
    return f"{slices:,} failed slice{'s' if slices > 1 else ''}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
