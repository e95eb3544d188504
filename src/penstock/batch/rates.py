"""Rate limits as text: `500/minute`."""

import re

from penstock.errors import ConfigurationError

_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_FORM = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/|per)\s*(second|minute|hour|day)\s*")


def seconds_per_record(text: str) -> float:
    """Return how long one record takes up of a rate limit.

    Raises:
        ConfigurationError: it is no rate limit.
    """
    found = _FORM.fullmatch(text)
    if found is None or float(found[1]) == 0:
        raise ConfigurationError(f"{text!r} is no rate limit; write a number and a period, as 500/minute")
    return _PERIODS[found[2]] / float(found[1])
