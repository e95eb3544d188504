"""Figures of a server for Prometheus, on a port of their own when asked for.

Counters count what this server did since it started. The gauge of jobs is read from the store when Prometheus asks,
once in `FRESH_SECONDS` at most, since counting reads every job.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from penstock import clock, events
from penstock.errors import ConfigurationError, MissingExtra
from penstock.query import Query
from penstock.store.protocol import Store

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import GaugeMetricFamily

FRESH_SECONDS = 15.0
BUCKETS = (0.005, 0.025, 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 3600, 21600)
"""Bounds of the histogram of durations, in seconds."""


@contextmanager
def figures_served(store: Store, port: int, holding: Callable[[], int], host: str = "127.0.0.1") -> Iterator[int]:
    """Serve figures over HTTP for the length of a `with` block; yields the port, which 0 lets the system choose.

    Args:
        store: The store whose jobs are counted.
        port: The port.
        holding: Tells how many pieces of work the server holds.
        host: The address to listen at: this machine only, by default.

    Raises:
        MissingExtra: the library is not installed.
        ConfigurationError: the port cannot be had.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise MissingExtra("--metrics", "metrics") from None
    registry = CollectorRegistry()
    counted = _Counted(registry, store, holding)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise ConfigurationError(f"--metrics {port}: {error.strerror}; choose another port") from None
    try:
        with events.subscribed(events.Event, counted.note):
            yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Counted:
    def __init__(self, registry: "CollectorRegistry", store: Store, holding: Callable[[], int]) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        self._store = store
        self._lock = threading.Lock()
        self._read: tuple[float, dict[str, int]] | None = None
        self._ended = Counter("penstock_jobs", "Jobs that ended here.", ["kind", "outcome"], registry=registry)
        self._seconds = Histogram(
            "penstock_job_seconds", "How long completed jobs ran.", ["kind"], buckets=BUCKETS, registry=registry
        )
        self._slices = Counter("penstock_slices_failed", "Slices that failed here.", ["kind"], registry=registry)
        self._workers = Counter("penstock_workers_died", "Worker processes that died.", registry=registry)
        self._troubles = Counter("penstock_store_troubles", "Turns that the store refused.", registry=registry)
        Gauge("penstock_holding", "Pieces of work this server holds.", registry=registry).set_function(holding)
        registry.register(self)

    def note(self, event: events.Event) -> None:
        """Count an event."""
        match event:
            case events.JobCompleted():
                self._ended.labels(event.kind, "completed").inc()
                self._seconds.labels(event.kind).observe(event.seconds)
            case events.JobFailed():
                self._ended.labels(event.kind, "failed").inc()
            case events.JobRetried():
                self._ended.labels(event.kind, "retried").inc()
            case events.JobHeld():
                self._ended.labels(event.kind, "held").inc()
            case events.SliceFailed():
                self._slices.labels(event.kind).inc()
            case events.WorkerDied():
                self._workers.inc()
            case events.StoreTroubled():
                self._troubles.inc()

    def collect(self) -> "Iterator[GaugeMetricFamily]":
        """Yield the gauge of jobs by state, as Prometheus asks for it."""
        from prometheus_client.core import GaugeMetricFamily

        gauge = GaugeMetricFamily("penstock_jobs_stored", "Jobs in the store.", labels=["state"])
        for state, count in self._counts().items():
            gauge.add_metric([state], count)
        yield gauge

    def describe(self) -> list[Any]:
        """Return nothing: the library would otherwise collect once, to learn the names."""
        return []

    def _counts(self) -> dict[str, int]:
        with self._lock:
            if self._read is None or clock.monotonic() - self._read[0] > FRESH_SECONDS:
                counts = self._store.count_by_state(Query())
                self._read = clock.monotonic(), {str(state): count for state, count in counts.items()}
            return self._read[1]
