"""From measurements to the few numbers that matter: medians over rounds, with their quartiles."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from benchmarks.rounds import Measurement

PATH_BOUND: Final = 3.2
"""``path_vs_aiohttp_cpu`` above this fails the run: what it is today and room for busy machines. The target is 1.3."""
PATH_TARGET: Final = 1.3


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
_WHAT: Final = {
    "aiohttp": "bare aiohttp route",
    "path": "whole path without journal, placeLimitOrder",
    "read": "whole path, getMarkPrice",
    "order": "journaled paper order, 16 connections",
    "order_alone": "journaled paper order, 1 connection",
    "fastapi": "the same job in FastAPI",
    "path_redis": "whole path with limits in Redis, 16 connections",
    "fastapi_redis": "the same job in FastAPI with limits in Redis",
}

MEANINGS: Final[Mapping[str, str]] = {
    **{ratio.key: ratio.meaning for ratio in RATIOS},
    **{f"{name}_cpu_us": f"CPU microseconds per request: {what}" for name, what in _WHAT.items()},
    **{f"{name}_per_second": f"requests per second on one core: {what}" for name, what in _WHAT.items()},
    "path_first_cpu_us": "the same where key and credential may have to be looked up in the database",
    **{f"{name}_commits": f"database commits per order: {_WHAT[name]}" for name in _COMMITTING},
    "rss_after_start_mib": "resident memory of serve --demo once it answers, MiB",
    "rss_growth_million_keys_mib": "growth of a gateway with key_rows more keys in its database, MiB",
    "key_rows": "how many keys that were",
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
    for name in _COMMITTING:
        if name in found:
            put(f"{name}_commits", [measurement.commits for measurement in found[name]])
    return {**summary, "spread": spread}


def verdict(summary: Mapping[str, Any]) -> str | None:
    """What is wrong with the figures, or None."""
    ratio = summary.get("path_vs_aiohttp_cpu")
    if ratio is not None and ratio > PATH_BOUND:
        return f"path_vs_aiohttp_cpu is {ratio}: over the bound of {PATH_BOUND} (the target is {PATH_TARGET})"
    return None


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
