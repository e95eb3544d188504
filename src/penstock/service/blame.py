"""What a user's own code raises where a person only asked for something: one line that says whose code it was."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from penstock.errors import ConfigurationError, PenstockError
from penstock.model.failure import describe


@contextmanager
def told_of_user_code(kind: str) -> Iterator[None]:
    """Turn what hooks and validators of a class raise into an error of ours. Errors of ours come out as they are.

    Raises:
        ConfigurationError: a field is not valid; each such field is named.
        PenstockError: a hook raised; the line is named.
    """
    try:
        yield
    except PenstockError:
        raise
    except ValidationError as error:
        raise ConfigurationError(f"{kind}: {told_of_fields(error)}") from None
    except Exception as error:
        raised = describe(error)
        place = f" at {raised.backtrace[-1]}" if raised.backtrace else ""
        raise PenstockError(f"the code of {kind} raised {raised.summary}{place}") from error


def told_of_fields(error: ValidationError) -> str:
    """Return which fields are not valid, and why. Their values are not told: they may be secret."""
    parts = [(".".join(map(str, part["loc"])), part["msg"]) for part in error.errors(include_input=False)]
    return "; ".join(f"{name}: {text}" if name else text for name, text in parts)
