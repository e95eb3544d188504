"""Rows of text files: slices of 1000 records of ten fields, parsed and rendered beside the standard library."""

import csv
import io
import json
import time
from collections import deque
from collections.abc import Callable
from statistics import median

from penstock.bench.ground import Ground
from penstock.bench.report import Report, Row
from penstock.streams import cut_lines
from penstock.tabular import format_named

SETTINGS = {"row_rounds": (200, 5)}

COLUMNS = [f"column_{number}" for number in range(10)]
PLAIN = ["17", "alpha", "some text", "12.50", "2026-01-01", "xxxxxxxxxxxx", "0001", "y", "Zürich", "end"]
RECORDS = {
    "plain": PLAIN,
    "quoted field": [*PLAIN[:2], '"some, text"', *PLAIN[3:]],
    "empty fields": [*PLAIN[:3], "", *PLAIN[4:9], ""],
    "empty and doubled quotes": [*PLAIN[:2], '"some ""quoted"" text"', "", *PLAIN[4:]],
}

Step = Callable[[], object]


def run(_: Ground, *, row_rounds: int) -> Report:
    form = format_named("csv")
    parsing: list[Row] = []
    for title, record in RECORDS.items():
        lines = [",".join(record)] * 1000
        parsing.append(_pair(title, lambda lines=lines: _drain(form.parse(lines, COLUMNS)), _reader(lines), row_rounds))
    rows = list(form.parse([",".join(PLAIN)] * 1000, COLUMNS))
    rendering = [_pair("plain", lambda: form.render(rows, COLUMNS), _writer(rows), row_rounds)]
    jsonl = format_named("jsonl")
    lines = jsonl.render(rows, None)
    objects = [
        _pair(
            "parse", lambda: _drain(jsonl.parse(lines, None)), lambda: [json.loads(line) for line in lines], row_rounds
        ),
        _pair("render", lambda: jsonl.render(rows, None), lambda: [json.dumps(row) for row in rows], row_rounds),
    ]
    return Report(
        {
            "csv parsed, beside csv.DictReader": parsing,
            "csv rendered, beside a loop over csv.writer": rendering,
            "jsonl, beside the json module": objects,
            "lines cut into slices, beside lines without quotes": _cutting(row_rounds // 20 or 1),
        }
    )


def _pair(title: str, ours: Step, theirs: Step, rounds: int) -> Row:
    """Measure two in turns."""
    times = [(_seconds(ours), _seconds(theirs)) for _ in range(rounds + 1)][1:]
    return {
        "": title,
        "µs a slice": median(own for own, _ in times) * 1e6,
        "ratio": median(own / other for own, other in times),
        "rounds": rounds,
    }


def _seconds(step: Step) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def _drain(rows: object) -> None:
    deque(rows, maxlen=0)


def _reader(lines: list[str]) -> Step:
    return lambda: _drain(csv.DictReader(lines, COLUMNS))


def _writer(rows: list[Row]) -> Step:
    def write() -> list[str]:
        file = io.StringIO()
        writer = csv.writer(file)
        for row in rows:
            writer.writerow([row[column] for column in COLUMNS])
        return file.getvalue().split("\r\n")

    return write


def _cutting(rounds: int) -> list[Row]:
    quoted = b'0000017,"some text that goes on, for a while",and some more,end\n' * 100_000
    plain = quoted.replace(b'"', b"")
    broken = (
        b'0000017,"some text that goes\non, for a while",and some more,end\n' + quoted[: quoted.index(b"\n") + 1] * 9
    )
    cut = {
        "plain, as quoted": (plain, True),
        "a quoted field": (quoted, True),
        "every tenth over two lines": (broken * 10_000, True),
    }
    return [
        _pair(title, lambda args=args: _cut(*args), lambda: _cut(plain, False), rounds) for title, args in cut.items()
    ]


def _cut(data: bytes, quoted: bool) -> None:
    _drain(cut_lines(io.BytesIO(data), name="a.csv", records_per_slice=1000, quoted=quoted))
