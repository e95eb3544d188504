"""A server: one dispatcher, its worker processes, and signs of life, from start to stop."""

import threading
from functools import partial

from penstock import events
from penstock.errors import PenstockError
from penstock.server.crew import Crew
from penstock.server.dispatcher import Dispatcher
from penstock.server.log_keeping import LinesOfServer
from penstock.server.membership import Membership
from penstock.server.options import ServerOptions, settings_of_workers
from penstock.states import Command
from penstock.store import process_name
from penstock.store.protocol import Store


class Server:
    """A running server. `start`, then `stop`; `failed` tells what made it end by itself."""

    def __init__(self, store: Store, options: ServerOptions) -> None:
        self.name = process_name()
        self.failed: PenstockError | None = None
        self.ended = threading.Event()
        """Set when the server cannot go on, or has stopped."""
        self._store = store
        self._options = options
        # Of this store, which need not be the one that the settings name.
        stores = {"store": store.url, "slices_store": getattr(store, "slices_url", None)}
        self._crew = Crew(self.name, options, {**settings_of_workers(), **stores, **options.logging}, self._give_up)
        self.dispatcher = Dispatcher(store, self.name, self._crew.pool.send, chosen=options.chosen)
        self._crew.boss = self.dispatcher
        self.dispatcher.on_lost = self._give_up
        self.dispatcher.on_command = self._obey
        self.stop_asked = threading.Event()
        """Set when somebody asked the server to stop, from elsewhere."""
        self._membership = Membership(store, self.name, self.dispatcher)
        self._lines = LinesOfServer(store.add_log_lines)
        self._crew.on_lines = self._lines.take
        self._crew.on_look = self._store_lines
        self._obeying = False
        self._started = False
        self.killed = False
        """Whether it is to end without letting anything finish."""

    def start_workers(self) -> None:
        """Start the worker processes. They import the app while the caller may still upload."""
        self._crew.start()

    def start(self) -> None:
        """Appear, take over what the dead of this host left, and take work."""
        self._membership.begin(processes=self._options.process_count, slots=self._options.workers)
        self._started = True
        events.publish(events.ServerStarted(self.name, self._options.process_count, self._options.workers))

    def stop(self, grace: float = 30.0) -> None:
        """Claim nothing more, let what runs finish within `grace` seconds, and hand the rest back without blame.

        Of a server that was never started only the workers end.
        """
        if not self._started:
            self._crew.pool.kill()
            self._crew.pool.stop()
            return
        self.dispatcher.drain(grace)
        # Workers first: what is handed back may run elsewhere at once.
        if self.killed:
            self._crew.pool.kill()
        self._crew.pool.stop()
        self._membership.sweeper.do(self._lines.store)
        self._membership.end()
        self._crew.closed = True
        self.ended.set()
        events.publish(events.ServerStopped(self.name))

    def kill(self) -> None:
        """Kill the workers at once. What they held is taken over by the next server on this host."""
        self._crew.pool.kill()

    def _store_lines(self) -> None:
        if self._lines:
            self._membership.sweeper.do(self._lines.store)

    def reload(self) -> None:
        """Replace all workers by new ones, which import the app anew. What runs is finished first."""
        self._crew.reload()

    def _obey(self, command: str) -> None:
        """Have it done what was asked from elsewhere, one thing after another. Called again until it is answered."""
        if not self._obeying:
            self._obeying = True
            self._membership.sweeper.do(partial(self._answer, command))

    def _answer(self, command: str) -> None:
        """Do it, show it, and say so."""
        try:
            answer = self._done(command)
            self.dispatcher.beat()
            self._store.answer_command(self.name, command, answer)
        finally:
            self._obeying = False
            self.dispatcher.wake()  # Somebody may have asked for something else meanwhile.

    def _done(self, command: str) -> str:
        answer = "done"
        match command:
            case Command.PAUSE:
                self.dispatcher.pause()
            case Command.RESUME:
                self.dispatcher.resume()
            case Command.STOP:
                self.stop_asked.set()
            case Command.KILL:
                self.killed = True
                self.stop_asked.set()
            case Command.DUMP:
                answer = self._crew.dumps.gather()
        return answer

    def _give_up(self, error: PenstockError) -> None:
        self.failed = self.failed or error
        self._crew.closed = True
        self.ended.set()
