from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.latency import Latency, at
from benchmarks.rounds import LOADS, Measurement
from benchmarks.summary import BOUNDS, MEANINGS, summarize, verdict

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
PROMISED = {
    "path_vs_aiohttp_cpu",
    "read_vs_aiohttp_cpu",
    "order_vs_aiohttp_cpu",
    "fastapi_vs_path_cpu",
    "mcp_call_vs_http_cpu",
}
LATENCY = {
    *Latency(per_second=500.0, own_ms=[1.0, 2.0], flushes=8.0).summary("order"),
    *Latency(per_second=500.0, own_ms=[1.0, 2.0], flushes=8.0).summary("order_postgres"),
    "disk_flush_p50_ms",
    "disk_flush_p99_ms",
}
MEMORY = {
    "rss_after_start_mib",
    "rss_growth_million_keys_mib",
    "key_rows",
    "connection_kib",
    "mcp_sessions_mib",
    "venue_sessions_mib",
    "venue_session_open_ms",
}


def rounds(*cpu_us: float) -> list[Measurement]:
    return [Measurement(cpu_us=value, per_second=1e6 / value, commits=0.5, first_cpu_us=2 * value) for value in cpu_us]


def everything() -> dict[str, list[Measurement]]:
    return {load.name: rounds(100.0, 100.0, 100.0) for load in LOADS}


def test_every_figure_has_a_meaning_and_every_meaning_a_figure() -> None:
    figures = set(summarize(everything())) - {"spread"}
    assert figures >= PROMISED
    assert figures | MEMORY | LATENCY == set(MEANINGS)


def test_every_figure_is_explained_in_the_document() -> None:
    document = DOCUMENT.read_text()
    assert [key for key in MEANINGS if f"`{key}`" not in document] == []
    for key, bound in BOUNDS.items():
        assert f"| `{key}` | {bound.target:g} | {bound.most:g} |" in document


def test_a_ratio_is_the_median_of_its_rounds_and_shows_their_quartiles() -> None:
    summary = summarize({"aiohttp": rounds(100, 50, 200, 100, 100), "path": rounds(130, 65, 260, 200, 110)})
    # Each round is compared with itself: that one was slower for both of them changes nothing.
    assert summary["path_vs_aiohttp_cpu"] == 1.3
    assert summary["spread"]["path_vs_aiohttp_cpu"] == (1.3, 1.3)
    assert summary["path_cpu_us"] == 130
    assert "fastapi_vs_path_cpu" not in summary


@pytest.mark.parametrize("key", BOUNDS)
def test_a_ratio_over_its_bound_fails_the_run_and_is_named(key: str) -> None:
    bound = BOUNDS[key]
    assert bound.target <= bound.most
    assert verdict({key: bound.target}) is None
    assert verdict({key: bound.most}) is None
    assert key in (verdict({key: bound.most * 1.01}) or "")


def test_a_run_that_measured_no_ratio_judges_nothing() -> None:
    assert verdict(summarize({"aiohttp": rounds(100)})) is None


def test_a_percentile_is_an_order_that_was_measured() -> None:
    figures = [float(number) for number in range(1, 1001)]
    assert [at(share, figures) for share in (0.0, 0.5, 0.99, 0.999, 1.0)] == [1, 501, 991, 1000, 1000]


def test_the_report_has_a_row_for_every_figure(tmp_path: Path) -> None:
    summary = summarize(everything())
    summary["run"] = {"rounds": 3, "seconds": 1.0, "machine": "a machine"}
    report.write(summary, tmp_path)
    text = (tmp_path / report.REPORT).read_text()
    stored = json.loads((tmp_path / report.SUMMARY).read_text())
    for key in set(summary) - {"spread", "run"}:
        assert f"| `{key}` |" in text
        assert stored[key] == summary[key]
