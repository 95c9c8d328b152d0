"""Who may act for whom: agents, builder fees, and the nonces of every signer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from sandbox.hyperliquid.actions import ApproveAgent, ApproveBuilderFee
from sandbox.hyperliquid.nonces import NonceWindow
from sandbox.hyperliquid.signing import ZERO_ADDRESS, normal_address
from sandbox.wires.records import Fact

_NAMED_AGENTS: Final = 3
_LONGEST_NAME: Final = 16
_DAY_MS: Final = 86_400_000
_DEFAULT_VALIDITY_MS: Final = 90 * _DAY_MS
_LONGEST_VALIDITY_MS: Final = 180 * _DAY_MS
_VALID_UNTIL: Final = " valid_until "
_MAX_BUILDER_TENTHS: Final = 100

AGENT, NONCES, BUILDER = "agent", "nonces", "builder"


class Refused(Exception):
    """The message is the venue's."""


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """``name`` is empty for the one agent without a name. A revoked one stays known: addresses are never used again."""

    address: str
    master: str
    name: str
    valid_until_ms: int
    is_revoked: bool = False


class Identity:
    """Changes come back as facts to be recorded."""

    def __init__(self, facts: dict[str, dict[str, bytes]]) -> None:
        decode = msgspec.msgpack.decode
        self._agents = {key: decode(value, type=Agent) for key, value in facts[AGENT].items()}
        self._nonces = {key: NonceWindow(decode(value, type=list[int])) for key, value in facts[NONCES].items()}
        self._builders = {key: decode(value, type=int) for key, value in facts[BUILDER].items()}

    def agent(self, address: str, now_ms: int) -> Agent | None:
        """The agent at ``address`` while it may act."""
        agent = self._agents.get(address)
        return agent if agent is not None and not agent.is_revoked and now_ms < agent.valid_until_ms else None

    def agents_of(self, master: str, now_ms: int) -> list[Agent]:
        return [a for a in self._agents.values() if a.master == master and self.agent(a.address, now_ms)]

    def check_nonce(self, signer: str, nonce: int, now_ms: int) -> None:
        """:raises Refused: it was used, or is out of the window."""
        if complaint := self._nonces.get(signer, NonceWindow()).complaint(nonce, now_ms):
            raise Refused(complaint)

    def use_nonce(self, signer: str, nonce: int, now_ms: int) -> Fact:
        """:raises Refused: as ``check_nonce``."""
        self.check_nonce(signer, nonce, now_ms)
        window = self._nonces.setdefault(signer, NonceWindow())
        window.use(nonce)
        return Fact(NONCES, signer, msgspec.msgpack.encode(window.used))

    def approve_agent(
        self, master: str, action: ApproveAgent, now_ms: int, is_account: Callable[[str], bool]
    ) -> list[Fact]:
        """Facts of the agent and of those it replaces.

        :raises Refused: the name or the address will not do.
        """
        name, valid_until_ms = _validity(action.agentName or "", now_ms)
        replaced = [a for a in self.agents_of(master, now_ms) if a.name == name]
        address = normal_address(action.agentAddress)
        changed = [msgspec.structs.replace(a, is_revoked=True) for a in replaced]
        if address != ZERO_ADDRESS:
            if address in self._agents or is_account(address):
                raise Refused("Extra agent already used.")
            named = [a for a in self.agents_of(master, now_ms) if a.name]
            if name and not replaced and len(named) >= _NAMED_AGENTS:
                raise Refused("Too many extra agents for cumulative volume traded. Current limit is 3")
            changed.append(Agent(address=address, master=master, name=name, valid_until_ms=valid_until_ms))
        self._agents |= {agent.address: agent for agent in changed}
        return [Fact(AGENT, agent.address, msgspec.msgpack.encode(agent)) for agent in changed]

    def approve_builder(self, user: str, action: ApproveBuilderFee) -> list[Fact]:
        key = f"{user}/{normal_address(action.builder)}"
        tenths = round(float(action.maxFeeRate.removesuffix("%")) * 1_000)
        if tenths > _MAX_BUILDER_TENTHS:
            raise Refused("Builder fee rate is too high.")
        self._builders[key] = tenths
        return [Fact(BUILDER, key, msgspec.msgpack.encode(tenths))]

    def builder_fee(self, user: str, builder: str) -> int:
        """The most that the user lets this builder charge, in tenths of a basis point."""
        return self._builders.get(f"{user}/{normal_address(builder)}", 0)


def _validity(given: str, now_ms: int) -> tuple[str, int]:
    """An agent's name without the validity that may be written into it, and that validity."""
    name, separator, until = given.partition(_VALID_UNTIL)
    valid_until_ms = now_ms + _DEFAULT_VALIDITY_MS
    if separator:
        if not until.isdecimal():
            raise Refused("Agent valid_until is not a timestamp.")
        valid_until_ms = min(int(until), now_ms + _LONGEST_VALIDITY_MS)
    if valid_until_ms <= now_ms:
        raise Refused("Agent valid_until already expired.")
    if len(name) > _LONGEST_NAME:
        raise Refused("Extra agent name must be between 1 and 16 characters long")
    return name, valid_until_ms
