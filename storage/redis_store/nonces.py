"""One allocator for each signer: numbers that are milliseconds of Redis's clock and only rise, whoever asks."""

from __future__ import annotations

from typing import Final

from storage.redis_store.counters import SERVER_TIME
from storage.redis_store.servers import Script, Server

# Long after no venue takes a nonce of that age any more.
_KEEP_S: Final = 4 * 86_400

_NEXT: Final = """
local time = {clock}
local rows = {}
for i, key in ipairs(KEYS) do
  local period, given, above = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local nonce = math.max(now, above + 1, (tonumber(redis.call('GET', key)) or 0) + 1)
  if nonce % period >= given then nonce = nonce + period - nonce % period end
  redis.call('SET', key, string.format('%.0f', nonce), 'EX', KEEP)
  rows[i] = {nonce}
end
return rows
"""


class RedisNonces:
    """Of ``period`` numbers in a row it gives out the first ``given``; the others are the workers' own.

    A Redis that was wiped goes on by its clock, which has passed what was given out before: no signer needs more than a
    number every two milliseconds for long.
    """

    def __init__(self, server: Server, *, period: int, given: int, clock: str = SERVER_TIME) -> None:
        self._server = server
        self._shape = (period, given)
        self._next = Script(_NEXT.replace("{clock}", clock).replace("KEEP", str(_KEEP_S)))

    async def next(self, signer: str, above: int) -> int:
        """The next number of ``signer``, over ``above``.

        :raises StorageUnavailable: perhaps one was given out to nobody.
        """
        (row,) = await self._server.run(self._next, [f"vg:nonce:{{{signer}}}"], [*self._shape, above])
        return int(row[0])
