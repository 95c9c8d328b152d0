from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import Metrics
from gateway.workers.gathered_metrics import gathered
from gateway.workers.seat import sockets_for


@contextlib.asynccontextmanager
async def worker_at(path: Path, metrics: Metrics) -> AsyncIterator[None]:
    async def expose(request: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition())

    application = web.Application()
    application.router.add_get("/metrics", expose)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    yield
    await runner.cleanup()


async def test_every_series_of_every_worker_is_told_once_under_its_worker() -> None:
    one, two, own = Metrics(), Metrics(), Metrics()
    for _ in range(3):
        one.request("getBalance", "OK", 0.01)
    two.request("getBalance", "OK", 0.02)
    with sockets_for(()) as sockets:
        paths = {"0": sockets.directory / "m0", "1": sockets.directory / "m1", "2": sockets.directory / "absent"}
        async with worker_at(paths["0"], one), worker_at(paths["1"], two):
            text = (await gathered(paths, own.exposition())).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    counts = {
        sample.labels["worker"]: sample.value
        for sample in families["venuegate_requests"].samples
        if sample.labels["operation"] == "getBalance"
    }
    assert counts == {"0": 3.0, "1": 1.0}
    histogram = families["venuegate_request_seconds"]
    assert histogram.type == "histogram"
    assert {sample.labels["worker"] for sample in histogram.samples} == {"0", "1"}
    assert {sample.labels["worker"] for sample in families["venuegate_requests_in_flight"].samples} == {
        "owner", "0", "1",
    }  # fmt: skip
    assert text.count("# TYPE venuegate_requests_total") == 1
