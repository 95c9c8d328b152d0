"""The venue: where it is, what it can do, and how one gets in."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from adapters.base import (
    Capabilities,
    Capability,
    CredentialField,
    Dedupe,
    LeverageScope,
    Network,
    OpenCredential,
    TriggerSource,
)
from adapters.ccxt_venues.link import Link
from adapters.milo.accounts import MessageAsked, Registered, Registration, ToSign
from adapters.milo.api import EXCHANGE, KEY_FIELD
from adapters.milo.client import MiloClient, ask_once, link_to
from adapters.milo.endpoints import REGISTER, REQUEST_MESSAGE
from adapters.milo.limits import Paces
from adapters.milo.session import MiloSession
from adapters.milo.tokens import MARKETS
from adapters.transport import Transport
from normalization.errors import UnsupportedOperation
from normalization.orders import TimeInForce
from normalization.resolver import Markets

HOST: Final = "https://partners.andmilo.com"
NETWORKS: Final = frozenset({Network.MAINNET, Network.PAPER})

_OUR_ADDRESS: Final = "address"
_KEY: Final = re.compile(r"mk_[A-Za-z0-9_-]{8,250}")
_NO_MARKET_DATA: Final = "Milo shows no market data but the prices of what the wallet holds: getMarkPrice tells those."

CAPABILITIES: Final = Capabilities(
    supports=frozenset(
        {
            Capability.MARK_PRICE,
            Capability.BALANCE,
            Capability.POSITIONS,
            Capability.OPEN_ORDERS,
            Capability.ORDER,
            Capability.FILLS,
            Capability.TEST,
            Capability.LIMIT_ORDER,
            Capability.MARKET_ORDER,
            Capability.STOP_ORDER,
            Capability.BATCH,
            Capability.PROTECTION,
            Capability.CANCEL,
            Capability.CANCEL_ALL,
            Capability.CLOSE_POSITIONS,
        }
    ),
    unsupported=MappingProxyType(
        {
            Capability.ORDERBOOK: _NO_MARKET_DATA,
            Capability.CANDLES: _NO_MARKET_DATA,
            Capability.FUNDING_RATE: "It trades tokens, which have no funding.",
            Capability.MARKETS_WITH_FUNDING: "It trades tokens, which have no funding: getMarkets lists them.",
            Capability.FEES: "Milo does not say its fees beforehand: getFills tells what was paid.",
            Capability.LEVERAGE: "It trades tokens, which are paid in full.",
        }
    ),
    emulated=MappingProxyType(
        {
            Capability.MARKET_ORDER: "A trigger that is reached at once. Milo bounds the slippage by itself: "
            "maxSlippageBps is not kept.",
            Capability.LIMIT_ORDER: "A trigger at the price, after which Milo swaps at what there is: not a bound.",
            Capability.STOP_ORDER: "A trigger at the price; buys need reduceOnly false.",
            Capability.PROTECTION: "Two sales of the whole position; what is left ends with it.",
            Capability.BATCH: "One order after the other.",
            Capability.CANCEL_ALL: "One order after the other.",
            Capability.CLOSE_POSITIONS: "Milo's own close of each position, which also cancels what waits of it.",
        }
    ),
    times_in_force=frozenset({TimeInForce.GTC}),
    post_only=False,
    request_expiry=False,
    triggers_expire=False,
    lookup_includes_finished=True,
    trigger_source=TriggerSource.LAST,
    dedupe=Dedupe.NONE,
    leverage_scope=LeverageScope.NONE,
    client_id="none: Milo keeps no client order ids",
    least_privilege="an API key of Milo, which can also send tokens away",
)


def api_key(value: str) -> str | None:
    return None if _KEY.fullmatch(value) else "expected Milo's API key: mk_live_… or mk_test_…"


CREDENTIAL_FIELDS: Final = (
    CredentialField(
        name=KEY_FIELD, description="Milo's API key, mk_live_… or mk_test_…; miloSignup gets one.", check=api_key
    ),
)


class MiloAdapter:
    """``paper_url`` is where this process serves Milo itself; without it there is no such network."""

    def __init__(
        self,
        *,
        transport: Transport,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        paper_url: str | None = None,
    ) -> None:
        self.exchange = EXCHANGE
        self.capabilities = CAPABILITIES
        self.credential_fields: Sequence[CredentialField] = CREDENTIAL_FIELDS
        hosts = {Network.MAINNET: HOST} | ({} if paper_url is None else {Network.PAPER: paper_url})
        self.networks = frozenset(hosts)
        self._links = {network: link_to(host, transport) for network, host in hosts.items()}
        self._paces = Paces(monotonic=monotonic, sleep=sleep)

    async def markets(self, network: Network) -> Markets:
        return MARKETS

    async def open(self, credential: OpenCredential) -> MiloSession:
        """:raises UnsupportedOperation: there is no such network here."""
        key = credential.secrets[KEY_FIELD]
        return MiloSession(MiloClient(self._link(credential.network), self._paces.of(key), key))

    async def request_message(self, network: Network, asked: MessageAsked) -> ToSign:
        found, _ = await ask_once(self._link(network), REQUEST_MESSAGE, self._paces.of(_OUR_ADDRESS), body=asked)
        return found.data

    async def register(self, network: Network, registration: Registration) -> Registered:
        found, _ = await ask_once(self._link(network), REGISTER, self._paces.of(_OUR_ADDRESS), body=registration)
        return found.data

    def client_id(self, token: bytes) -> str:
        """For our books only: Milo is not told it."""
        return token.hex()

    def describe(self, secrets: Mapping[str, str]) -> str:
        return ""

    async def close(self) -> None:
        """The connections are the process's."""

    def _link(self, network: Network) -> Link:
        link = self._links.get(network)
        if link is None:
            raise UnsupportedOperation(f"This gateway reaches Milo on {' and '.join(sorted(self._links))} only.")
        return link
