"""Code that came as text: the one place where it is run, and only where the settings of the process say so."""

import ast
from collections.abc import Callable
from typing import Any

from penstock.config import settings
from penstock.errors import ConfigurationError

NAME = "<code on demand>"
"""How tracebacks call the file."""


def refuse_broken(code: str) -> str:
    """Refuse text that is no Python.

    Raises:
        ValueError: it is not; the line is named.
    """
    if not code.strip():
        raise ValueError("there is no code")
    _compiled(code, ())
    return code


def function_of(code: str, *names: str) -> Callable[..., Any]:
    """Return the function of these arguments whose body is the code, `return` and all.

    Raises:
        ConfigurationError: the settings of this process do not allow it.
    """
    if not settings().allow_on_demand_code:
        raise ConfigurationError(
            "this worker runs no code on demand; whoever trusts all who may make jobs sets allow_on_demand_code = true"
        )
    namespace: dict[str, Any] = {"__name__": "on_demand"}
    exec(_compiled(code, names), namespace)  # noqa: S102
    function: Callable[..., Any] = namespace["on_demand"]
    return function


def _compiled(code: str, names: tuple[str, ...]) -> Any:
    module = ast.parse(f"def on_demand({', '.join(names)}): pass")
    function = module.body[0]
    assert isinstance(function, ast.FunctionDef)
    try:
        # Parsed by itself, so that a line break in a text is no indentation, and line numbers are those of the text.
        function.body = ast.parse(code, NAME).body or function.body
        return compile(ast.fix_missing_locations(module), NAME, "exec")
    except SyntaxError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}") from None
