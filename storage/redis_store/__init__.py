"""What many workers share, in Redis or Redis Cluster: counted limits, news of changes, nonces, MCP sessions.

    address       where Redis is
    line          one connection: timeouts, and a connection lost rather than a call cancelled
    servers       one Redis or a cluster; scripts over keys
    failures      what goes wrong, in words
    checks        is it the Redis that the gateway needs
    counters      limits

Nothing that matters has its only home here. Every key begins with ``vg:`` and expires.
"""

from __future__ import annotations

from storage.redis_store.address import RedisAddress, parse_address
from storage.redis_store.checks import check
from storage.redis_store.counters import RedisCounters
from storage.redis_store.servers import Server, server_at

__all__ = ["RedisAddress", "RedisCounters", "Server", "check", "parse_address", "server_at"]
