"""What Redis and the way to it say when something is wrong, as words an operator can act on."""

from __future__ import annotations

from typing import Final, NamedTuple

from redis import exceptions

from storage.ports import StorageUnavailable
from storage.redis_store.address import RedisAddress

GOES_ON: Final = "Meanwhile every worker counts its share of each limit by itself."


class WrongRedis(StorageUnavailable):
    """It can be reached, but the gateway cannot use it as it is: waiting does not help, the operator has to."""


class _Words(NamedTuple):
    problem: str
    advice: str
    kind: type[StorageUnavailable] = StorageUnavailable


_LOGIN: Final = _Words(
    "Redis at {address} does not take the password",
    "Correct user and password in VENUEGATE_REDIS_URL (redis://USER:PASSWORD@HOST); /, @, : and % in a password"
    " are written %2F, %40, %3A and %25.",
    WrongRedis,
)
_MAY_NOT: Final = _Words(
    "The user that the gateway has at Redis {address} may not do what it needs",
    "Give it these rights: ~vg:* resetchannels &vg:* +@read +@write +@connection +@scripting +@pubsub +info +time"
    " (ACL SETUSER name ...).",
    WrongRedis,
)
_IS_A_CLUSTER: Final = _Words(
    "Redis at {address} is a node of a Redis Cluster",
    "Write redis+cluster:// in VENUEGATE_REDIS_URL instead of redis://.",
    WrongRedis,
)
_IS_NO_CLUSTER: Final = _Words(
    "Redis at {address} is not a cluster",
    "Write redis:// in VENUEGATE_REDIS_URL instead of redis+cluster://.",
    WrongRedis,
)
_MOVING: Final = _Words("The Redis Cluster at {address} moves its keys about", "Wait until it has. {goes_on}")
_READ_ONLY: Final = _Words(
    "Redis at {address} is a read-only replica",
    "Name the primary in VENUEGATE_REDIS_URL, or finish the failover. {goes_on}",
)

# By the code that an answer of Redis begins with. An answer to a script has it somewhere in its text (before Redis 7).
_BY_CODE: Final = {
    "WRONGPASS": _LOGIN,
    "NOAUTH": _LOGIN,
    "NOPERM": _MAY_NOT,
    "MOVED": _IS_A_CLUSTER,
    "CROSSSLOT": _IS_A_CLUSTER,
    "READONLY": _READ_ONLY,
    "OOM": _Words(
        "Redis at {address} is full",
        "Raise its maxmemory or take other data out of it: an account that was active within two days needs about"
        " 200 bytes. {goes_on}",
    ),
    "MISCONF": _Words(
        "Redis at {address} refuses writes, because it cannot save to its disk",
        "See its log and the space on its disk. {goes_on}",
    ),
    "NOREPLICAS": _Words(
        "Redis at {address} refuses writes, because too few of its replicas are connected",
        "Bring them back, or lower its min-replicas-to-write. {goes_on}",
    ),
    "LOADING": _Words("Redis at {address} is still loading its data", "Wait until it has. {goes_on}"),
    "CLUSTERDOWN": _Words(
        "The Redis Cluster at {address} is down",
        "Bring back the nodes that it misses (`redis-cli cluster nodes` shows them). {goes_on}",
    ),
}
_BY_TEXT: Final = {
    "max number of clients reached": _Words(
        "Redis at {address} takes no more connections", "Raise its maxclients. {goes_on}"
    ),
    "Cluster mode is not enabled": _IS_NO_CLUSTER,
    "user executing the script": _MAY_NOT,
}
_BY_CLASS: Final = (
    (
        exceptions.InvalidResponse,
        _Words("What answers at {address} is no Redis", "Correct VENUEGATE_REDIS_URL.", WrongRedis),
    ),
    (exceptions.AuthenticationError, _LOGIN),
    (
        (exceptions.TimeoutError, TimeoutError),
        _Words(
            "Redis at {address} does not answer in time",
            "See what keeps it or the network busy: `redis-cli --latency`, `redis-cli slowlog get`. {goes_on}",
        ),
    ),
    (
        (exceptions.ConnectionError, OSError),
        _Words("Redis at {address} cannot be reached", "Start it, or correct VENUEGATE_REDIS_URL. {goes_on}"),
    ),
)


def translated(error: BaseException, address: RedisAddress) -> StorageUnavailable:
    """``error`` as an operator is to see it. What the server said is not repeated: it may hold what was sent to it."""
    cause = error
    # The cluster's client wraps what its nodes said.
    while isinstance(cause, exceptions.RedisClusterException) and cause.__cause__ is not None:
        cause = cause.__cause__
    words = _words(cause)
    if words is _IS_A_CLUSTER and address.is_cluster:
        words = _MOVING
    words = words or _Words(f"Redis at {{address}} fails ({type(cause).__name__})", "See its log. {goes_on}")
    found = _spoken(words, address)
    found.__cause__ = error
    return found


def too_old(address: RedisAddress, version: str, least: str) -> WrongRedis:
    return WrongRedis(
        f"Redis at {address} is version {version}; the gateway needs {least} or newer",
        "Upgrade it, or name another one in VENUEGATE_REDIS_URL.",
    )


def wrong_kind(address: RedisAddress) -> StorageUnavailable:
    """A cluster where none was named, or the other way about."""
    return _spoken(_IS_NO_CLUSTER if address.is_cluster else _IS_A_CLUSTER, address)


def read_only(address: RedisAddress) -> StorageUnavailable:
    return _spoken(_READ_ONLY, address)


def _spoken(words: _Words, address: RedisAddress) -> StorageUnavailable:
    return words.kind(words.problem.format(address=address), words.advice.format(goes_on=GOES_ON))


def _words(error: BaseException) -> _Words | None:
    said = str(error)
    code = getattr(error, "status_code", None)
    if code in _BY_CODE:
        return _BY_CODE[code]
    for text, words in _BY_TEXT.items():
        if text in said:
            return words
    if isinstance(error, exceptions.ResponseError):
        for word in said.split():
            if (code := word.strip("-:")) in _BY_CODE:
                return _BY_CODE[code]
    return next((words for kind, words in _BY_CLASS if isinstance(error, kind)), None)
