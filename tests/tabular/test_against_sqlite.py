"""csv as the sqlite3 program reads it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tabular.shapes import PIECES, rendered, text_format

# The program takes a NUL for the end of a text.
some_text = st.lists(st.sampled_from([piece for piece in PIECES if piece != "\x00"]), max_size=5).map("".join)


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="the sqlite3 program is not installed")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(some_text, st.none() | some_text, some_text), min_size=1, max_size=20))
def test_sqlite_imports_what_is_written(tmp_path: Path, rows: list[tuple[str, str | None, str]]):
    form = text_format("csv")
    lines = [form.header(["a", "b", "c"]) or "", *rendered("csv", rows)]
    path = tmp_path / "a.csv"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    script = f".import --csv {path} t\nSELECT json_group_array(json_array(a, b, c)) FROM t;\n"
    done = subprocess.run(["sqlite3", ":memory:"], input=script, capture_output=True, encoding="utf-8", check=True)
    assert json.loads(done.stdout) == [[value or "" for value in row] for row in rows]
