"""Hooks: methods of a job class that run at a named moment, declared rather than chained.

Those of a base class and of its subclasses all run: `before_…` in the order of declaration, base class first,
`after_…` in reverse. A method counts when it carries the decorator, or has the name of the moment.
The same method name runs once, in its newest definition.
"""

from collections.abc import Callable
from typing import TypeVar

Method = TypeVar("Method", bound=Callable[..., object])

HOOKS = {
    "before_batch": "once, before the first slice: the place to upload lazily",
    "after_batch": "once, after the last slice: the place to download",
}
"""The moments, each with when it comes."""

_MARK = "__penstock_hook__"


def before_batch(method: Method) -> Method:
    """Run the method once before the first slice. When it raises, the job fails; retried, it runs again."""
    setattr(method, _MARK, "before_batch")
    return method


def after_batch(method: Method) -> Method:
    """Run the method once after the last slice. When it raises, the job fails; retried, it runs again."""
    setattr(method, _MARK, "after_batch")
    return method


def collect_hooks(cls: type) -> dict[str, tuple[str, ...]]:
    """Return the method names for each moment that the class has any for, in the order in which they run."""
    found: dict[str, list[str]] = {}
    for owner in reversed(cls.__mro__):
        for name, member in vars(owner).items():
            moment = getattr(member, _MARK, name if callable(member) and name in HOOKS else None)
            if moment is not None and name not in found.setdefault(moment, []):
                found[moment].append(name)
    return {moment: tuple(reversed(names) if moment.startswith("after") else names) for moment, names in found.items()}
