"""A wallet's way to the chain: the methods of Solana's JSON-RPC that it takes to look, to send and to be sure.

Only these are here, and a method or an option that is not is refused. Everything is final at once, whatever commitment
is asked for.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from sandbox.milo import rpc_shapes
from sandbox.milo.chain import BLOCKHASH_LIFE, ChainError
from sandbox.milo.core import Core
from sandbox.milo.errors import ApiError
from sandbox.milo.faucet import fund
from sandbox.milo.programs import token_account
from sandbox.milo.tokens import BY_ADDRESS, SOL

PARSE_ERROR: Final = -32700
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
REFUSED: Final = -32002

_MOST_SIGNATURES: Final = 256
_MOST_HISTORY: Final = 1_000
_MOST_ACCOUNT_BYTES: Final = 10 * 2**20

Config = Mapping[str, Any] | None


class RpcRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``params`` are by position."""

    method: str
    id: int | str | None = None
    params: tuple[Any, ...] = ()


class RpcError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def answer(core: Core, request: RpcRequest) -> Any:
    """The result.

    :raises RpcError: and nothing of it has happened.
    """
    method = METHODS.get(request.method)
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, f"Method not found. There are {', '.join(METHODS)}")
    try:
        return method(core, *request.params)
    except ApiError as error:
        raise RpcError(INVALID_PARAMS, error.message) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise RpcError(INVALID_PARAMS, f"Invalid params for {request.method}") from error


def _health(core: Core) -> Any:
    return "ok"


def _version(core: Core) -> Any:
    return {"solana-core": "2.2.0", "feature-set": 0}


def _slot(core: Core, _config: Config = None) -> Any:
    return core.chain.slot(core.now_ms)


def _latest_blockhash(core: Core, _config: Config = None) -> Any:
    slot = core.chain.slot(core.now_ms)
    latest = {"blockhash": str(core.chain.blockhash(slot)), "lastValidBlockHeight": slot + BLOCKHASH_LIFE}
    return _in_context(core, latest)


def _is_blockhash_valid(core: Core, blockhash: str, _config: Config = None) -> Any:
    return _in_context(core, core.chain.is_recent(Hash.from_string(blockhash), core.now_ms))


def _rent_exemption(core: Core, size: int, _config: Config = None) -> Any:
    if not 0 <= size <= _MOST_ACCOUNT_BYTES:
        raise _invalid("expected a size from 0 to 10 MiB")
    return core.chain.rent_exemption(size)


def _balance(core: Core, address: str, _config: Config = None) -> Any:
    return _in_context(core, core.chain.balance(Pubkey.from_string(address), SOL))


def _account(core: Core, address: str, _config: Config = None) -> Any:
    return _in_context(core, rpc_shapes.account(core.chain.account(Pubkey.from_string(address))))


def _token_balance(core: Core, address: str, _config: Config = None) -> Any:
    held = core.chain.token_balance(Pubkey.from_string(address))
    if held is None:
        raise _invalid("expected the address of a token account")
    return _in_context(core, rpc_shapes.token_amount(held))


def _token_accounts(core: Core, owner: str, which: Mapping[str, str], _config: Config = None) -> Any:
    """The associated accounts of one token, or of all that are known here."""
    mints = [which["mint"]] if "mint" in which else list(BY_ADDRESS)
    addresses = [token_account(Pubkey.from_string(owner), Pubkey.from_string(mint)) for mint in mints]
    found = [(address, rpc_shapes.account(core.chain.account(address))) for address in addresses]
    return _in_context(core, [{"pubkey": str(address), "account": shown} for address, shown in found if shown])


def _airdrop(core: Core, address: str, lamports: int, _config: Config = None) -> Any:
    return fund(core, address, SOL, SOL.amount(lamports))


def _send(core: Core, transaction: str, config: Config = None) -> Any:
    if (config or {}).get("encoding") != "base64":
        raise _invalid("expected a transaction in base64, and `encoding` to say so")
    try:
        sent = VersionedTransaction.from_bytes(b64decode(transaction, validate=True))
        return core.chain.submit(sent, core.now_ms)
    except ChainError as error:
        raise RpcError(REFUSED, f"Transaction simulation failed: {error}") from error


def _statuses(core: Core, signatures: list[str], _config: Config = None) -> Any:
    if len(signatures) > _MOST_SIGNATURES:
        raise _invalid(f"expected at most {_MOST_SIGNATURES} signatures")
    found = [core.chain.transaction(signature) for signature in signatures]
    return _in_context(core, [rpc_shapes.status(transaction) for transaction in found])


def _history(core: Core, address: str, config: Config = None) -> Any:
    given = {name: value for name, value in (config or {}).items() if value is not None}
    if "until" in given:
        raise _invalid("`until` is not here; expected `limit` or `before`")
    limit = max(1, min(given.get("limit", _MOST_HISTORY), _MOST_HISTORY))
    last = core.chain.transaction(given["before"]) if "before" in given else None
    found = core.chain.history(str(Pubkey.from_string(address)), limit, None if last is None else last.number)
    return [rpc_shapes.entry(transaction) for transaction in found]


def _transaction(core: Core, signature: str, config: Config = None) -> Any:
    encoding = (config or {}).get("encoding", "json")
    if encoding not in ("json", "base64"):
        raise _invalid("expected the encoding json or base64")
    found = core.chain.transaction(signature)
    return None if found is None else rpc_shapes.transaction(core.chain, found, encoding)


METHODS: Final[dict[str, Callable[..., Any]]] = {
    "getHealth": _health,
    "getVersion": _version,
    "getSlot": _slot,
    "getBlockHeight": _slot,
    "getLatestBlockhash": _latest_blockhash,
    "isBlockhashValid": _is_blockhash_valid,
    "getMinimumBalanceForRentExemption": _rent_exemption,
    "getBalance": _balance,
    "getAccountInfo": _account,
    "getTokenAccountBalance": _token_balance,
    "getTokenAccountsByOwner": _token_accounts,
    "requestAirdrop": _airdrop,
    "sendTransaction": _send,
    "getSignatureStatuses": _statuses,
    "getSignaturesForAddress": _history,
    "getTransaction": _transaction,
}


def _invalid(expected: str) -> RpcError:
    return RpcError(INVALID_PARAMS, f"Invalid params: {expected}")


def _in_context(core: Core, value: Any) -> Any:
    return {"context": {"slot": core.chain.slot(core.now_ms)}, "value": value}
