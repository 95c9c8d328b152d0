"""Every metric, named once. Labels are bounded: operations, codes, venues and states, never ids."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from storage.ports import JournalRow

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_LATENCY_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BUCKET_NAMES: Final = (*map(str, _LATENCY_BUCKETS), "+Inf")
_NONE: Final = "none"


class _Series:
    """Answers to one operation with one code: how many took how long, and seconds altogether."""

    __slots__ = ("in_bucket", "seconds")

    def __init__(self) -> None:
        self.in_bucket = [0] * len(_BUCKET_NAMES)
        self.seconds = 0.0


class RequestCounts(Collector):
    """What every request adds to, as plain numbers of the one thread that serves; told as metrics when asked for.

    The library's own counters take locks and several lookups for each.
    """

    def __init__(self) -> None:
        self._series: defaultdict[tuple[str, str], _Series] = defaultdict(_Series)

    def add(self, operation: str, code: str, seconds: float) -> None:
        series = self._series[operation, code]
        series.in_bucket[bisect_left(_LATENCY_BUCKETS, seconds)] += 1
        series.seconds += seconds

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        requests = CounterMetricFamily(
            "venuegate_requests_total",
            "Requests answered, by operation and by code (OK or the error's).",
            labels=("operation", "code"),
        )
        by_operation: defaultdict[str, list[_Series]] = defaultdict(list)
        for (operation, code), series in list(self._series.items()):
            requests.add_metric((operation or _NONE, code), sum(series.in_bucket))
            by_operation[operation or _NONE].append(series)
        yield requests
        latency = HistogramMetricFamily(
            "venuegate_request_seconds", "From a request's first byte to its answer.", labels=("operation",)
        )
        for operation, several in by_operation.items():
            in_bucket = map(sum, zip(*(series.in_bucket for series in several), strict=True))
            buckets = list(zip(_BUCKET_NAMES, accumulate(in_bucket), strict=True))
            latency.add_metric((operation,), buckets, sum(series.seconds for series in several))
        yield latency


class LimitChecks(Collector):
    """Requests whose limits were checked, by who did and what came of it: counted elsewhere, told as a metric."""

    def __init__(self, checks: Mapping[tuple[str, str], int]) -> None:
        self._checks = checks

    def collect(self) -> Iterator[CounterMetricFamily]:
        told = CounterMetricFamily(
            "venuegate_limit_checks_total",
            "Requests by how their limits were checked (shared or local) and what came of it: admitted,"
            " near_limit (admitted with less than a fifth of a window left) or refused.",
            labels=("by", "outcome"),
        )
        for labels, count in self._checks.items():
            told.add_metric(labels, count)
        yield told


class Metrics:
    """One registry per gateway, so that two in one process do not share counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        requests = RequestCounts()
        self.registry.register(requests)
        self.request = requests.add
        """``request(operation, code, seconds)`` counts an answer; ``operation`` is empty where it was never known."""
        self.limits_away = Gauge(
            "venuegate_limits_away",
            "1 while this worker counts its share of each limit by itself, because Redis does not answer.",
            registry=self.registry,
        )
        self.redis_lost = Gauge("venuegate_redis_lost", "How often Redis was lost since start.", registry=self.registry)
        self.redis_failures = Gauge(
            "venuegate_redis_failures",
            "Checks that Redis did not answer since start.",
            registry=self.registry,
        )
        self.live_workers = Gauge(
            "venuegate_live_workers", "Workers that are alive, as this one sees it.", registry=self.registry
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

    def order(self, row: JournalRow) -> None:
        self.orders.labels(row.exchange, row.state).inc()

    def exposition(self) -> bytes:
        return generate_latest(self.registry)
