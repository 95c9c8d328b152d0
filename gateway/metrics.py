"""Every metric, named once. Labels are bounded: operations, codes, venues and states, never ids."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from storage.ports import JournalRow

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_LATENCY_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One registry per gateway, so that two in one process do not share counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "venuegate_requests_total",
            "Requests answered, by operation and by code (OK or the error's).",
            ("operation", "code"),
            registry=self.registry,
        )
        self._latency = Histogram(
            "venuegate_request_seconds",
            "From a request's first byte to its answer.",
            ("operation",),
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.orders = Counter(
            "venuegate_orders_total",
            "Orders by venue and the state they came to.",
            ("exchange", "state"),
            registry=self.registry,
        )
        self.in_flight = Gauge("venuegate_requests_in_flight", "Requests being answered.", registry=self.registry)
        self.orders_undecided = Gauge(
            "venuegate_orders_undecided", "Orders whose outcome is not known yet.", registry=self.registry
        )
        self.sessions_open = Gauge(
            "venuegate_venue_sessions_open", "Venue sessions that are open.", registry=self.registry
        )
        self.journal_commits = Gauge(
            "venuegate_database_commits", "Commits of the database since start.", registry=self.registry
        )
        self._counters: dict[tuple[str, str], Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def request(self, operation: str, code: str, seconds: float) -> None:
        """Count one answered request; ``operation`` is empty where it was never known."""
        key = (operation, code)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = self._requests.labels(operation or "none", code)
        counter.inc()
        histogram = self._histograms.get(operation)
        if histogram is None:
            histogram = self._histograms[operation] = self._latency.labels(operation or "none")
        histogram.observe(seconds)

    def order(self, row: JournalRow) -> None:
        self.orders.labels(row.exchange, row.state).inc()

    def exposition(self) -> bytes:
        return generate_latest(self.registry)
