"""From measurements to the few numbers that matter: medians over rounds, with their quartiles."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from benchmarks.rounds import Measurement


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """A figure above ``most`` fails the run: what it is today, and room for busy machines."""

    target: float
    most: float


BOUNDS: Final[Mapping[str, Bound]] = {
    "path_vs_aiohttp_cpu": Bound(target=1.1, most=1.5),
    "path_redis_vs_aiohttp_cpu": Bound(target=1.5, most=2.2),
    "mcp_call_vs_http_cpu": Bound(target=1.5, most=1.5),
    "mcp_read_vs_http_cpu": Bound(target=1.5, most=2.0),
    "mcp_sessions_mib": Bound(target=64, most=64),
    "hyperliquid_order_vs_ccxt_cpu": Bound(target=0.2, most=0.25),
    "paradex_order_vs_ccxt_cpu": Bound(target=0.04, most=0.07),
    "order_flushes_of_32": Bound(target=16, most=31),
    "order_postgres_flushes_of_32": Bound(target=16, most=31),
    "venue_sessions_mib": Bound(target=100, most=100),
    "venue_session_open_ms": Bound(target=20, most=60),
}


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """``of`` divided by ``to``, round by round."""

    key: str
    of: str
    to: str
    unit: str
    meaning: str


def _cpu(key: str, of: str, to: str, meaning: str) -> Ratio:
    return Ratio(key=key, of=of, to=to, unit="cpu_us", meaning=meaning)


def _throughput(key: str, of: str, to: str, meaning: str) -> Ratio:
    return Ratio(key=key, of=of, to=to, unit="per_second", meaning=meaning)


RATIOS: Final = (
    _cpu("path_vs_aiohttp_cpu", "path", "aiohttp", "whole path, no journal, against a bare aiohttp route"),
    _cpu("read_vs_aiohttp_cpu", "read", "aiohttp", "a read against a bare aiohttp route"),
    _cpu("order_vs_aiohttp_cpu", "order", "aiohttp", "a journaled paper order against a bare aiohttp route"),
    _cpu("fastapi_vs_path_cpu", "fastapi", "path", "the same job in FastAPI against the path"),
    _cpu("path_redis_vs_aiohttp_cpu", "path_redis", "aiohttp", "the path with limits in Redis against a bare route"),
    _cpu("path_redis_vs_path_cpu", "path_redis", "path", "limits in Redis against limits in the process"),
    _cpu(
        "fastapi_redis_vs_path_redis_cpu", "fastapi_redis", "path_redis", "both with limits in Redis, FastAPI's to ours"
    ),
    _cpu(
        "hyperliquid_order_vs_ccxt_cpu",
        "hyperliquid_order",
        "hyperliquid_ccxt",
        "an order through the whole gateway to a local Hyperliquid, against ccxt called directly",
    ),
    _cpu(
        "paradex_order_vs_ccxt_cpu",
        "paradex_order",
        "paradex_ccxt",
        "the same on a local Paradex; the gateway also asks what became of the order",
    ),
    _cpu("mcp_call_vs_http_cpu", "mcp_order", "order", "a journaled paper order as a tools/call against POST /v1"),
    _cpu("mcp_read_vs_http_cpu", "mcp_read", "read", "a read that costs next to nothing, likewise"),
    _throughput("path_vs_aiohttp_throughput", "path", "aiohttp", "requests per second, path to bare route"),
    _throughput("read_vs_aiohttp_throughput", "read", "aiohttp", "requests per second, read to bare route"),
    _throughput("order_vs_aiohttp_throughput", "order", "aiohttp", "journaled orders to bare route"),
    _throughput("path_vs_fastapi_throughput", "path", "fastapi", "requests per second, path to FastAPI"),
)

_FIGURES: Final[Mapping[str, Callable[[Measurement], float]]] = {
    "cpu_us": lambda measurement: measurement.cpu_us,
    "per_second": lambda measurement: measurement.per_second,
}
_COMMITTING: Final = ("order", "order_alone")
_ENGINES: Final = {"order": "SQLite", "order_postgres": "PostgreSQL"}
_WHAT: Final = {
    "aiohttp": "bare aiohttp route",
    "path": "whole path without journal, placeLimitOrder",
    "read": "whole path, getMarkPrice",
    "order": "journaled paper order, 16 connections",
    "order_alone": "journaled paper order, 1 connection",
    "mcp_order": "journaled paper order as a tools/call, 16 connections",
    "mcp_read": "whole path, getMarkPrice as a tools/call",
    "fastapi": "the same job in FastAPI",
    "path_redis": "whole path with limits in Redis, 16 connections",
    "fastapi_redis": "the same job in FastAPI with limits in Redis",
    "hyperliquid_order": "an order to a local Hyperliquid",
    "hyperliquid_ccxt": "ccxt called directly, the same order",
    "paradex_order": "an order to a local Paradex",
    "paradex_ccxt": "ccxt called directly, the same order",
    "paradex_batch": "ten orders to a local Paradex in one batch",
}

MEANINGS: Final[Mapping[str, str]] = {
    **{ratio.key: ratio.meaning for ratio in RATIOS},
    **{f"{name}_cpu_us": f"CPU microseconds per request: {what}" for name, what in _WHAT.items()},
    **{f"{name}_per_second": f"requests per second on one core: {what}" for name, what in _WHAT.items()},
    "path_first_cpu_us": "the same where key and credential may have to be looked up in the database",
    **{f"{name}_commits": f"database commits per order: {_WHAT[name]}" for name in _COMMITTING},
    **{
        f"{name}_own_{label}_ms": f"the gateway's own part of a paper order journaled in {engine}, half load, {label}"
        for name, engine in _ENGINES.items()
        for label in ("p50", "p99", "p999")
    },
    **{
        f"{name}_own_at_per_second": f"how many orders a second that was: {engine}" for name, engine in _ENGINES.items()
    },
    **{
        f"{name}_flushes_of_32": f"flushes of the journal for 32 orders of 32 connections: {engine}"
        for name, engine in _ENGINES.items()
    },
    **{
        f"disk_flush_{label}_ms": f"what a flush of 32 KiB takes by itself, where the journal is, {label}"
        for label in ("p50", "p99")
    },
    "max_loop_gap_ms": "how late a 1 ms ticker of the gateway was at worst while ten-leg Paradex batches ran",
    "max_loop_busy_ms": "most CPU that the event loop's thread used between two such ticks",
    "rss_after_start_mib": "resident memory of serve --demo once it answers, MiB",
    "rss_growth_million_keys_mib": "growth of a gateway with key_rows more keys in its database, MiB",
    "key_rows": "how many keys that were",
    "venue_sessions_mib": "growth of a gateway with 200 open sessions on one venue, the dearer one of two, MiB",
    "venue_session_open_ms": "how much longer the first question of a credential takes than the same again, likewise",
    "connection_kib": "what a gateway holds for an idle connection, KiB",
    "mcp_sessions_mib": "growth of a gateway with 10,000 open MCP sessions, MiB",
}
"""What each figure of the summary is."""


def summarize(found: Mapping[str, Sequence[Measurement]]) -> dict[str, Any]:
    """Flat numbers by key, and under ``spread`` the first and third quartile of each that is a median."""
    summary: dict[str, Any] = {}
    spread: dict[str, tuple[float, float]] = {}

    def put(key: str, values: Sequence[float]) -> None:
        summary[key] = _rounded(statistics.median(values))
        low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
        spread[key] = (_rounded(low), _rounded(high))

    for ratio in RATIOS:
        if ratio.of in found and ratio.to in found:
            figure = _FIGURES[ratio.unit]
            pairs = zip(found[ratio.of], found[ratio.to], strict=True)
            put(ratio.key, [figure(of) / figure(to) for of, to in pairs])
    for name, measurements in found.items():
        for unit, figure in _FIGURES.items():
            put(f"{name}_{unit}", [figure(measurement) for measurement in measurements])
    if "path" in found:
        put("path_first_cpu_us", [measurement.first_cpu_us for measurement in found["path"]])
    if "paradex_batch" in found:
        put("max_loop_gap_ms", [measurement.gaps.late_ms for measurement in found["paradex_batch"]])
        put("max_loop_busy_ms", [measurement.gaps.busy_ms for measurement in found["paradex_batch"]])
    for name in _COMMITTING:
        if name in found:
            put(f"{name}_commits", [measurement.commits for measurement in found[name]])
    return {**summary, "spread": spread}


def verdict(summary: Mapping[str, Any]) -> str | None:
    """What is wrong with the figures, or None."""
    over = [
        f"{key} is {summary[key]}: over the bound of {bound.most} (the target is {bound.target})"
        for key, bound in BOUNDS.items()
        if key in summary and summary[key] > bound.most
    ]
    return "\n".join(over) or None


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
