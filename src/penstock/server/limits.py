"""Limits on how many jobs run at once in the whole store, as one claim sees them.

What runs is a row of the store that changes in the transaction of each start and end, so within a claim's
transaction the numbers are exact, whatever other servers do.
"""

from collections import Counter
from functools import cached_property

from penstock.server.messages import KindFacts
from penstock.store.protocol import Store


def limit_name(facts: KindFacts, group: str | None) -> str | None:
    """Return the name of the limit that a job counts against: its throttle group, else its kind; None for none."""
    return group or (facts.name if facts.limit else None)


class Limits:
    """How many jobs run under each limit, those included that this claim has taken."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._taken: Counter[str] = Counter()
        self._taken_kinds: set[str] = set()

    def is_full(self, facts: KindFacts, group: str | None = None) -> bool:
        """Tell whether no job of the kind, or of this group of it, may start now."""
        name = limit_name(facts, group)
        if name is None or not facts.limit:
            return False
        return self._running.get(name, 0) + self._taken[name] >= facts.limit

    def blocks(self, facts: KindFacts) -> bool:
        """Tell whether a job runs of a kind that this one must not run beside."""
        if not facts.depends_on:
            return False
        return not self._taken_kinds.isdisjoint(facts.depends_on) or self._dependency_runs(tuple(facts.depends_on))

    def count(self, facts: KindFacts, group: str | None) -> None:
        """Note that a job was taken."""
        self._taken_kinds |= {facts.kind, facts.name}
        name = limit_name(facts, group)
        if name is not None:
            self._taken[name] += 1

    @cached_property
    def _running(self) -> dict[str, int]:
        return self._store.limits()

    def _dependency_runs(self, kinds: tuple[str, ...]) -> bool:
        if kinds not in self._known:
            self._known[kinds] = self._store.any_running(kinds) is not None
        return self._known[kinds]

    @cached_property
    def _known(self) -> dict[tuple[str, ...], bool]:
        return {}
