"""The metrics of all workers at one address: every series of each, with the label ``worker``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import aiohttp
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

PATH: Final = "/metrics"
OWNER: Final = "owner"
ANSWER_WITHIN_S: Final = 1.0

_log = structlog.get_logger(__name__)


async def gathered(sockets: Mapping[str, Path], own: bytes) -> bytes:
    """What the workers that answer say, by name, and what the owner has to say itself: ``own``."""
    texts = await asyncio.gather(*map(_ask, sockets.values()))
    said = {OWNER: own.decode(), **{name: text for name, text in zip(sockets, texts, strict=True) if text is not None}}
    return generate_latest(_Merged(said))


async def _ask(path: Path) -> str | None:
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path)), timeout=timeout) as client,
            client.get(f"http://worker{PATH}") as answer,
        ):
            return await answer.text()
    # It has died and is started again, or is busy: the others count all the same.
    _log.warning("a worker does not tell its metrics", socket=path.name)
    return None


class _Merged(CollectorRegistry):
    """``said`` is the exposition of each worker."""

    def __init__(self, said: Mapping[str, str]) -> None:
        super().__init__()
        self._said = said

    def collect(self) -> Iterable[Metric]:
        merged: dict[str, Metric] = {}
        for worker, text in self._said.items():
            for family in text_string_to_metric_families(text):
                into = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    into.samples.append(sample._replace(labels={"worker": worker, **sample.labels}))
        return merged.values()
