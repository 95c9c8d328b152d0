"""What the venue shows of an account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from normalization.accounts import Position
from normalization.decimals import BPS, ZERO, trimmed
from normalization.orders import PositionSide
from sandbox.engine import Engine
from sandbox.engine.ledger import MAKER_BPS, TAKER_BPS
from sandbox.engine.margin import initial_margin, pending_of
from sandbox.engine.orders import FillRecord
from sandbox.paradex.members import Member
from sandbox.paradex.orders import Record, id_of
from sandbox.wires.payments import Payment

_MILLIONTH: Final = Decimal("0.000001")


def account(engine: Engine, key: str) -> dict[str, Any]:
    held = engine.account(key)
    second = engine.now_ms // 1_000
    balance = engine.views.balance(held)
    initial = initial_margin(engine.ledger, held, pending_of(engine.orders.open_of(key)), second)
    maintenance = engine.ledger.maintenance(held, second)
    return {
        "account": key,
        "account_value": _money(balance.equity),
        "total_collateral": _money(_settled(engine, key)),
        "free_collateral": _money(balance.free_collateral),
        "initial_margin_requirement": _money(initial),
        "maintenance_margin_requirement": _money(maintenance),
        "margin_cushion": _money(balance.equity - maintenance),
        "settlement_asset": "USDC",
        "status": "ACTIVE",
        "seq_no": engine.now_ms * 1_000_000,
        "updated_at": engine.now_ms,
        "last_seen_notification": 0,
    }


def account_info(member: Member) -> dict[str, Any]:
    maker, taker = trimmed(MAKER_BPS / BPS), trimmed(TAKER_BPS / BPS)
    return {
        "account": member.account,
        "parent_account": "",
        "kind": "main",
        "isolated_market": "",
        "derivation_path": "",
        "public_key": hex(member.public_key),
        "username": "",
        "created_at": member.created_at_ms,
        "volume_tiers": {},
        "fees": {"maker_rate": maker, "taker_rate": taker, "commission_rate": "0", "discount_rate": "0"},
    }


def balance(engine: Engine, key: str) -> dict[str, Any]:
    """What has been deposited and realized: unrealized profit is not in it."""
    size = _money(_settled(engine, key))
    return {"token": "USDC", "size": size, "cost": size, "cost_usd": size, "last_updated_at": engine.now_ms}


def positions(engine: Engine, key: str, fills: Sequence[FillRecord], paid: Mapping[str, Decimal]) -> list[Any]:
    """``fills`` are the account's, newest first; ``paid`` the funding of each open position."""
    shown = []
    for position in engine.views.positions(engine.account(key)):
        own = [fill for fill in fills if fill.symbol == position.symbol]
        opened = next((fill.at_ms for fill in own if fill.position_before == 0), engine.now_ms)
        latest = own[0] if own else None
        shown.append(_position(engine, key, position, latest, opened, paid.get(position.symbol, ZERO)))
    return shown


def _position(
    engine: Engine, key: str, position: Position, latest: FillRecord | None, opened_ms: int, paid: Decimal
) -> dict[str, Any]:
    sign = 1 if position.side is PositionSide.LONG else -1
    cost = _money(sign * position.size * position.entry_price)
    updated_ms = engine.now_ms if latest is None else latest.at_ms
    liquidation = position.liquidation_price
    return {
        "id": f"{key}-{position.symbol}",
        "account": key,
        "market": position.symbol,
        "status": "OPEN",
        "side": position.side.value,
        "size": trimmed(sign * position.size),
        "average_entry_price": trimmed(position.entry_price),
        "average_entry_price_usd": trimmed(position.entry_price),
        "average_exit_price": "0",
        "cost": cost,
        "cost_usd": cost,
        "unrealized_pnl": _money(position.unrealized_pnl),
        "unrealized_funding_pnl": "0",
        "realized_positional_pnl": "0",
        "realized_positional_funding_pnl": _money(-paid),
        "cached_funding_index": "0",
        "leverage": str(position.leverage),
        "liquidation_price": "" if liquidation is None else trimmed(liquidation),
        "last_fill_id": "" if latest is None else str(latest.number),
        "seq_no": updated_ms * 1_000_000,
        "created_at": opened_ms,
        "closed_at": 0,
        "last_updated_at": updated_ms,
    }


def fill(record: FillRecord, order: Record | None, remaining: Decimal) -> dict[str, Any]:
    """``order`` is None for a liquidation's, which nobody asked for."""
    return {
        "id": fill_id(record),
        "account": record.account,
        "order_id": f"{record.at_ms}{record.number:012d}" if order is None else id_of(order),
        "client_id": "" if order is None else order.client_id or "",
        "market": record.symbol,
        "side": record.side.value,
        "liquidity": "MAKER" if record.is_maker else "TAKER",
        "price": trimmed(record.price),
        "size": trimmed(record.size),
        "remaining_size": trimmed(remaining),
        "fee": trimmed(record.fee),
        "fee_currency": "USDC",
        "realized_pnl": trimmed(record.realized_pnl),
        "realized_funding": "0",
        "underlying_price": trimmed(record.price),
        "fill_type": "LIQUIDATION" if order is None else "FILL",
        "flags": [],
        "orderbook_seq_no": record.at_ms,
        "created_at": record.at_ms,
    }


def fill_id(record: FillRecord) -> str:
    return f"{record.at_ms}{record.number:012d}"


def payment(key: str, paid: Payment, number: int) -> dict[str, Any]:
    return {
        "id": f"{paid.at_ms}{number:012d}",
        "account": key,
        "market": paid.symbol,
        "payment": _money(-paid.amount),
        "index": "0",
        "fill_id": "",
        "created_at": paid.at_ms,
    }


def margin(engine: Engine, key: str, symbol: str) -> dict[str, Any]:
    leverage = engine.account(key).leverage(engine.views.market(symbol))
    return {"market": symbol, "leverage": leverage, "margin_type": "CROSS", "isolated_margin_leverage": leverage}


def _settled(engine: Engine, key: str) -> Decimal:
    held = engine.account(key)
    return held.cash + sum((position.cost for position in held.positions.values()), ZERO)


def _money(value: Decimal) -> str:
    return trimmed(value.quantize(_MILLIONTH))
