from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapters.base import Adapter, Network, OpenCredential
from gateway.keyring import MasterKeyRing
from gateway.vault import CredentialUnreadable, Vault, VenueSessions
from normalization.errors import CredentialNotFound, InternalError, ServiceUnavailable, UnsupportedOperation
from storage.ports import Credential
from tests.support.manual_clock import ManualClock
from tests.support.scripted_venue import ScriptedVenue

CANARY = "0xCANARYcanary"
SECRETS = {"privateKey": CANARY, "passphrase": 'with "quotes" and ÿ'}
VAULT = Vault(MasterKeyRing([b"m" * 32]), b"f" * 32)


def sealed(
    credential_id: str = "c1", *, secrets: Mapping[str, str] = SECRETS, account_id: str = "a1", vault: Vault = VAULT
) -> Credential:
    return vault.seal(
        credential_id=credential_id,
        account_id=account_id,
        exchange="scripted",
        network=Network.PAPER,
        label="main",
        address="0xabc",
        secrets=secrets,
        created_at_ms=5,
    )


# Sealing.


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=40), max_size=4))
@settings(max_examples=100, deadline=None)
def test_what_is_sealed_opens_to_the_same_secrets(secrets: dict[str, str]) -> None:
    assert VAULT.open(sealed(secrets=secrets)).secrets == secrets


def test_a_new_credential_is_version_one_and_shows_only_address_and_fingerprint() -> None:
    credential = sealed()
    assert (credential.row_version, credential.network, credential.address) == (1, "paper", "0xabc")
    assert CANARY not in repr(credential)
    assert CANARY.encode() not in msgspec.json.encode(credential)
    opened = VAULT.open(credential)
    assert (opened.credential_id, opened.account_id, opened.exchange) == ("c1", "a1", "scripted")
    assert opened.network is Network.PAPER


@pytest.mark.parametrize(
    "edit",
    [
        {"account_id": "a2"},
        {"credential_id": "c2"},
        {"exchange": "paradex"},
        {"network": "mainnet"},
        {"row_version": 2},
        {"sealed": sealed().sealed},
        {"wrapped_key": sealed().wrapped_key},
        {"sealed": b""},
        {"sealed": b"\x01"},
        {"wrapped_key": b""},
        {"sealed": sealed("c2").sealed, "wrapped_key": sealed("c2").wrapped_key},
    ],
)
def test_a_row_that_was_edited_or_moved_does_not_open(edit: dict[str, Any]) -> None:
    with pytest.raises(CredentialUnreadable, match="cannot be opened"):
        VAULT.open(msgspec.structs.replace(sealed(), **edit))


def test_a_row_rolled_back_into_a_newer_version_does_not_open() -> None:
    first = sealed()
    second = VAULT.reseal(first, address="0xdef", secrets={"privateKey": "new"})
    assert second.row_version == 2
    assert VAULT.open(second).secrets == {"privateKey": "new"}

    rolled_back = msgspec.structs.replace(second, sealed=first.sealed, wrapped_key=first.wrapped_key)
    with pytest.raises(CredentialUnreadable):
        VAULT.open(rolled_back)


@given(part=st.sampled_from(["sealed", "wrapped_key"]), place=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_no_flipped_bit_goes_unnoticed(part: str, place: int, bit: int) -> None:
    credential = sealed()
    value = bytearray(getattr(credential, part))
    value[place % len(value)] ^= 1 << bit
    with pytest.raises(CredentialUnreadable):
        VAULT.open(msgspec.structs.replace(credential, **{part: bytes(value)}))


def test_the_operator_learns_why_and_the_caller_does_not() -> None:
    stranger = Vault(MasterKeyRing([b"s" * 32]), b"f" * 32)
    with capture_logs() as logged, pytest.raises(InternalError) as caught:
        stranger.open(sealed())

    assert isinstance(caught.value, CredentialUnreadable)
    assert "master key does not match" in caught.value.problem
    assert "master key" not in caught.value.message
    assert "c1" not in caught.value.message
    (line,) = logged
    assert line["credential"] == "c1"
    assert "master key does not match" in line["problem"]


def test_each_sealing_has_a_key_of_its_own() -> None:
    one, other = sealed(), sealed()
    assert one.sealed != other.sealed
    assert one.wrapped_key != other.wrapped_key
    assert one.fingerprint == other.fingerprint


def test_a_fingerprint_is_the_same_for_the_same_secrets_in_the_same_account_only() -> None:
    fingerprint = VAULT.fingerprint("a1", SECRETS)
    assert len(fingerprint) == 16
    assert int(fingerprint, 16) >= 0
    assert VAULT.fingerprint("a1", dict(reversed(SECRETS.items()))) == fingerprint
    others = [
        VAULT.fingerprint("a2", SECRETS),
        VAULT.fingerprint("a1", {**SECRETS, "privateKey": "other"}),
        Vault(MasterKeyRing([b"m" * 32]), b"g" * 32).fingerprint("a1", SECRETS),
    ]
    assert len({fingerprint, *others}) == 4


def test_no_secret_is_shown() -> None:
    credential = sealed()
    shown = [repr(VAULT), repr(vars(VAULT)), repr(VAULT.open(credential)), str(VAULT.open(credential))]
    with capture_logs() as logged, pytest.raises(CredentialUnreadable) as caught:
        VAULT.open(msgspec.structs.replace(credential, row_version=2))
    error = caught.value
    shown += [
        repr(error),
        str(error),
        error.problem,
        error.advice,
        repr(error.__cause__),
        repr(error.__context__),
        repr(logged),
    ]
    assert CANARY not in "".join(shown)


# Sessions.


class Session(ScriptedVenue):
    def __init__(self, secrets: Mapping[str, str]) -> None:
        super().__init__()
        self.secrets = secrets
        self.closed = 0
        self.close_failure: Exception | None = None

    async def close(self) -> None:
        self.closed += 1
        if self.close_failure is not None:
            raise self.close_failure


class Venue(ScriptedVenue):
    """Opens a session of its own per call, once ``gate`` is open."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[Session] = []
        self.open_failure: Exception | None = None

    async def open(self, credential: OpenCredential) -> Session:
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        if self.open_failure is not None:
            raise self.open_failure
        session = Session(credential.secrets)
        self.opened.append(session)
        return session


class Desk:
    def __init__(self, **options: Any) -> None:
        self.venue = Venue()
        self.clock = ManualClock()
        adapters = cast("Mapping[str, Adapter]", {"scripted": self.venue})
        self.sessions = VenueSessions(VAULT, adapters, self.clock, **options)

    async def touch(self, credential: Credential) -> Session:
        async with self.sessions.use(credential) as session:
            return cast("Session", session)

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    @property
    def closed(self) -> list[int]:
        return [session.closed for session in self.venue.opened]


async def test_a_session_is_opened_once_with_the_credentials_secrets() -> None:
    desk, credential = Desk(), sealed()
    first = await desk.touch(credential)
    assert first.secrets == SECRETS
    assert await desk.touch(credential) is first
    assert len(desk.venue.opened) == 1


async def test_an_open_session_is_entered_without_giving_way() -> None:
    desk, credential = Desk(), sealed()
    await desk.touch(credential)
    ran: list[str] = []
    asyncio.get_running_loop().call_soon(ran.append, "somebody else")

    for _ in range(3):
        await desk.touch(credential)
    assert ran == []


async def test_many_who_need_a_session_share_its_opening() -> None:
    desk, credential = Desk(), sealed()
    found = await asyncio.gather(*(desk.touch(credential) for _ in range(10)))
    assert len(set(map(id, found))) == 1
    assert len(desk.venue.opened) == 1


async def test_a_failed_opening_is_everybodys_and_the_next_one_tries_again() -> None:
    desk, credential = Desk(), sealed()
    desk.venue.open_failure = OSError("unreachable")
    failures = await asyncio.gather(*(desk.touch(credential) for _ in range(3)), return_exceptions=True)
    assert [type(failure) for failure in failures] == [OSError] * 3

    desk.venue.open_failure = None
    await desk.touch(credential)


async def test_a_caller_who_leaves_does_not_stop_the_opening() -> None:
    desk, credential = Desk(), sealed()
    desk.venue.gate = asyncio.Event()
    leaving, staying = (asyncio.create_task(desk.touch(credential)) for _ in range(2))
    await desk.settle()
    leaving.cancel()
    await desk.settle()
    desk.venue.gate.set()

    assert (await staying).secrets == SECRETS
    assert len(desk.venue.opened) == 1


async def test_the_least_recently_used_session_makes_room() -> None:
    desk = Desk(capacity=2)
    one, two, three = (sealed(f"c{number}") for number in range(3))
    await desk.touch(one)
    await desk.touch(two)
    await desk.touch(one)
    await desk.touch(three)
    await desk.settle()

    assert desk.closed == [0, 1, 0]
    await desk.touch(one)
    assert len(desk.venue.opened) == 3


async def test_a_session_in_use_is_never_closed_to_make_room() -> None:
    desk = Desk(capacity=1)
    async with desk.sessions.use(sealed("c1")), desk.sessions.use(sealed("c2")):
        await desk.touch(sealed("c3"))
        await desk.settle()
        assert desk.closed == [0, 0, 1]
    await desk.settle()
    assert sorted(desk.closed) == [0, 1, 1]


async def test_changed_secrets_get_a_new_session_and_the_old_one_serves_out() -> None:
    desk, before = Desk(), sealed()
    after = VAULT.reseal(before, address="", secrets={"privateKey": "new"})
    async with desk.sessions.use(before) as old:
        new = await desk.touch(after)
        assert new.secrets == {"privateKey": "new"}
        await desk.settle()
        assert desk.closed == [0, 0]
        assert old is desk.venue.opened[0]
    await desk.settle()
    assert desk.closed == [1, 0]

    # A request that still has the row from before is served by the newer session.
    assert await desk.touch(before) is new


async def test_a_revoked_credentials_session_is_closed_and_not_opened_again() -> None:
    desk, credential = Desk(), sealed()
    await desk.touch(credential)
    revoked = msgspec.structs.replace(credential, revoked_at_ms=1)

    with pytest.raises(CredentialNotFound):
        await desk.touch(revoked)
    await desk.settle()
    assert desk.closed == [1]


async def test_idle_sessions_are_closed_and_those_in_use_are_not() -> None:
    desk = Desk(idle_after_s=60)
    one, two = sealed("c1"), sealed("c2")
    await desk.touch(one)
    async with desk.sessions.use(two) as busy:
        desk.clock.advance(59)
        await desk.sessions.close_idle()
        assert desk.closed == [0, 0]
        desk.clock.advance(1)
        await desk.sessions.close_idle()
        assert desk.closed == [1, 0]
        assert await desk.touch(two) is busy


async def test_closing_lets_those_in_use_finish_and_opens_nothing_more() -> None:
    desk = Desk()
    await desk.touch(sealed("c1"))
    async with desk.sessions.use(sealed("c2")):
        closing = asyncio.create_task(desk.sessions.close())
        await desk.settle()
        assert desk.closed == [1, 0]
        assert not closing.done()
    await closing

    assert desk.closed == [1, 1]
    with pytest.raises(ServiceUnavailable):
        await desk.touch(sealed("c1"))


async def test_closing_waits_only_for_its_grace() -> None:
    desk = Desk()
    async with desk.sessions.use(sealed("c1")):
        await desk.sessions.close(grace_s=0)
        assert desk.closed == [1]
    await desk.settle()
    assert desk.closed == [1]


async def test_a_session_that_opens_while_closing_is_closed() -> None:
    desk = Desk()
    desk.venue.gate = asyncio.Event()
    opening = asyncio.create_task(desk.touch(sealed()))
    await desk.settle()
    closing = asyncio.create_task(desk.sessions.close())
    await desk.settle()
    desk.venue.gate.set()

    with pytest.raises(ServiceUnavailable):
        await opening
    await closing
    assert desk.closed == [1]


async def test_a_session_that_does_not_close_cleanly_harms_nobody() -> None:
    desk = Desk()
    session = await desk.touch(sealed())
    session.close_failure = RuntimeError(f"refused to part with {CANARY}")
    with capture_logs() as logged:
        await desk.sessions.close()

    assert [line["error"] for line in logged] == ["RuntimeError"]
    assert CANARY not in repr(logged)


async def test_an_exchange_without_an_adapter_is_told() -> None:
    with pytest.raises(UnsupportedOperation, match="does not serve the exchange scripted"):
        async with VenueSessions(VAULT, {}, ManualClock()).use(sealed()):
            pass


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_session_is_closed_while_it_is_used_nor_left_open(steps: list[tuple[int, int, bool]]) -> None:
    async def hold(desk: Desk, credential: Credential, turns: int) -> None:
        async with desk.sessions.use(credential) as session:
            for _ in range(turns):
                await asyncio.sleep(0)
                assert cast("Session", session).closed == 0

    async def run() -> None:
        desk = Desk(capacity=2)
        rows = {number: sealed(f"c{number}") for number in range(4)}
        holders: list[asyncio.Task[None]] = []
        for number, turns, change in steps:
            if change:
                rows[number] = VAULT.reseal(rows[number], address="", secrets=SECRETS)
            holders.append(asyncio.create_task(hold(desk, rows[number], turns)))
            await asyncio.sleep(0)
        await asyncio.gather(*holders)
        await desk.sessions.close()
        assert all(session.closed == 1 for session in desk.venue.opened)

    asyncio.run(run())
