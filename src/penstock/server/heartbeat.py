"""How a server shows that it lives, and how it is; and when it must fear that others take it for dead."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from penstock import clock, faults
from penstock.config import settings
from penstock.errors import StoreError
from penstock.server.chosen import Chosen
from penstock.server.messages import KindFacts
from penstock.server.tally import Tally
from penstock.states import ServerState
from penstock.store.protocol import Store

BEATS = 6
"""Heartbeats in the time after which a server without any is dead."""


class Heartbeat:
    """The counter of one server in the store, raised now and then, and the figures that are told with it."""

    def __init__(self, store: Store, server: str, chosen: Chosen) -> None:
        self._store = store
        self._server = server
        self._only = {} if chosen.only is None else {"only": str(chosen.only)}
        self.nodes: Callable[[], Sequence[Mapping[str, object]]] = tuple
        """Gives the nodes of a distributor, as plain data."""
        self.tally = Tally()
        dead_after = settings().dead_after
        self._pause = dead_after / BEATS
        # Others may soon take over what this server holds: it stops.
        self._too_long = dead_after * 2 / 3
        self._beaten = clock.monotonic() - self._pause

    def is_due(self) -> bool:
        """Tell whether it is time for the next one."""
        return clock.monotonic() - self._beaten >= self._pause

    def is_late(self) -> bool:
        """Tell whether there was none for so long that others may soon take this server for dead."""
        return clock.monotonic() - self._beaten > self._too_long

    def hasten(self) -> None:
        """Have the next one be due now, so that what has changed is seen soon."""
        self._beaten = min(self._beaten, clock.monotonic() - self._pause)

    def raise_counter(self, state: ServerState, kinds: Mapping[str, KindFacts], holding: int) -> bool:
        """Raise the counter and tell how the server is; False when others took it for dead."""
        facts = {
            kind: {"name": facts.name, "limit": facts.limit, "depends_on": facts.depends_on, **self._only}
            for kind, facts in kinds.items()
        }
        nodes = json.dumps(list(self.nodes()))
        known = self._store.beat(self._server, state, kinds=json.dumps(facts), holding=holding, nodes=nodes)
        faults.at("after_beat")
        return known

    def beat(self, state: ServerState, kinds: Mapping[str, KindFacts], holding: int) -> bool:
        """Raise the counter, with the figures; False when others took it for dead. Then none is due for a while."""
        with self._store.transaction():
            lives = self.raise_counter(state, kinds, holding)
            self.tally.store(self._store)
        self._beaten = clock.monotonic()
        return lives

    def tell_figures(self) -> None:
        """Store the figures, at the end of the server, where that can be done."""
        with suppress(StoreError):  # Nothing depends on them.
            self.tally.store(self._store)
