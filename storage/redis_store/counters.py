"""Limits counted in Redis: one script, one round trip, Redis's own clock.

An account has one key, ``vg:limits:{ACCOUNT}``, a hash of the minute it stands at and what is counted in it and in its
day. Both windows in one place are always in one slot of a cluster, are found with one look, and expire together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from storage.ports import Charge, Correction, Counted, SharedCounters
from storage.redis_store.servers import Script, Server

SERVER_TIME: Final = "redis.call('TIME')"
"""A Lua expression for {seconds, microseconds}."""
NOTICE_MS: Final = 2_000
PATIENT_S: Final = 0.5

_RETURN_KEY: Final = "vg:limits-return"
# A key is worth keeping while its day lasts. Twice that, so that midnight finds the accounts of the day before.
_KEEP_S: Final = 2 * 86_400

_NOW: Final = """
local time = {clock}
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local minute = math.floor(now / 60000)
"""
# A row: now, how many were admitted (-1: nothing is remembered), the minute, what is counted in it and in its day.
_CHARGE: Final = """
local rows = {}
for i, key in ipairs(KEYS) do
  local per_minute, per_day, requests = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  local found = redis.call('HMGET', key, 'minute', 'in_minute', 'in_day')
  local at, in_minute, in_day = tonumber(found[1]), tonumber(found[2]), tonumber(found[3])
  if at then
    local new_day = false
    if minute > at then
      new_day = math.floor(minute / 1440) > math.floor(at / 1440)
      at, in_minute = minute, 0
      if new_day then in_day = 0 end
    end
    local admitted = math.max(0, math.min(requests, per_minute - in_minute, per_day - in_day))
    if admitted > 0 then
      in_minute, in_day = in_minute + admitted, in_day + admitted
      redis.call('HSET', key, 'minute', at, 'in_minute', in_minute, 'in_day', in_day)
      if new_day then redis.call('EXPIRE', key, KEEP) end
    end
    rows[i] = {now, admitted, at, in_minute, in_day}
  else
    rows[i] = {now, -1, minute, 0, 0}
  end
end
return rows
"""
_CORRECT: Final = """
local rows = {}
for i, key in ipairs(KEYS) do
  local given = {}
  for j = 1, 6 do given[j] = tonumber(ARGV[6 * (i - 1) + j]) end
  local minute, more_in_minute, more_in_day, least_in_minute, least_in_day, create = unpack(given)
  local found = redis.call('HMGET', key, 'minute', 'in_minute', 'in_day')
  local at, in_minute, in_day = tonumber(found[1]), tonumber(found[2]), tonumber(found[3])
  if at or create == 1 then
    at, in_minute, in_day = at or minute, in_minute or 0, in_day or 0
    if minute > at then
      if math.floor(minute / 1440) > math.floor(at / 1440) then in_day = 0 end
      at, in_minute = minute, 0
    end
    if minute == at then in_minute = math.max(in_minute + more_in_minute, least_in_minute) end
    if math.floor(minute / 1440) == math.floor(at / 1440) then
      in_day = math.max(in_day + more_in_day, least_in_day)
    end
    redis.call('HSET', key, 'minute', at, 'in_minute', in_minute, 'in_day', in_day)
    redis.call('EXPIRE', key, KEEP)
  end
  rows[i] = {}
end
return rows
"""
# Asked by one who was cut off, it is a write, and so shows that Redis takes some.
_REOPENING: Final = """
local left_in = tonumber(ARGV[1])
local agreed = tonumber(redis.call('GET', KEYS[1]) or 0)
if left_in >= 0 then
  if agreed < minute or agreed <= left_in then agreed = math.floor((now + NOTICE) / 60000) + 1 end
  redis.call('SET', KEYS[1], agreed, 'EX', 300)
end
return {{now, agreed}}
"""


class RedisCounters(SharedCounters):
    """``clock`` is ``SERVER_TIME`` but for tests."""

    def __init__(self, server: Server, *, clock: str = SERVER_TIME) -> None:
        self._server = server
        now = _NOW.replace("{clock}", clock)
        self._charge = Script(now + _CHARGE.replace("KEEP", str(_KEEP_S)))
        self._correct = Script(_CORRECT.replace("KEEP", str(_KEEP_S)))
        self._reopening = Script(now + _REOPENING.replace("NOTICE", str(NOTICE_MS)))

    async def charge(self, charges: Sequence[Charge]) -> Sequence[Counted]:
        keys = [_key(charge.account_id) for charge in charges]
        arguments: list[int] = []
        for charge in charges:
            arguments += (charge.per_minute, charge.per_day, charge.requests)
        return [Counted(*row) for row in await self._server.run(self._charge, keys, arguments)]

    async def correct(self, corrections: Sequence[Correction]) -> None:
        keys = [_key(one.account_id) for one in corrections]
        arguments: list[int] = []
        for one in corrections:
            arguments += (one.minute, one.more_in_minute, one.more_in_day)
            arguments += (one.least_in_minute, one.least_in_day, int(one.create))
        await self._server.run(self._correct, keys, arguments)

    async def reopening(self, left_in: int | None) -> tuple[int, int]:
        within_s = None if left_in is None else PATIENT_S
        asked = [-1 if left_in is None else left_in]
        (row,) = await self._server.run(self._reopening, [_RETURN_KEY], asked, within_s=within_s)
        return row[0], row[1]

    async def close(self) -> None:
        await self._server.close()


def _key(account_id: str) -> str:
    return f"vg:limits:{{{account_id}}}"
