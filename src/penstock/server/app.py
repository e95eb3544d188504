"""The app: the modules with job classes that a process was told to import, and nothing else."""

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from penstock.batch.job import batch_job_of
from penstock.errors import AppImportError, ConfigurationError, PenstockError
from penstock.model.job import Job
from penstock.model.kinds import known_kinds


def import_app(specs: Iterable[str]) -> None:
    """Import what each spec names: a module, `module:function`, or a folder of modules.

    The working directory is importable, as with `python -m`.

    Raises:
        AppImportError: it does not import; the message has the innermost line of the user's code.
    """
    make_importable(os.getcwd())
    for spec in specs:
        if os.path.isdir(spec):
            for name in _modules_in(Path(spec)):
                import_module(name)
        elif ":" in spec:
            import_target(spec)
        else:
            import_module(spec)


def import_target(spec: str) -> type[Job]:
    """Return the job class that `module:Class` names, or a batch job class for the function that it names.

    Raises:
        AppImportError: there is none.
    """
    module_name, _, name = spec.partition(":")
    target = _attribute(import_module(module_name), name, spec)
    if isinstance(target, type) and issubclass(target, Job):
        return target
    if inspect.iscoroutinefunction(target):
        raise AppImportError(f"{spec} is async; this version runs plain functions: use asyncio.run inside it")
    if inspect.isroutine(target):
        return known_kinds().get(spec) or batch_job_of(target, kind=spec)
    raise AppImportError(f"{spec} is neither a job class nor a function, but {target!r}")


def function_of(source: str | Callable[[], Any]) -> Callable[[], Any]:
    """Return the function that a setting names as `module:function`, or gives.

    Raises:
        ConfigurationError: there is none.
    """
    if callable(source):
        return source
    module_name, _, name = source.partition(":")
    if not name:
        raise ConfigurationError("write it as module:function")
    try:
        found: Any = import_module(module_name)
    except PenstockError as error:
        raise ConfigurationError(str(error)) from None
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ConfigurationError(f"the module {module_name} has no function {name}")
    return found  # type: ignore[no-any-return]


def import_module(name: str) -> ModuleType:
    """Import a module by name.

    Raises:
        AppImportError: it is not there, or raises.
    """
    make_importable(os.getcwd())
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and (name == missing or name.startswith(f"{missing}.")):
            raise AppImportError(f"there is no module {name!r} in {os.getcwd()} or on the Python path") from None
        what = str(error).partition("\n")[0]
        raise AppImportError(f"{name} does not import: {_where(error)}{type(error).__name__}: {what}") from error


def make_importable(folder: str) -> None:
    """Put a folder at the front of the import path, once."""
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)


def _attribute(module: ModuleType, name: str, spec: str) -> Any:
    target: Any = module
    for part in name.split("."):
        target = getattr(target, part, None)
    if target is None:
        raise AppImportError(f"{spec}: the module {module.__name__} has no {name}")
    return target


def _modules_in(folder: Path) -> Iterator[str]:
    if not folder.resolve().is_relative_to(Path.cwd()):
        make_importable(str(folder.resolve().parent))
        root = folder.resolve().parent
    else:
        root = Path.cwd()
    for path in sorted(folder.resolve().rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _where(error: BaseException) -> str:
    """Return the innermost line of the user's code, as `file:line: `."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    return f"{users[-1].filename}:{users[-1].lineno}: " if users else ""
