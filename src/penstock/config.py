"""Settings, from `penstock.configure(...)`, the environment (`PENSTOCK_STORE`, …) or `[tool.penstock]`
in the `pyproject.toml` of the working directory: the first of these that has a value decides.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
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
    """Where jobs live: `sqlite:///relative/path.db`, `sqlite:////absolute/path.db`, or `sqlite://` (memory)."""
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


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(",", " ").split() if word)


def _text(value: Any) -> str:
    return str(value)


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


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "store": _text,
    "app": _several,
    "timezone": _text,
    "durability": _choice("full", "normal"),
    "max_record": _positive,
    "max_slice": _positive,
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
