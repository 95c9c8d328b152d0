"""The books of a local Milo, gone through: what must hold whatever has happened."""

from __future__ import annotations

from collections import Counter, defaultdict

from sandbox.milo.chain import GENESIS_LAMPORTS, GENESIS_UNITS
from sandbox.milo.core import Core
from sandbox.milo.programs import TOKEN_PROGRAM
from sandbox.milo.tokens import SOL, TOKENS
from sandbox.milo.trading.desk import Desk
from sandbox.milo.trading.orders import Order, OrderStatus
from sandbox.milo.trading.positions import Position, PositionStatus


def check(core: Core) -> None:
    check_conserved(core)
    orders = [Desk(core).book.numbered(n) for (n,) in core.db.rows("SELECT number FROM orders")]
    check_fired_once(core, orders)
    check_children(orders)
    check_positions(core, orders)


def check_conserved(core: Core) -> None:
    """Every unit of every token is somewhere, every lamport somewhere or burnt as a fee."""
    held: dict[str, int] = defaultdict(int)
    lamports = 0
    for data, owner, had in core.db.rows("SELECT data, owner, lamports FROM chain_accounts"):
        lamports += had
        if owner == bytes(TOKEN_PROGRAM) and len(data) == 165:
            mint = str(type(TOKEN_PROGRAM).from_bytes(data[:32]))
            held[mint] += int.from_bytes(data[64:72], "little")
    assert held == {token.address: GENESIS_UNITS for token in TOKENS if token is not SOL}
    fees = core.db.value("SELECT coalesce(sum(fee), 0) FROM chain_transactions")
    rent = core.chain.least_lamports + (len(TOKENS) - 1) * (
        core.chain.rent_exemption(82) + 2 * core.chain.token_account_rent
    )
    assert lamports + fees == GENESIS_LAMPORTS + rent


def check_fired_once(core: Core, orders: list[Order]) -> None:
    trades = Counter(order.order_id for order in orders if order.fill is not None)
    assert all(order.status is OrderStatus.FULFILLED for order in orders if order.order_id in trades)
    assert core.db.value("SELECT count(*) FROM trades") == len(trades)
    signatures = [order.fill.signature for order in orders if order.fill is not None]
    assert len(set(signatures)) == len(signatures)
    for order in orders:
        if order.fill is not None:
            transaction = core.chain.transaction(order.fill.signature)
            assert transaction is not None
            wallet = core.wallets.find(order.wallet_id)
            assert wallet is not None
            moved = transaction.gained(wallet.address, order.token_address)
            assert order.token is SOL or moved == order.fill.units * (1 if order.is_buy else -1)
    # None that could fire is left standing.
    for token in TOKENS:
        assert not Desk(core).book.reached(token, core.market.ticks(token, core.now_ms // 1_000))


def check_children(orders: list[Order]) -> None:
    by_id = {order.order_id: order for order in orders}
    sold: dict[str, int] = defaultdict(int)
    for child in orders:
        if child.parent_id is not None:
            parent = by_id[child.parent_id]
            assert (child.status is OrderStatus.ACTIVE) <= (parent.status is OrderStatus.FULFILLED)
            sold[parent.order_id] += 0 if child.fill is None else child.fill.units
    for parent_id, units in sold.items():
        fill = by_id[parent_id].fill
        assert units <= (0 if fill is None else fill.units)


def check_positions(core: Core, orders: list[Order]) -> None:
    positions: list[Position] = []
    for (thesis_id,) in core.db.rows("SELECT thesis_id FROM positions"):
        found = Desk(core).positions.find(thesis_id)
        assert found is not None
        positions.append(found)
    still_open = [(p.wallet_id, p.token_address) for p in positions if p.status is not PositionStatus.NOT_ACTIVE]
    assert len(set(still_open)) == len(still_open)
    for position in positions:
        fills = [o.fill for o in orders if o.thesis_id == position.thesis_id and o.is_buy and o.fill is not None]
        assert position.bought_units == sum(fill.units for fill in fills)
        assert 0 <= position.units <= position.bought_units - position.sold_units
        assert (position.status is PositionStatus.ACTIVE) == (position.units > 0)
        assert position.basis_usd >= 0
        assert (position.basis_usd == 0) == (position.units == 0)
        wallet = core.wallets.find(position.wallet_id)
        assert wallet is not None
        if position.token is not SOL:
            assert position.units <= core.chain.balance(wallet.address, position.token)
