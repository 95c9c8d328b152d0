"""``tools/call``: the name and arguments of a tool become the body of an operation, and its answer a result."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.auth import Principal
from gateway.clock import Clock
from gateway.metrics import Metrics
from gateway.orders.confirmation import ConfirmationRequired
from gateway.pipeline import Answer, Credentials, Pipeline, Trace
from mcp_server import payments, results
from mcp_server.catalog import MINIMUM_TIER, Catalog, Groups, Tool, tier_refusal
from mcp_server.protocol import INVALID_PARAMS, Message, RpcError, members_of
from normalization.errors import PaymentRequired, TierInsufficient, UnknownOperation

# No operation is called like that: a name that is no tool's must not become an operation's.
_NO_OPERATION: Final = "tools/"


class ToolCall(msgspec.Struct, frozen=True):
    """``tool`` is None where there is none of that ``name``; ``arguments`` is a JSON object."""

    name: str
    tool: Tool | None
    arguments: bytes

    @property
    def is_read_only(self) -> bool:
        """Also where there is no such tool: nothing comes of that."""
        return self.tool is None or self.tool.operation.read_only

    def body(self) -> bytes:
        """The request as ``POST /v1`` takes it, so that everything that is checked there is checked here."""
        name = self.tool.operation.name if self.tool else _NO_OPERATION + self.name
        rest = self.arguments[1:].lstrip()
        return b'{"operation":' + msgspec.json.encode(name) + (b"" if rest.startswith(b"}") else b",") + rest

    def canonical(self) -> bytes:
        """The arguments however they are spelled: a client may write them anew when it repeats a call."""
        try:
            return msgspec.json.encode(msgspec.json.decode(self.arguments), order="sorted")
        except (msgspec.DecodeError, RecursionError):
            return self.arguments

    def takes(self, field: str) -> bool:
        return self.tool is not None and field in self.tool.operation.request.__struct_fields__

    def with_client_order_id(self, client_order_id: str) -> ToolCall:
        """The same call under that id, unless it has one of its own already, or takes none."""
        if not self.takes("client_order_id"):
            return self
        return self.with_argument("clientOrderId", msgspec.json.encode(client_order_id))

    def with_argument(self, name: str, value: bytes) -> ToolCall:
        """The same call with that argument, JSON, unless it has it already."""
        members = dict(members_of(msgspec.Raw(self.arguments)))
        given = members.get(name)
        if given is not None and bytes(given) != b"null":
            return self
        members[name] = msgspec.Raw(value)
        return msgspec.structs.replace(self, arguments=msgspec.json.encode(members))


class ToolCalls:
    """``pipeline`` is one whose operations need the tier of MCP at least."""

    def __init__(self, pipeline: Pipeline, catalog: Catalog, metrics: Metrics, clock: Clock) -> None:
        self._pipeline = pipeline
        self._catalog = catalog
        self._metrics = metrics
        self._clock = clock

    def read(self, message: Message, groups: Groups | None) -> ToolCall:
        """:raises RpcError: the parameters have not the shape of a call."""
        name = message.text("name")
        if name is None:
            raise RpcError(INVALID_PARAMS, "Invalid params: name must be the name of a tool", id=message.id)
        raw = message.params.get("arguments")
        arguments = b"{}" if raw is None or bytes(raw) == b"null" else bytes(raw)
        if not arguments.startswith(b"{"):
            raise RpcError(INVALID_PARAMS, "Invalid params: arguments must be an object", id=message.id)
        call = ToolCall(name, self._catalog.find(name, groups), arguments)
        payment = payments.in_meta(message) if call.takes(payments.ARGUMENT) else None
        return call if payment is None else call.with_argument(payments.ARGUMENT, payment)

    async def perform(
        self, call: ToolCall, credentials: Credentials, trace: Trace, *, confirmed: bool = False
    ) -> bytes | None:
        """The call's result, also where it failed; None where there is no such tool. Limits are charged in each case.

        An order that is under way is finished whoever stops waiting for it.

        :raises ConfirmationRequired: a person has to say yes first; after that it is ``confirmed``.
        """
        answer = await self._pipeline.handle(credentials, call.body(), trace, confirmed=confirmed)
        seconds = self._clock.monotonic() - trace.started
        self._metrics.request(trace.operation, answer.error.code if answer.error else "OK", seconds)
        if isinstance(answer.error, ConfirmationRequired):
            raise answer.error
        if call.tool is None and isinstance(answer.error, UnknownOperation):
            return None
        return _result(answer, trace.principal, call)

    def unknown(self, call: ToolCall) -> str:
        nearest = self._catalog.nearest(call.name)
        hint = f"Did you mean {' or '.join(nearest)}?" if nearest else "tools/list has those there are."
        return f"There is no tool {call.name[:64]!a}. {hint}"


def _result(answer: Answer, principal: Principal | None, call: ToolCall) -> bytes:
    error = answer.error
    if error is None:
        result = results.of_body(answer.body, is_error=False)
        receipt = payments.receipt_in(answer.body) if call.takes(payments.ARGUMENT) else None
        return result if receipt is None else results.with_meta(result, payments.RECEIPT, receipt)
    if isinstance(error, PaymentRequired):
        return payments.refusal(error, call.name)
    if isinstance(error, TierInsufficient) and principal is not None and principal.tier.rank < MINIMUM_TIER.rank:
        return results.of_error(tier_refusal(principal))
    return results.of_error(error)
