"""Settings, from `penstock.configure(...)`, the environment (`PENSTOCK_STORE`, …) or `[tool.penstock]`
in the `pyproject.toml` of the working directory: the first of these that has a value decides.
"""

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from penstock.errors import ConfigurationError

DEFAULT_STORE = "sqlite:///penstock.db"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, with its default."""

    store: str = DEFAULT_STORE
    """Where jobs live: `sqlite:///relative/path.db`, `sqlite:////absolute/path.db`, `sqlite://` (memory),
    or `postgresql://host/database`."""
    slices_store: str | None = None
    """A second store, by its URL, for what is bulky: the records of batch jobs. None: they are in `store` too."""
    app: tuple[str, ...] = ()
    """Modules with job classes, as `module`, `module:function` or a folder. Empty: `./jobs` where it exists."""
    timezone: str = "UTC"
    """The zone in which times are shown and schedules without a zone are read."""
    durability: str = "full"
    """`full`: what a call returned from survives a power cut. `normal`: it survives a crash of the program."""
    max_record: int = 16 * MIB
    """Bytes of the longest record that an upload accepts."""
    max_slice: int = 4 * MIB
    """Bytes at which a slice closes, however few records it has."""
    max_document: int = 16 * MIB
    """Bytes of the fields of one job, as they are stored."""
    dead_after: int = 30
    """Seconds without a heartbeat after which others take over what a server holds. The same on all servers of a
    store: one that cannot store a heartbeat for two thirds of this stops."""
    allowed_roots: tuple[str, ...] = ()
    """Folders, as absolute paths or URLs, that files which an entry for a watched folder names must lie in. Empty:
    there are none, and no folder is watched."""
    allow_on_demand_code: bool = False
    """Whether workers run the code that `OnDemand` jobs carry: whoever may make jobs may then run any code there."""
    max_upload: int = 16 * 1024 * MIB
    """Bytes of the largest file that the console and the API take, as it is sent."""
    keyring: str | Callable[[], Any] | None = None
    """The file that holds the keys for sealed fields, or a function that gives a `penstock.keyring.Keyring`."""
    log_level: str | None = None
    """`trace`, `debug`, `info`, `warning`, `error` or `critical`. None: `info` for a server, `warning` for a run."""
    log_format: str = "text"
    """`text`, or `json`: an object on each line."""
    log_file: str | None = None
    """A file that every process appends what it logs to."""
    syslog: str | None = None
    """Where syslog is: `/dev/log`, or `host:port` for UDP."""
    log_handlers: tuple[str | Callable[[], Any], ...] = ()
    """Functions, as `module:function`, that return a `logging.Handler` or a list of them; called in each process."""
    tracing: str | Callable[[], Any] | None = None
    """A function, as `module:function`, that returns a `TracerProvider` of OpenTelemetry; called in each worker."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(",", " ").split() if word)


def _text(value: Any) -> str:
    return str(value)


def _text_or_callable(value: Any) -> Any:
    return value if value is None or callable(value) else str(value)


def _zone(value: Any) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(str(value)).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("there is no such time zone; write one as Europe/Berlin") from None


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)


def _choice(*choices: str) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return str(value)

    return convert


def _positive(value: Any) -> int:
    if int(value) < 1:
        raise ValueError("must be at least 1")
    return int(value)


def _several(value: Any) -> tuple[str, ...]:
    return _words(value) if isinstance(value, str) else tuple(map(str, value))


def _roots(value: Any) -> tuple[str, ...]:
    roots = [part.strip() for part in value.split(",")] if isinstance(value, str) else map(str, value)
    found = tuple(root for root in roots if root)
    for root in found:
        if not (root.startswith("/") or "://" in root):
            raise ValueError(f"{root} is neither an absolute path nor a URL")
    return found


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() not in ("true", "false", "1", "0"):
        raise ValueError("must be true or false")
    return str(value).lower() in ("true", "1")


def _level(value: Any) -> str | None:
    return None if value is None else _choice("trace", "debug", "info", "warning", "error", "critical")(value)


def _several_or_callables(value: Any) -> tuple[Any, ...]:
    values = (value,) if callable(value) else _words(value) if isinstance(value, str) else value
    return tuple(_text_or_callable(value) for value in values)


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "store": _text,
    "slices_store": _text_or_none,
    "app": _several,
    "timezone": _zone,
    "durability": _choice("full", "normal"),
    "max_record": _positive,
    "max_slice": _positive,
    "max_document": _positive,
    "dead_after": _positive,
    "allowed_roots": _roots,
    "allow_on_demand_code": _truth,
    "max_upload": _positive,
    "keyring": _text_or_callable,
    "log_level": _level,
    "log_format": _choice("text", "json"),
    "log_file": _text_or_none,
    "syslog": _text_or_none,
    "log_handlers": _several_or_callables,
    "tracing": _text_or_callable,
}


def _convert(name: str, value: Any, origin: str) -> Any:
    if name not in _CONVERTERS:
        raise ConfigurationError(f"{origin}: there is no setting {name!r}; known: {', '.join(_CONVERTERS)}")
    try:
        return _CONVERTERS[name](value)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{origin}: {name} = {value!r}: {error}") from None


@dataclass(slots=True)
class _Configured:
    explicit: dict[str, Any] = field(default_factory=dict)
    settings: Settings | None = None


_configured = _Configured()


def configure(**values: Any) -> Settings:
    """Set settings from the program; they win over the environment and `pyproject.toml`. Called again, it adds.

    Raises:
        ConfigurationError: there is no such setting, or its value does not fit.
    """
    _configured.explicit |= {name: _convert(name, value, "configure()") for name, value in values.items()}
    _configured.settings = None
    return settings()


@contextmanager
def overridden(**values: Any) -> Iterator[Settings]:
    """Set settings as `configure` does, for the length of a `with` block."""
    before = dict(_configured.explicit)
    try:
        yield configure(**values)
    finally:
        _configured.explicit = before
        _configured.settings = None


def settings() -> Settings:
    """Return the settings in force; read once, and again after each `configure`."""
    if _configured.settings is None:
        _configured.settings = replace(Settings(), **_gathered())
    return _configured.settings


def reset() -> None:
    """Forget what `configure` set and what was read. For tests."""
    _configured.explicit.clear()
    _configured.settings = None


def default_app() -> tuple[str, ...]:
    """Return the app modules in force: the setting, or the folder `jobs` where it exists."""
    return settings().app or (("jobs",) if Path("jobs").is_dir() else ())


def _gathered() -> dict[str, Any]:
    values = _from_pyproject(Path("pyproject.toml"))
    values |= _from_environment(os.environ)
    return values | _configured.explicit


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    names = {f"PENSTOCK_{f.name.upper()}": f.name for f in fields(Settings)}
    return {name: _convert(name, environ[var], var) for var, name in names.items() if environ.get(var)}


def _from_pyproject(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text("utf-8")).get("tool", {}).get("penstock", {})
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.absolute()}: {error}") from None
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path.absolute()}: tool.penstock must be a table: [tool.penstock]")
    return {name: _convert(name, value, f"{path}: [tool.penstock]") for name, value in table.items()}
