"""Importing what a process was told to import."""

import functools
import sys
from textwrap import dedent

import pytest

from penstock.errors import AppImportError
from penstock.model.kinds import known_kinds
from penstock.server.app import import_app, import_module, import_target

JOB = """
    from penstock import BatchJob, Job

    class {name}(Job):
        def perform(self):
            return 1

    class {name}Batch(BatchJob):
        def perform(self, record):
            return record

    def shout(line):
        '''Shout.'''
        return line.upper()

    async def later(line):
        return line

    number = 5
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a function that writes modules into the working directory; they are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(name, source):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source))
        return path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_module_in_the_working_directory_is_imported(folder):
    folder("app_one.py", JOB.format(name="AppOne"))
    import_app(["app_one"])
    assert {"AppOne", "AppOneBatch"} <= known_kinds().keys()


def test_a_class_is_found_by_module_and_name(folder):
    folder("app_two.py", JOB.format(name="AppTwo"))
    assert import_target("app_two:AppTwo") is known_kinds()["AppTwo"]


def test_a_function_becomes_a_batch_job_of_its_own_name_once(folder):
    folder("app_three.py", JOB.format(name="AppThree"))
    found = import_target("app_three:shout")
    assert (found.kind, found.batch, found.__doc__) == ("app_three:shout", True, "Shout.")
    assert import_target("app_three:shout") is found
    assert found().perform("a") == "A"
    import_app(["app_three:shout"])
    assert known_kinds()["app_three:shout"] is found


def test_a_folder_is_all_modules_in_it(folder):
    folder("work/__init__.py", "")
    folder("work/one.py", JOB.format(name="FolderOne"))
    folder("work/deep/two.py", JOB.format(name="FolderTwo"))
    import_app(["work"])
    assert {"FolderOne", "FolderTwo"} <= known_kinds().keys()
    assert "work.deep.two" in sys.modules


def test_a_folder_elsewhere_is_imported_too(folder, tmp_path, monkeypatch):
    folder("away/things/one.py", JOB.format(name="AwayOne"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    import_app(["../away/things"])
    assert "AwayOne" in known_kinds()


def test_a_module_that_is_not_there_is_named(folder):
    with pytest.raises(AppImportError, match="there is no module 'app_nowhere'"):
        import_app(["app_nowhere"])


def test_a_module_of_a_package_that_is_not_there_is_named(folder):
    folder("pack/__init__.py", "")
    with pytest.raises(AppImportError, match=r"there is no module 'pack\.nowhere'"):
        import_module("pack.nowhere")


@pytest.mark.parametrize("name", ["nothing", "AppFour.nothing", ""])
def test_an_attribute_that_is_not_there_is_named(folder, name):
    folder("app_four.py", JOB.format(name="AppFour"))
    with pytest.raises(AppImportError, match=f"app_four has no {name}"):
        import_target(f"app_four:{name}")


def test_what_is_neither_class_nor_function_is_refused(folder):
    folder("app_five.py", JOB.format(name="AppFive"))
    with pytest.raises(AppImportError, match="neither a job class nor a function"):
        import_target("app_five:number")


def test_an_async_function_is_refused(folder):
    folder("app_six.py", JOB.format(name="AppSix"))
    with pytest.raises(AppImportError, match="async"):
        import_target("app_six:later")


def test_a_callable_without_a_name_is_refused_or_taken_and_never_breaks(folder):
    folder("app_partial.py", "import functools\npart = functools.partial(int, base=16)\n")
    try:
        found = import_target("app_partial:part")
    except AppImportError:
        return
    assert found().perform("ff") == 255
    assert functools


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        ("import os\n\nraise ValueError('no good')\n", 3, "ValueError: no good"),
        ("def f():\n    return 1 / 0\n\nf()\n", 2, "ZeroDivisionError"),
        ("x = 1\ny = = 2\n", 2, "SyntaxError"),
        ("import os\nimport library_that_is_not_there\n", 2, "library_that_is_not_there"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit"),
        ("import sys\nsys.exit()\n", 2, "SystemExit"),
    ],
    ids=["raises", "deep", "syntax", "import", "exit", "exit 0"],
)
def test_a_module_that_does_not_import_is_named_with_file_and_line_of_the_users_code(folder, source, line, what):
    path = folder("app_broken.py", source)
    with pytest.raises(AppImportError) as caught:
        import_app(["app_broken"])
    message = str(caught.value)
    assert message.startswith("app_broken does not import: ")
    assert f"{path}:{line}: " in message
    assert what in message
    assert "penstock/server/app.py" not in message
    assert "\n" not in message


def test_a_module_it_imports_that_raises_is_named_with_its_own_file_and_line(folder):
    path = folder("app_inner.py", "\n\nraise RuntimeError('inner')\n")
    folder("app_outer.py", "import app_inner\n")
    with pytest.raises(AppImportError, match=rf"{path}:3: RuntimeError: inner"):
        import_app(["app_outer"])
