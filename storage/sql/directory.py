"""Accounts, keys and credentials in SQL. Nothing is held in memory: every answer is a query by an index."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, RowMapping, Select, Table, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.elements import ColumnElement

from storage.ports import Account, ApiKey, Credential, Directory, KeyWithAccount, Scopes, SealedSecret, Tier
from storage.sql.database import Database
from storage.sql.schema import accounts, api_keys, credentials, directory_revision, gateway_secrets
from storage.sql.statements import PreparedStatements, insert_into

T = TypeVar("T")
R = TypeVar("R", bound=msgspec.Struct)
N = TypeVar("N", int, Decimal)

# Every request with a key that is not in a cache runs it: compiled once, for the driver.
_KEY_BY_DIGEST: Final = (
    select(
        *(api_keys.c[name] for name in ApiKey.__struct_fields__),
        *(accounts.c[name] for name in Account.__struct_fields__),
    )
    .join(accounts, accounts.c.account_id == api_keys.c.account_id)
    .where(api_keys.c.digest == bindparam("digest"))
)


class SqlDirectory(Directory):
    """``on_change`` is called after each change of it is stored; by default it does nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.on_change: Callable[[], None] = lambda: None
        self._statements = PreparedStatements()

    async def revision(self) -> int:
        return await self._database.read(lambda connection: connection.execute(_REVISION).scalar_one())

    async def _change(self, work: Callable[[Connection], T], *, what: str = "record") -> T:
        """Run ``work`` alone of all changes of the directory, and raise the revision unless it comes to False or 0.

        :raises ValueError: a name, id or digest is taken, or the account is not there; nothing was changed.
        """

        def alone(connection: Connection) -> T:
            connection.execute(_REVISION.with_for_update())
            result = work(connection)
            if result:
                connection.execute(_RAISE_REVISION)
            return result

        try:
            result = await self._database.write(alone)
        except IntegrityError as error:
            raise ValueError(f"the {what} is there already, or its account is not") from error
        if result:
            self.on_change()
        return result

    async def create_account(self, account: Account) -> None:
        """:raises ValueError: there is an account of that name or id."""
        await self._change(lambda connection: _insert(connection, accounts, account), what=f"account {account.name!a}")

    async def enroll(self, account: Account, key: ApiKey, credential: Credential) -> None:
        def all_of_it(connection: Connection) -> bool:
            _insert(connection, accounts, account)
            _insert(connection, api_keys, key)
            return _insert(connection, credentials, credential)

        await self._change(all_of_it, what=f"account {account.name!a}")

    async def account(self, account_id: str) -> Account | None:
        return await self._first(select(accounts).where(accounts.c.account_id == account_id), Account)

    async def account_named(self, name: str) -> Account | None:
        return await self._first(select(accounts).where(accounts.c.name == name), Account)

    async def accounts(self) -> Sequence[Account]:
        """Oldest first."""
        query = select(accounts).order_by(accounts.c.created_at_ms, accounts.c.account_id)
        return await self._database.read(lambda connection: _all(connection, query, Account))

    async def set_tier(self, account_id: str, tier: Tier) -> None:
        """:raises KeyError: there is no such account."""
        statement = update(accounts).where(accounts.c.account_id == account_id).values(tier=tier.value)
        if not await self._change(lambda connection: connection.execute(statement).rowcount):
            raise KeyError(account_id)

    async def create_key(self, key: ApiKey, *, at_most: int) -> bool:
        """Keys that are revoked, or expired when the new one is made, do not count."""

        def create(connection: Connection) -> bool:
            live = and_(api_keys.c.account_id == key.account_id, _is_live(key.created_at_ms))
            count = connection.execute(select(func.count()).select_from(api_keys).where(live)).scalar_one()
            return count < at_most and _insert(connection, api_keys, key)

        return await self._change(create, what="key")

    async def replace_key(self, old_key_id: str, new: ApiKey, revoked_at_ms: int) -> bool:
        """The old one must be of the new one's account."""
        revoke = (
            update(api_keys)
            .where(api_keys.c.key_id == old_key_id, api_keys.c.account_id == new.account_id, _is_live(revoked_at_ms))
            .values(revoked_at_ms=revoked_at_ms)
        )
        return await self._change(
            lambda connection: connection.execute(revoke).rowcount > 0 and _insert(connection, api_keys, new),
            what="key",
        )

    async def key_by_digest(self, digest: bytes) -> KeyWithAccount | None:
        def look_up(connection: Connection) -> KeyWithAccount | None:
            statement = self._statements.get(connection, "key_by_digest", lambda _: _KEY_BY_DIGEST)
            found = statement.run(connection, {"digest": digest}).fetchone()
            return None if found is None else _key_with_account(found)

        return await self._database.read(look_up)

    async def key(self, key_id: str) -> ApiKey | None:
        return await self._first(select(api_keys).where(api_keys.c.key_id == key_id), ApiKey)

    async def keys(self, account_id: str | None = None) -> Sequence[ApiKey]:
        """Oldest first, revoked ones too."""
        query = select(api_keys).order_by(api_keys.c.created_at_ms, api_keys.c.key_id)
        if account_id is not None:
            query = query.where(api_keys.c.account_id == account_id)
        return await self._database.read(lambda connection: _all(connection, query, ApiKey))

    async def revoke_key(self, key_id: str, at_ms: int) -> bool:
        statement = (
            update(api_keys)
            .where(api_keys.c.key_id == key_id, api_keys.c.revoked_at_ms.is_(None))
            .values(revoked_at_ms=at_ms)
        )
        return await self._change(lambda connection: connection.execute(statement).rowcount > 0)

    async def narrow_key(self, key_id: str, scopes: Scopes, expires_at_ms: int | None) -> None:
        """Of two that narrow it at the same time, neither undoes what the other took away.

        :raises KeyError: there is no such key.
        """

        def narrow(connection: Connection) -> bool:
            present = _first(connection, select(api_keys).where(api_keys.c.key_id == key_id), ApiKey)
            if present is None:
                return False
            values = {
                "scopes": _scopes_text(_intersected(present.scopes, scopes)),
                "expires_at_ms": _least(present.expires_at_ms, expires_at_ms),
            }
            return connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(values)).rowcount > 0

        if not await self._change(narrow):
            raise KeyError(key_id)

    async def touch_keys(self, last_used: dict[str, int]) -> None:
        """Never sets one back."""
        if not last_used:
            return
        statement = (
            update(api_keys)
            .where(
                api_keys.c.key_id == bindparam("touched"),
                or_(api_keys.c.last_used_at_ms.is_(None), api_keys.c.last_used_at_ms < bindparam("at_ms")),
            )
            .values(last_used_at_ms=bindparam("at_ms"))
        )
        touches = [{"touched": key_id, "at_ms": at_ms} for key_id, at_ms in sorted(last_used.items())]
        await self._database.write(lambda connection: connection.execute(statement, touches).close())

    async def create_credential(self, credential: Credential) -> None:
        await self._change(lambda connection: _insert(connection, credentials, credential), what="credential")

    async def credential(self, credential_id: str) -> Credential | None:
        return await self._first(select(credentials).where(credentials.c.credential_id == credential_id), Credential)

    async def credentials(self, account_id: str | None = None) -> Sequence[Credential]:
        query = (
            select(credentials)
            .where(credentials.c.revoked_at_ms.is_(None))
            .order_by(credentials.c.created_at_ms, credentials.c.credential_id)
        )
        if account_id is not None:
            query = query.where(credentials.c.account_id == account_id)
        return await self._database.read(lambda connection: _all(connection, query, Credential))

    async def update_credential(self, credential: Credential, expected_version: int) -> bool:
        """False, too, for one that was revoked: its secrets stay wiped."""
        statement = (
            update(credentials)
            .where(
                credentials.c.credential_id == credential.credential_id,
                credentials.c.row_version == expected_version,
                credentials.c.revoked_at_ms.is_(None),
            )
            .values(msgspec.structs.asdict(credential))
        )
        return await self._change(lambda connection: connection.execute(statement).rowcount > 0)

    async def revoke_credential(self, credential_id: str, at_ms: int) -> bool:
        """False when there is no such credential or it was revoked before."""
        statement = (
            update(credentials)
            .where(credentials.c.credential_id == credential_id, credentials.c.revoked_at_ms.is_(None))
            .values(revoked_at_ms=at_ms, wrapped_key=b"", sealed=b"")
        )
        return await self._change(lambda connection: connection.execute(statement).rowcount > 0)

    async def secrets(self) -> Sequence[SealedSecret]:
        query = select(gateway_secrets).order_by(gateway_secrets.c.name, gateway_secrets.c.version)
        return await self._database.read(lambda connection: _all(connection, query, SealedSecret))

    async def put_secrets(self, secrets: Sequence[SealedSecret], *, replace: bool = False) -> None:
        def put(connection: Connection) -> int:
            return sum(_put_secret(connection, secret, replace=replace) for secret in secrets)

        await self._change(put)

    async def _first(self, query: Select[Any], record: type[R]) -> R | None:
        return await self._database.read(lambda connection: _first(connection, query, record))


_REVISION: Final = select(directory_revision.c.revision).where(directory_revision.c.id == 1)
_RAISE_REVISION: Final = (
    update(directory_revision).where(directory_revision.c.id == 1).values(revision=directory_revision.c.revision + 1)
)


def _insert(connection: Connection, table: Table, record: msgspec.Struct) -> bool:
    values = msgspec.structs.asdict(record)
    if isinstance(record, ApiKey):
        values["scopes"] = _scopes_text(record.scopes)
    connection.execute(insert(table), values)
    return True


def _put_secret(connection: Connection, secret: SealedSecret, *, replace: bool) -> int:
    """How many rows were written."""
    statement = insert_into(connection, gateway_secrets)
    identity = [gateway_secrets.c.name, gateway_secrets.c.version]
    if replace:
        statement = statement.on_conflict_do_update(index_elements=identity, set_={"wrapped": secret.wrapped})
    else:
        statement = statement.on_conflict_do_nothing(index_elements=identity)
    return connection.execute(statement, msgspec.structs.asdict(secret)).rowcount


def _key_with_account(found: Sequence[Any]) -> KeyWithAccount:
    key = dict(zip(ApiKey.__struct_fields__, found, strict=False))
    account = dict(zip(Account.__struct_fields__, found[len(key) :], strict=True))
    return KeyWithAccount(key=_record(key, ApiKey), account=_record(account, Account))


def _first(connection: Connection, query: Select[Any], record: type[R]) -> R | None:
    found = connection.execute(query).mappings().first()
    return None if found is None else _record(found, record)


def _all(connection: Connection, query: Select[Any], record: type[R]) -> list[R]:
    return [_record(found, record) for found in connection.execute(query).mappings()]


def _record(found: Mapping[str, Any] | RowMapping, record: type[R]) -> R:
    values: dict[str, Any] = {name: found[name] for name in record.__struct_fields__}
    if record is ApiKey:
        values["scopes"] = msgspec.json.decode(values["scopes"], type=Scopes)
    return msgspec.convert(values, record)


def _is_live(now_ms: int) -> ColumnElement[bool]:
    unexpired = or_(api_keys.c.expires_at_ms.is_(None), api_keys.c.expires_at_ms > now_ms)
    return and_(api_keys.c.revoked_at_ms.is_(None), unexpired)


def _scopes_text(scopes: Scopes) -> str:
    return msgspec.json.encode(scopes, order="deterministic").decode()


def _intersected(present: Scopes, wanted: Scopes) -> Scopes:
    return Scopes(
        operations=_common(present.operations, wanted.operations),
        credentials=_common(present.credentials, wanted.credentials),
        exchanges=_common(present.exchanges, wanted.exchanges),
        confirm_above=_least(present.confirm_above, wanted.confirm_above),
    )


def _common(present: frozenset[str] | None, wanted: frozenset[str] | None) -> frozenset[str] | None:
    if present is None or wanted is None:
        return wanted if present is None else present
    return present & wanted


def _least(present: N | None, wanted: N | None) -> N | None:
    return min((value for value in (present, wanted) if value is not None), default=None)
