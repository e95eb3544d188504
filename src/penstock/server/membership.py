"""Membership: a dispatcher shows itself at its store, looks after the dead, and is woken, from start to stop."""

import os
import socket
from contextlib import suppress

from penstock import clock
from penstock.errors import StoreError
from penstock.server.dispatcher import Dispatcher
from penstock.server.rescue import Rescuer, Sweeper
from penstock.store.protocol import Store, Topic
from penstock.store.rows import ServerRow


class Membership:
    """One dispatcher's place among those that share a store."""

    def __init__(self, store: Store, name: str, dispatcher: Dispatcher) -> None:
        self._store = store
        self._name = name
        self._dispatcher = dispatcher
        self._rescuer = Rescuer(store, name)
        self.sweeper = Sweeper(store, self._rescuer)
        dispatcher.at_leisure = self.sweeper.do

    def begin(self, *, processes: int, slots: int) -> None:
        """Appear, take over what the dead of this host left, and have the dispatcher take turns."""
        self._presence = self._store.appear(self._name)
        self._rescuer.look()
        self._store.register_server(
            ServerRow(
                name=self._name,
                host=socket.gethostname(),
                pid=os.getpid(),
                state="starting",
                started_at=clock.now(),
                heartbeat=0,
                processes=processes,
                slots=slots,
            )
        )
        self._listening = self._store.listen(Topic.WORK, self._dispatcher.wake)
        self.sweeper.start()
        self._dispatcher.start()

    def end(self) -> None:
        """End the dispatcher, when no worker runs anything any more, and disappear."""
        self._dispatcher.close()
        self.sweeper.stop()
        self._listening.close()
        with suppress(StoreError):
            # When the store refuses, the next server on this host finds us gone and does it.
            self._store.release_server(self._name)
        self._presence.close()
