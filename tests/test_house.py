"""The house: what may import what, how long files are, what they are called, and that everything says what it is.

Read from the source by `ast`, so that imports inside functions count too. Those under `TYPE_CHECKING` do not:
nothing is imported by them.
"""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

import penstock
from penstock.store.statements import load_statements

SRC = Path(penstock.__file__).parent

LAYERS = [
    # Lowest first; each may import those above it in this list, and itself.
    ("errors", "clock"),
    # Beside errors and clock in the design; both refuse with an error.
    ("ids", "faults"),
    ("states", "keyring", "config"),
    ("query", "events", "streams", "records", "tracing"),
    # Rows of files; a table is written as any output is.
    ("tabular",),
    # The store's protocol deals in rows; `store/__init__` opens engines by the scheme of the settings' URL.
    ("hooks", "store"),
    # The model knows hooks and the store's protocol; never an engine.
    ("model",),
    # Engines implement the protocol: rows, states and time. They are loaded by name, never imported from below.
    ("plugins", "store.sqlite", "store.postgres", "store.split"),
    ("batch", "functions"),
    ("server",),
    ("jobs",),
    # Measurements run jobs and servers as anybody does.
    ("bench",),
    ("service", "distributor"),
    ("web",),
    # `penstock web` serves the console.
    ("cli",),
    # `python -m penstock` is the command line; `testing` is what a user's own tests need.
    ("__main__", "testing"),
]

MAX_LINES = 450
NAMELESS = {"utils", "util", "helpers", "helper", "common", "base", "manager", "managers", "misc", "tools"}
OS_MODULES = {"subprocess", "multiprocessing", "asyncio", "socket", "socketserver", "selectors", "concurrent", "http"}

OUTSIDE = {
    "streams.programs": {"subprocess"},
    "streams.schemes.web": {"http"},
    "model.event_loop": {"asyncio", "concurrent"},
    "batch.concurrently": {"asyncio"},
    "functions.handle": {"asyncio"},
    "functions.function": {"asyncio"},
}
"""gpg is run, files are fetched, and an `async` perform is awaited: nothing else below the server does such things."""


@cache
def modules():
    """Return each module's name below `penstock`, with its path and syntax tree."""
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = (path, ast.parse(path.read_text("utf-8")))
    return found


def room(module):
    """Return the part of the house a module belongs to: `store.sqlite.lock` is of `store.sqlite`."""
    names = [name for layer in LAYERS for name in layer]
    fitting = [name for name in names if module == name or module.startswith(name + ".")]
    return max(fitting, key=len, default=None)


def floor(name):
    return next(level for level, layer in enumerate(LAYERS) if name in layer)


def imports(module):
    """Yield (line, full name) of everything a module imports; `from penstock import clock` is penstock.clock."""
    _, tree = modules()[module]
    skipped = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.dump(test.test)
        for child in test.body
        for node in ast.walk(child)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative imports hide where they lead"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                known = inner.removeprefix("penstock.") in modules()
                yield node.lineno, inner if node.module == "penstock" or known else node.module


def inner_imports(module):
    """Yield (line, module) of what a module imports of penstock itself."""
    for line, name in imports(module):
        if name.startswith("penstock."):
            yield line, name.removeprefix("penstock.")


ROOMS = sorted(name for name in modules() if name)


def test_every_module_has_its_place():
    assert [name for name in ROOMS if room(name) is None] == []


@pytest.mark.parametrize("module", ROOMS)
def test_imports_point_down_only(module):
    own = room(module)
    upward = [
        f"line {line}: {target}"
        for line, target in inner_imports(module)
        if room(target) != own and floor(room(target)) >= floor(own)
    ]
    assert upward == []


def test_the_package_itself_imports_nothing_when_it_is_imported():
    assert [name for _, name in imports("") if name.startswith("penstock")] == []


def test_the_store_deals_in_rows_and_knows_no_model():
    for module in ROOMS:
        if room(module).startswith("store"):
            assert [t for _, t in inner_imports(module) if room(t) in ("model", "batch", "hooks")] == [], module


def test_only_the_store_itself_names_an_engine():
    for module in ROOMS:
        if not room(module).startswith("store."):
            assert [t for _, t in inner_imports(module) if room(t).startswith("store.")] == [], module


@pytest.mark.parametrize("alone", ["streams", "records", "keyring", "query", "events", "hooks", "tabular"])
def test_what_could_be_a_library_of_its_own_knows_errors_and_states_at_most(alone):
    allowed = {
        "query": {"errors", "states"},
        "streams": {"errors", "config", "keyring", "faults"},
        "tabular": {"errors", "streams"},
    }.get(alone, {"errors"})
    for module in ROOMS:
        if room(module) == alone:
            assert {room(target) for _, target in inner_imports(module)} <= allowed | {alone}, module


def test_nothing_below_the_server_knows_of_processes_or_the_network():
    below = floor("server")
    for module in ROOMS:
        if floor(room(module)) < below:
            found = {name.partition(".")[0] for _, name in imports(module)} & OS_MODULES
            # Stores name this process after its host, and wake others by a datagram.
            own = {"socket"} if room(module).startswith("store") else set()
            assert found <= own | OUTSIDE.get(module, set()), module


@pytest.mark.parametrize("library", ["pickle", "marshal", "shelve", "dill", "cloudpickle"])
def test_no_executable_serialisation_is_imported(library):
    assert [module for module in modules() for _, name in imports(module) if name.partition(".")[0] == library] == []


def test_nothing_stored_is_ever_run_but_code_on_demand():
    for module, (_, tree) in modules().items():
        if module == "jobs.code":
            continue  # Which asks the settings of its own process first.
        names = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert names & {"eval", "exec", "compile", "__import__"} == set(), module


@pytest.mark.parametrize("module", sorted(modules()))
def test_no_module_is_too_long(module):
    path, _ = modules()[module]
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


def test_no_module_has_a_name_that_says_nothing():
    assert [name for name in ROOMS if NAMELESS & set(name.split("."))] == []


def public(tree, prefix=""):
    """Yield the public functions, classes and methods of a module; not functions in functions, not overloads."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in node.decorator_list):
                continue
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node, f"{prefix}{node.name}.")


@pytest.mark.parametrize("module", sorted(modules()))
def test_everything_public_says_what_it_is(module):
    _, tree = modules()[module]
    assert ast.get_docstring(tree), "the module itself"
    assert [name for name, node in public(tree) if not ast.get_docstring(node)] == []


ONLY_IN = {
    # One writer at a time: rows are taken and settled one by one, or many by their ids.
    "sqlite": {
        "claim_job", "claim_many", "claim_slice", "delete_payload", "delete_settled_job", "delete_settled_many",
        "delete_settled_slice",
        "drop_output", "drop_payloads", "failed_count", "insert_output", "insert_payload", "insert_slice",
        "last_slice_id", "missing_payloads", "payload", "queued_slices", "records_by_output",
        "records_by_state", "records_processed", "release_held_jobs", "remove_job",
        "set_rate", "stop_slice", "unfinished_slices",
    },
    # Many at once: locks, whole arrays by one statement, and signs of life and wake-ups that are in the database.
    "postgres": {
        "accounts", "add_listener", "announce", "any_queued", "claim_alike", "claim_jobs", "claim_slices", "copy_jobs",
        "copy_outputs", "copy_payloads", "delete_payloads", "delete_settled_alike", "delete_settled_jobs",
        "delete_settled_slices", "drop_dead_listeners",
        "drop_outputs_at", "drop_unfinished",
        "fields_for_change", "insert_and_announce", "insert_slices", "job_for_change",
        "job_standings",
        "lock_candidates", "lock_job", "lock_limits", "lock_presence",
        "presence", "presences", "progress", "remove_listener", "remove_listeners_of",
        "remove_jobs", "remove_presence", "shares", "show_presence", "spend_rate", "stop_slices", "table_sizes",
        "take_turns", "unlock_presence",
    },
}  # fmt: skip
"""What an engine's statements do in a way of its own."""


class TestSql:
    ENGINES = ("postgres", "sqlite")

    def used(self, engine):
        """Return the names that an engine takes from SQL, and the words that may be such names where it loops."""
        exact, possible = set(), set()
        for module, (_, tree) in modules().items():
            if room(module) != f"store.{engine}":
                continue
            nodes = list(ast.walk(tree))
            keys = [node.slice for node in nodes if isinstance(node, ast.Subscript) and self.is_sql(node.value)]
            exact |= {key.value for key in keys if isinstance(key, ast.Constant)}
            if not all(isinstance(key, ast.Constant) for key in keys):
                words = {node.value for node in nodes if isinstance(node, ast.Constant)}
                possible |= {word for word in words if isinstance(word, str)}
        return exact, possible

    def is_sql(self, node):
        """Tell whether this is the statements of an engine: `SQL[…]`, or `self.sql[…]` where they differ by store."""
        return (isinstance(node, ast.Name) and node.id == "SQL") or (
            isinstance(node, ast.Attribute) and node.attr in ("sql", "_sql")
        )

    @pytest.mark.parametrize("engine", ENGINES)
    def test_each_statement_that_an_engine_uses_is_defined_and_none_is_left_over(self, engine):
        defined = set(load_statements(engine))
        exact, possible = self.used(engine)
        assert exact - defined == set()
        assert defined - exact - possible == set()

    def test_engines_define_the_same_names_but_for_what_they_do_in_another_way(self):
        named = {engine: set(load_statements(engine)) for engine in self.ENGINES}
        shared = set.intersection(*named.values())
        assert {engine: names - shared for engine, names in named.items()} == ONLY_IN

    @pytest.mark.parametrize("engine", ENGINES)
    def test_a_statement_is_in_the_file_of_a_module_that_uses_it(self, engine):
        for path in (SRC / "store" / "sql" / engine).glob("*.sql"):
            module = (SRC / "store" / engine / f"{path.stem}.py").read_text("utf-8")
            names = re.findall(r"^-- name: (\w+)$", path.read_text("utf-8"), re.MULTILINE)
            assert [name for name in names if f'"{name}"' not in module and name not in BY_ANOTHER] == [], path


BY_ANOTHER = {"announce", "take_turns", "lock_candidates"}
"""Statements that the store itself uses, or that their module puts together."""


class TestPublicNames:
    def test_each_name_of_the_package_can_be_imported_from_it(self):
        for name in penstock.__all__:
            assert getattr(importlib.import_module("penstock"), name) is not None

    def test_all_is_exactly_what_the_package_offers(self):
        offered = set(penstock._HOMES)
        assert set(penstock.__all__) == offered
        assert len(penstock.__all__) == len(offered)
        assert offered <= set(dir(penstock))

    def test_type_checkers_are_told_of_the_same_names_from_the_same_places(self):
        _, tree = modules()[""]
        told = {
            alias.name: node.module
            for test in tree.body
            if isinstance(test, ast.If)
            for node in test.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert told == penstock._HOMES

    def test_a_name_that_there_is_not_is_an_attribute_error(self):
        with pytest.raises(AttributeError, match="no attribute 'Jobb'"):
            _ = penstock.Jobb


@pytest.mark.parametrize("name", sorted(name for layer in LAYERS for name in layer))
def test_no_part_of_the_house_is_named_twice(name):
    assert sum(name in layer for layer in LAYERS) == 1
