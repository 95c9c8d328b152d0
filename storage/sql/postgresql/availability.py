"""Whether the server answers, so that nobody waits for one that does not."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from storage.ports import StorageUnavailable
from storage.sql.postgresql.connecting import Connector
from storage.sql.postgresql.failures import afresh

PROBE_EVERY_S: Final = 0.25

_log = structlog.get_logger(__name__)


class Availability:
    """Once the server failed somebody, all are refused at once until one task of its own has got through to it.

    ``generation`` rises with every loss: connections of an earlier one may be dead without knowing it.
    """

    def __init__(self, connector: Connector) -> None:
        self.generation = 0
        self._connector = connector
        self._problem: StorageUnavailable | None = None
        self._probing: asyncio.Task[None] | None = None

    def require(self) -> None:
        """:raises StorageUnavailable: the server is known not to answer."""
        if self._problem is not None:
            raise afresh(self._problem)

    def lost(self, problem: StorageUnavailable) -> None:
        """Somebody found that the server does not answer, or not as it should."""
        if self._problem is None:
            _log.error("the database does not answer", problem=problem.problem, advice=problem.advice)
            self._problem = problem
            self.generation += 1
            self._probing = asyncio.create_task(self._probe())

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait({self._probing})

    async def _probe(self) -> None:
        while self._problem is not None:
            try:
                connection = await self._connector.open()
            except StorageUnavailable as problem:
                self._problem = problem
                await asyncio.sleep(PROBE_EVERY_S)
            except Exception:
                # Without this task nobody would be let through again.
                _log.exception("the database could not be looked at; it is tried again")
                await asyncio.sleep(PROBE_EVERY_S)
            else:
                connection.terminate()
                self._problem = None
                _log.warning("the database answers again")
