"""What the gateway needs kept, as protocols and the records they carry. No engine appears here.

Times are UTC epoch milliseconds. Ids are UUID strings made by the caller. Every method that changes something returns
when the change is durable, unless it says otherwise, and raises ``StorageUnavailable`` when it could not be made; then
nothing was changed, unless the connection to a server was lost in the middle of its commit: nobody knows what became of
that, and who repeats it finds out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, Protocol

import msgspec


class StorageUnavailable(Exception):
    """The store did not take it: full disk, locked or missing database. ``advice`` tells an operator what to do."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}. {advice}")
        self.problem = problem
        self.advice = advice


class Tier(StrEnum):
    FREE = "free"
    BUILDER = "builder"
    PRO = "pro"

    @property
    def rank(self) -> int:
        return _TIER_RANK[self]


_TIER_RANK: Final = {Tier.FREE: 0, Tier.BUILDER: 1, Tier.PRO: 2}


class KeyEnvironment(StrEnum):
    LIVE = "live"
    TEST = "test"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    account_id: str
    name: str
    tier: Tier
    created_at_ms: int


class Scopes(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may do. None means everything its tier may; an empty set means nothing. Only ever narrowed.

    ``confirm_above`` is the value of a request's orders, in quote units, above which a person has to say yes to them.
    """

    operations: frozenset[str] | None = None
    credentials: frozenset[str] | None = None
    exchanges: frozenset[str] | None = None
    confirm_above: Decimal | None = None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is stored: ``digest`` is HMAC-SHA256 of the whole key under pepper ``pepper_version``.

    ``prefix`` is its first 12 characters. The key itself is nowhere.
    """

    key_id: str
    account_id: str
    environment: KeyEnvironment
    label: str
    prefix: str
    digest: bytes
    pepper_version: int
    scopes: Scopes
    created_at_ms: int
    expires_at_ms: int | None = None
    revoked_at_ms: int | None = None
    last_used_at_ms: int | None = None


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """One venue account. ``wrapped_key`` and ``sealed`` are the vault's; ``address``, ``fingerprint`` may be shown."""

    credential_id: str
    account_id: str
    exchange: str
    network: str
    label: str
    address: str
    fingerprint: str
    row_version: int
    wrapped_key: bytes
    sealed: bytes
    created_at_ms: int
    revoked_at_ms: int | None = None


class SealedSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret of the gateway itself (pepper, order id key), wrapped by the master key. One per name and version."""

    name: str
    version: int
    wrapped: bytes


class KeyWithAccount(msgspec.Struct, frozen=True, kw_only=True):
    key: ApiKey
    account: Account


class Directory(Protocol):
    """Accounts, keys, credentials. Every change raises ``revision`` by one, in the same transaction."""

    async def revision(self) -> int: ...

    async def create_account(self, account: Account) -> None:
        """:raises ValueError: there is an account of that name."""
        ...

    async def enroll(self, account: Account, key: ApiKey, credential: Credential) -> None:
        """A new account with its first key and credential, all of them or none.

        :raises ValueError: there is an account of that name.
        """
        ...

    async def account(self, account_id: str) -> Account | None: ...
    async def account_named(self, name: str) -> Account | None: ...
    async def accounts(self) -> Sequence[Account]: ...
    async def set_tier(self, account_id: str, tier: Tier) -> None: ...

    async def create_key(self, key: ApiKey, *, at_most: int) -> bool:
        """False, and nothing stored, when the account already has ``at_most`` live keys."""
        ...

    async def replace_key(self, old_key_id: str, new: ApiKey, revoked_at_ms: int) -> bool:
        """Store ``new`` and revoke the old one in one transaction; False when the old one is not there or not live."""
        ...

    async def key_by_digest(self, digest: bytes) -> KeyWithAccount | None: ...
    async def key(self, key_id: str) -> ApiKey | None: ...
    async def keys(self, account_id: str | None = None) -> Sequence[ApiKey]: ...
    async def revoke_key(self, key_id: str, at_ms: int) -> bool:
        """False when there is no such key or it was revoked before."""
        ...

    async def narrow_key(self, key_id: str, scopes: Scopes, expires_at_ms: int | None) -> None:
        """Store scopes that the caller has already intersected with the present ones."""
        ...

    async def touch_keys(self, last_used: dict[str, int]) -> None:
        """Set ``last_used_at_ms`` of many keys at once. Does not raise ``revision``."""
        ...

    async def create_credential(self, credential: Credential) -> None: ...
    async def credential(self, credential_id: str) -> Credential | None: ...
    async def credentials(self, account_id: str | None = None) -> Sequence[Credential]:
        """Those not revoked, oldest first."""
        ...

    async def update_credential(self, credential: Credential, expected_version: int) -> bool:
        """Replace the row if its ``row_version`` is still ``expected_version``."""
        ...

    async def revoke_credential(self, credential_id: str, at_ms: int) -> bool:
        """Mark it revoked and wipe its secrets."""
        ...

    async def secrets(self) -> Sequence[SealedSecret]: ...
    async def put_secrets(self, secrets: Sequence[SealedSecret], *, replace: bool = False) -> None:
        """Insert those whose name and version are not there yet; with ``replace``, overwrite them."""
        ...


class UsageStore(Protocol):
    """Requests counted per account and UTC day, so that a restart does not hand out a second day."""

    async def add(self, day: str, counts: dict[str, int]) -> None:
        """Add to what is stored for ``day`` (``2026-01-31``), per account id."""
        ...

    async def day(self, day: str) -> dict[str, int]: ...
    async def counts(self, day: str, account_ids: Collection[str]) -> dict[str, int]:
        """What is stored for ``day`` of these accounts; those without any are left out."""
        ...

    async def history(self, account_id: str, days: int) -> Sequence[tuple[str, int]]:
        """The last ``days`` days with any use, newest first."""
        ...


class Beat(msgspec.Struct, frozen=True):
    """Everybody's number as it is now, by worker; and the ``slot`` of the one who beat, None while none is free."""

    numbers: dict[str, int]
    slot: int | None


class WorkerBeats(Protocol):
    """Who is at work. No clocks are compared: a worker lives while others see its number rise."""

    async def beat(self, worker_id: str, at_ms: int, *, slots: int) -> Beat:
        """Raise the worker's number by one, from 0 where it has none.

        Of so many ``slots`` it gets the lowest that nobody has, and keeps it until it is removed.
        """
        ...

    async def remove(self, worker_ids: Collection[str]) -> None: ...


class Charge(msgspec.Struct, frozen=True):
    """``requests`` of one account that are to be counted as far as its limits allow."""

    account_id: str
    per_minute: int
    per_day: int
    requests: int


class Counted(msgspec.Struct, frozen=True):
    """What came of a charge: ``admitted`` of its requests were counted.

    ``minute`` is the UTC minute since the epoch that they were counted in, and its day the day; ``in_minute`` and
    ``in_day`` are what is counted there now. ``now_ms`` is the time by the clock that all share.
    """

    now_ms: int
    admitted: int
    minute: int
    in_minute: int
    in_day: int

    @property
    def is_known(self) -> bool:
        """False where nothing is remembered of the account: nothing was counted, until a correction creates it."""
        return self.admitted >= 0


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted elsewhere in ``minute`` and its day, or is known to have been counted ``at_least``.

    An account that is not remembered stays so, unless ``create``.
    """

    account_id: str
    minute: int
    more_in_minute: int = 0
    more_in_day: int = 0
    least_in_minute: int = 0
    least_in_day: int = 0
    create: bool = False


class SharedCounters(Protocol):
    """Requests counted per account, minute and day for all workers together, by one clock. Windows never reopen.

    Every method raises ``StorageUnavailable`` when it is not known whether it was done.
    """

    async def charge(self, charges: Sequence[Charge]) -> Sequence[Counted]:
        """Count each of ``charges``, in order, in both of its windows or in none."""
        ...

    async def correct(self, corrections: Sequence[Correction]) -> None: ...

    async def reopening(self, left_in: int | None) -> tuple[int, int]:
        """The time in ms, and the minute from which on everybody counts here again; one that has begun: they do now.

        A worker that was cut off names the minute ``left_in``, and is told one that begins in two seconds or later, the
        same for all; or one that has begun, if it comes too late for that.
        """
        ...

    async def close(self) -> None: ...


class KnownSession(msgspec.Struct, frozen=True):
    """A session of a front end, as far as every worker may know it: whose it is, and what its client can do.

    ``sealed_key`` is the API key that was made over it, which only who knows the session's id can open.
    """

    account_id: str | None
    can_be_asked: bool
    sealed_key: bytes | None = None


class Deleted(msgspec.Struct, frozen=True):
    """There was such a session, and somebody ended it."""


DELETED: Final = Deleted()


class SessionStore(Protocol):
    """Sessions that all workers know of, for ``keep_s`` after they were last used or deleted.

    Every method raises ``StorageUnavailable`` when it is not known whether it was done.
    """

    async def put(self, session_id: str, session: KnownSession, *, keep_s: int) -> None: ...
    async def get(self, session_id: str, *, keep_s: int) -> KnownSession | Deleted | None: ...
    async def delete(self, session_id: str, *, keep_s: int) -> None: ...


class OrderState(StrEnum):
    """Where an order stands in our books (``gateway.orders.states`` has the moves)."""

    SENDING = "SENDING"
    UNKNOWN = "UNKNOWN"
    ACKED = "ACKED"
    WORKING = "WORKING"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    NOT_SENT = "NOT_SENT"
    NOT_PLACED = "NOT_PLACED"
    LATE_EXECUTION = "LATE_EXECUTION"
    NEEDS_OPERATOR = "NEEDS_OPERATOR"


class JournalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One order, from before the venue hears of it. (account, credential, client order id) is unique among all rows.

    ``request`` is the canonical request as JSON and ``request_hash`` its SHA-256. ``venue_order`` is the last venue
    report as JSON (``Order``), ``evidence`` why the state is what it is. ``fence`` rises with every change of owner;
    ``lease_until_ms`` is until when ``owner`` may act. ``next_check_ms`` is set while the reconciler has work here.
    ``group_id`` and ``leg`` tie the legs of a batch together.

    A tombstone is what ``Journal.shed`` leaves of an order long over: its ids, ``request_hash``, state and ``reason``.
    """

    order_key: str
    account_id: str
    credential_id: str
    client_order_id: str
    exchange: str
    network: str
    symbol: str
    venue_client_id: str
    operation: str
    request: bytes
    request_hash: bytes
    group_id: str | None = None
    leg: int = 0
    attempt: int = 0
    state: OrderState = OrderState.SENDING
    fence: int = 1
    owner: str
    lease_until_ms: int
    valid_until_ms: int
    created_at_ms: int
    updated_at_ms: int
    venue_order_id: str | None = None
    venue_order: bytes | None = None
    reason: str | None = None
    evidence: str | None = None
    negatives: int = 0
    last_negative_ms: int | None = None
    checks: int = 0
    next_check_ms: int | None = None
    cancel_requested_at_ms: int | None = None

    @property
    def is_tombstone(self) -> bool:
        return not self.request


class JournalChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to set on a row; a field left UNSET keeps its value. ``note`` goes to the row's event log."""

    state: OrderState | msgspec.UnsetType = msgspec.UNSET
    venue_order_id: str | msgspec.UnsetType = msgspec.UNSET
    venue_order: bytes | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType | None = msgspec.UNSET
    evidence: str | msgspec.UnsetType | None = msgspec.UNSET
    attempt: int | msgspec.UnsetType = msgspec.UNSET
    valid_until_ms: int | msgspec.UnsetType = msgspec.UNSET
    venue_client_id: str | msgspec.UnsetType = msgspec.UNSET
    negatives: int | msgspec.UnsetType = msgspec.UNSET
    last_negative_ms: int | msgspec.UnsetType | None = msgspec.UNSET
    checks: int | msgspec.UnsetType = msgspec.UNSET
    next_check_ms: int | msgspec.UnsetType | None = msgspec.UNSET
    lease_until_ms: int | msgspec.UnsetType = msgspec.UNSET
    cancel_requested_at_ms: int | msgspec.UnsetType = msgspec.UNSET
    note: str = ""


class JournalEvent(msgspec.Struct, frozen=True, kw_only=True):
    order_key: str
    number: int
    at_ms: int
    state: OrderState
    fence: int
    note: str


class Journal(Protocol):
    """Every order that was or may have been sent, until it is long over. Transitions are compare-and-set."""

    async def insert(self, rows: Sequence[JournalRow]) -> Sequence[JournalRow | None]:
        """Store all rows, or none when any id is taken, in one durable commit.

        Returns, per row, the row that already had its (account, credential, client order id), or None. All None means
        that everything was stored and may now be sent.
        """
        ...

    async def change(
        self,
        order_key: str,
        *,
        expected: Sequence[OrderState],
        fence: int,
        change: JournalChange,
        at_ms: int,
        durable: bool = True,
    ) -> JournalRow | None:
        """Apply ``change`` if the row is in one of ``expected`` under exactly ``fence``; the row as it then is.

        None when it is not: somebody else moved it. ``durable=False`` may be lost by a power cut, not by a crash.
        Writes an event when ``state`` or ``note`` is set.
        """
        ...

    async def find(self, account_id: str, credential_id: str, client_order_id: str) -> JournalRow | None: ...
    async def by_venue_order_id(
        self, account_id: str, credential_id: str, venue_order_id: str
    ) -> JournalRow | None: ...
    async def by_venue_client_id(self, credential_id: str, venue_client_id: str) -> JournalRow | None: ...
    async def known_among(self, credential_id: str, venue_client_ids: Collection[str]) -> Collection[str]:
        """Those of ``venue_client_ids`` that orders of the credential have."""
        ...

    async def row(self, order_key: str) -> JournalRow | None: ...
    async def group(self, group_id: str) -> Sequence[JournalRow]:
        """The legs of a batch, in order."""
        ...

    async def events(self, order_key: str) -> Sequence[JournalEvent]: ...

    async def claim(
        self, *, owner: str, now_ms: int, lease_ms: int, limit: int, except_at: Collection[str] = ()
    ) -> Sequence[JournalRow]:
        """Take rows that need looking after: ``next_check_ms`` or, in SENDING, the lease has passed.

        Those of the exchanges ``except_at`` are left alone.
        Each comes back with its fence raised by one, the new owner and a lease from ``now_ms``; no two callers get one.
        """
        ...

    async def next_due_ms(self) -> int | None:
        """When ``claim`` will next find something, or None."""
        ...

    async def undecided(self, credential_id: str) -> Sequence[JournalRow]:
        """The rows of a credential that are UNKNOWN, oldest first."""
        ...

    async def in_states(
        self, states: Sequence[OrderState], limit: int, *, newest_first: bool = False
    ) -> Sequence[JournalRow]:
        """At most ``limit`` rows, oldest first unless told otherwise, without tombstones.

        First those in states that can still move, by when they were placed; then those that are over, by when they
        last moved.
        """
        ...

    async def shed(self, *, before_ms: int, limit: int) -> int:
        """Reduce at most ``limit`` orders that are over and last moved before then to tombstones; how many those were.

        Their events go; their ids stay taken. What can still move or is not accounted for stays as it is, however old.
        Like ``forget`` it is quick, may be done by several nodes at once, and may be lost by a power cut.
        """
        ...

    async def forget(self, *, before_ms: int, limit: int) -> int:
        """Delete at most ``limit`` tombstones of orders that last moved before then; how many those were.

        Their ids can be used again.
        """
        ...
