"""What the profile reads of other programs, in the words of those."""

import os

from benchmarks import roles, statements, syncs

STRACE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 90.00    5.314562        2607      2038         1 fdatasync
 10.00    0.500000        2500       200           fsync
------ ----------- ----------- --------- --------- ----------------
100.00    5.814562        2607      2238         1 total
"""
LOG = """\
2026-11-28 13:06:31.001 UTC [77] LOG:  duration: 0.250 ms  parse <unnamed>: SELECT 1
2026-11-28 13:06:31.001 UTC [77] LOG:  duration: 0.500 ms  bind <unnamed>: SELECT 1
2026-11-28 13:06:31.002 UTC [77] LOG:  duration: 0.125 ms  execute <unnamed>: SELECT 1
2026-11-28 13:06:31.002 UTC [77] LOG:  duration: 0.010 ms  bind <unnamed>: COMMIT
2026-11-28 13:06:31.003 UTC [77] LOG:  duration: 2.000 ms  execute <unnamed>: COMMIT
2026-11-28 13:06:31.003 UTC [77] LOG:  duration: 0.100 ms  statement: BEGIN
"""


def test_syncs_are_those_of_both_sorts():
    assert syncs._read(STRACE) == syncs.Syncs(2238, 5.814562)


def test_nothing_that_was_synced_is_nothing():
    assert syncs._read("") == syncs.Syncs(0, 0)


def test_statements_are_planned_and_run_apart_from_commits():
    assert statements._read(LOG) == statements.Statements(1, 0.75, 0.125, 2.01)


def test_a_library_is_told_as_the_layer_it_belongs_to():
    for library, layer in {
        "/usr/lib/libpython3.11.so.1.0": "interpreter",
        "/usr/lib/python3.11/lib-dynload/_sqlite3.cpython-311-x86_64-linux-gnu.so": "SQLite",
        "/usr/lib/python3.11/site-packages/pydantic_core/_pydantic_core.so": "pydantic",
        "/usr/lib/python3.11/site-packages/unheard/of.so": "other libraries",
        "[kernel.kallsyms]": "kernel",
    }.items():
        assert roles._layer(library) == layer


def test_a_block_is_charged_to_the_role_of_this_process(tmp_path):
    with roles.spending(roles.Ground(tmp_path), {os.getpid(): "client"}, looks=False) as spent:
        sum(range(1_000_000))
    assert 0 < spent.cpu["client"] <= spent.wall * 2
    assert spent.peak_mb > 0
