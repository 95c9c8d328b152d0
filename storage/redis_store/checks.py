"""Is this the Redis that the gateway needs?"""

from __future__ import annotations

from typing import Final

import msgspec

from storage.redis_store.failures import read_only, too_old, wrong_kind
from storage.redis_store.servers import Server

LEAST_VERSION: Final = "6.2"
CHECK_WITHIN_S: Final = 2.0

_KEY: Final = "vg:check"


class RedisState(msgspec.Struct, frozen=True, kw_only=True):
    """``servers`` is how many take writes, ``eviction`` the policy by which a full one forgets what it has, if any.

    ``now_ms`` is its clock.
    """

    version: str
    servers: int
    eviction: str | None
    now_ms: int


async def check(server: Server, *, within_s: float = CHECK_WITHIN_S) -> RedisState:
    """Ask each server what it is, and write something.

    :raises WrongRedis: too old, a cluster where none was named or the reverse, a password that it does not take.
    :raises StorageUnavailable: it is absent, slow, full, a replica, or takes no writes for another reason.
    """
    told = await server.info(within_s=within_s)
    for info in told:
        version = info.get("redis_version", "0")
        if _numbers(version) < _numbers(LEAST_VERSION):
            raise too_old(server.address, version, LEAST_VERSION)
        if (info.get("redis_mode") == "cluster") is not server.address.is_cluster:
            raise wrong_kind(server.address)
        if info.get("role") == "slave":
            raise read_only(server.address)
    await server.ask("SET", _KEY, 1, "EX", 10, within_s=within_s)
    seconds, microseconds = await server.ask("TIME", within_s=within_s)
    policies = {info.get("maxmemory_policy", "noeviction") for info in told}
    return RedisState(
        version=min((info["redis_version"] for info in told), key=_numbers),
        servers=len(told),
        eviction=next(iter(policies - {"noeviction"}), None),
        now_ms=int(seconds) * 1000 + int(microseconds) // 1000,
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
