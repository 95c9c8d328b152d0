"""What ``POST /info`` tells of accounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from itertools import islice
from typing import Any, Final

from normalization.accounts import Position
from normalization.decimals import BPS, ZERO
from normalization.orders import PositionSide, Side
from sandbox.engine import Engine
from sandbox.engine.orders import FillRecord
from sandbox.hyperliquid.orders import Record
from sandbox.hyperliquid.spelling import spelled
from sandbox.hyperliquid.universe import Asset, Universe
from sandbox.wires.payments import Payment, payments

MOST_FILLS: Final = 2_000
_MOST_PAYMENTS: Final = 500
_CENTS: Final = Decimal("0.000001")


def clearinghouse_state(
    engine: Engine, universe: Universe, account: str, funding: Mapping[str, Decimal]
) -> dict[str, Any]:
    """``funding`` is what each open position has paid since it was opened. An unknown account is an empty one."""
    if account not in engine.ledger.accounts:
        summary = _summary(ZERO, ZERO, ZERO, ZERO)
        return _state(summary, ZERO, ZERO, [], engine.now_ms)
    held = engine.account(account)
    balance, positions = engine.views.balance(held), engine.views.positions(held)
    notional = sum((position.size * position.mark_price for position in positions), ZERO)
    used = sum((position.size * position.mark_price / position.leverage for position in positions), ZERO)
    shown = [_position(universe, position, funding.get(position.symbol, ZERO)) for position in positions]
    maintenance = engine.ledger.maintenance(held, engine.now_ms // 1_000)
    summary = _summary(balance.equity, notional, held.cash, used)
    return _state(summary, maintenance, balance.free_collateral, shown, engine.now_ms)


def user_funding(
    engine: Engine, universe: Universe, fills: Sequence[FillRecord], start_ms: int, end_ms: int
) -> list[dict[str, Any]]:
    found = islice(payments(engine, fills, start_ms, end_ms), _MOST_PAYMENTS)
    return [_payment(universe, payment) for payment in found]


def fills_shown(
    universe: Universe,
    fills: Iterable[FillRecord],
    numbers: Mapping[str, int],
    records: Mapping[int, Record],
    account: str,
) -> list[dict[str, Any]]:
    """``numbers`` are the venue's order ids by the exchange's; fills of liquidations have none."""
    shown = []
    for fill in fills:
        oid = numbers.get(fill.order_id)
        record = None if oid is None else records.get(oid)
        entry: dict[str, Any] = {
            "coin": universe.by_symbol[fill.symbol].coin,
            "px": spelled(fill.price),
            "sz": spelled(fill.size),
            "side": "B" if fill.side is Side.BUY else "A",
            "time": fill.at_ms,
            "startPosition": spelled(fill.position_before),
            "dir": _direction(fill),
            "closedPnl": spelled(fill.realized_pnl),
            "hash": digest_of(fill.fill_id),
            "oid": oid if oid is not None else fill.number,
            "crossed": not fill.is_maker,
            "fee": spelled(fill.fee),
            "tid": fill.number,
            "feeToken": "USDC",
            "twapId": None,
        }
        if record is not None and record.client_id is not None:
            entry["cloid"] = record.client_id
        if oid is None:
            entry["liquidation"] = {"liquidatedUser": account, "markPx": spelled(fill.price), "method": "market"}
        shown.append(entry)
    return shown


def user_fees(engine: Engine, fills: Sequence[FillRecord]) -> dict[str, Any]:
    fees = engine.views.fees()
    cross, add = spelled(fees.taker_bps / BPS), spelled(fees.maker_bps / BPS)
    return {
        "dailyUserVlm": _daily_volume(fills),
        "feeSchedule": {
            "cross": cross,
            "add": add,
            "spotCross": cross,
            "spotAdd": add,
            "tiers": {"vip": [], "mm": []},
            "referralDiscount": "0.0",
            "stakingDiscountTiers": [{"bpsOfMaxSupply": "0.0", "discount": "0.0"}],
        },
        "userCrossRate": cross,
        "userAddRate": add,
        "userSpotCrossRate": cross,
        "userSpotAddRate": add,
        "activeReferralDiscount": "0.0",
        "trial": None,
        "feeTrialEscrow": "0.0",
        "nextTrialAvailableTimestamp": None,
        "stakingLink": None,
        "activeStakingDiscount": {"bpsOfMaxSupply": "0.0", "discount": "0.0"},
    }


def digest_of(text: str) -> str:
    """A transaction hash to show: 0x and 64 digits."""
    return "0x" + sha256(text.encode()).hexdigest()


def _daily_volume(fills: Sequence[FillRecord]) -> list[dict[str, str]]:
    days: dict[str, list[Decimal]] = {}
    for fill in fills:
        day = datetime.fromtimestamp(fill.at_ms / 1_000, UTC).strftime("%Y-%m-%d")
        volumes = days.setdefault(day, [ZERO, ZERO])
        volumes[fill.is_maker] += fill.size * fill.price
    return [
        {"date": day, "userCross": spelled(cross), "userAdd": spelled(add), "exchange": "0.0"}
        for day, (cross, add) in sorted(days.items())
    ]


def _direction(fill: FillRecord) -> str:
    before, after = fill.position_before, fill.position_before + fill.side.sign * fill.size
    if before * after < 0:
        return "Long > Short" if before > 0 else "Short > Long"
    if abs(after) > abs(before):
        return "Open Long" if after > 0 else "Open Short"
    return "Close Long" if before > 0 else "Close Short"


def _payment(universe: Universe, payment: Payment) -> dict[str, Any]:
    return {
        "time": payment.at_ms,
        "hash": "0x" + "0" * 64,
        "delta": {
            "type": "funding",
            "coin": universe.by_symbol[payment.symbol].coin,
            "usdc": spelled(-payment.amount.quantize(_CENTS)),
            "szi": spelled(payment.size),
            "fundingRate": spelled(payment.rate),
            "nSamples": None,
        },
    }


def _position(universe: Universe, position: Position, paid: Decimal) -> dict[str, Any]:
    sign = 1 if position.side is PositionSide.LONG else -1
    notional = position.size * position.mark_price
    entered = position.size * position.entry_price / position.leverage
    liquidation = position.liquidation_price
    return {
        "type": "oneWay",
        "position": {
            "coin": universe.by_symbol[position.symbol].coin,
            "szi": spelled(sign * position.size),
            "leverage": {"type": "cross", "value": position.leverage},
            "entryPx": spelled(position.entry_price),
            "positionValue": spelled(notional),
            "unrealizedPnl": spelled(position.unrealized_pnl.quantize(_CENTS)),
            "returnOnEquity": spelled((position.unrealized_pnl / entered).quantize(Decimal("1E-10"))),
            "liquidationPx": None if liquidation is None else spelled(liquidation),
            "marginUsed": spelled((notional / position.leverage).quantize(_CENTS)),
            "maxLeverage": universe.by_symbol[position.symbol].instrument.max_leverage,
            "cumFunding": dict.fromkeys(("allTime", "sinceOpen", "sinceChange"), spelled(paid.quantize(_CENTS))),
        },
    }


def _summary(value: Decimal, notional: Decimal, raw: Decimal, used: Decimal) -> dict[str, str]:
    return {
        "accountValue": spelled(value.quantize(_CENTS)),
        "totalNtlPos": spelled(notional.quantize(_CENTS)),
        "totalRawUsd": spelled(raw.quantize(_CENTS)),
        "totalMarginUsed": spelled(used.quantize(_CENTS)),
    }


def _state(
    summary: dict[str, str], maintenance: Decimal, free: Decimal, positions: list[dict[str, Any]], now_ms: int
) -> dict[str, Any]:
    return {
        "marginSummary": summary,
        "crossMarginSummary": summary,
        "crossMaintenanceMarginUsed": spelled(maintenance.quantize(_CENTS)),
        "withdrawable": spelled(free.quantize(_CENTS)),
        "assetPositions": positions,
        "time": now_ms,
    }


def active_asset_data(engine: Engine, asset: Asset, account: str) -> dict[str, Any]:
    market, mark = engine.views.market(asset.symbol), engine.views.mark_price(asset.symbol).mark_price
    held = engine.ledger.accounts.get(account)
    leverage = asset.instrument.max_leverage if held is None else held.leverage(market)
    free = ZERO if held is None else engine.views.balance(held).free_collateral
    most = market.size(int(free * leverage / mark / asset.instrument.lot_size))
    return {
        "user": account,
        "coin": asset.coin,
        "leverage": {"type": "cross", "value": leverage},
        "maxTradeSzs": [spelled(most), spelled(most)],
        "availableToTrade": [spelled(free.quantize(_CENTS))] * 2,
        "markPx": spelled(mark),
    }
