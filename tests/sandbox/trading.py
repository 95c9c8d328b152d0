"""A hand on the exchange for tests: markets of a chosen character, and orders in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from normalization.accounts import Fill
from normalization.instruments import Instrument
from normalization.orders import Execution, Order, OrderIntent, Side
from normalization.venue_failures import Reason, VenueFailure
from sandbox.engine import Command, Engine, LegResult, Listing, NewOrder, OpenAccount, PlaceOrders
from sandbox.engine.ledger import INSURANCE_AT_START

START_MS = 1_800_000_000_000
FLAT = "FLAT-USD-PERP"
WILD = "WILD-USD-PERP"


def listing(
    base: str, *, volatility: float, price: float = 100.0, leverage: int = 50, depth: float = 1_000.0
) -> Listing:
    """Tick 0.1, lot 0.01, least notional 10; the best prices one tick from the mark price, then one level per tick."""
    return Listing(
        instrument=Instrument(
            exchange="paper",
            symbol=f"{base}-USD-PERP",
            venue_symbol=f"{base}-USD-PERP",
            base=base,
            quote="USD",
            settle="USDC",
            tick_size=Decimal("0.1"),
            lot_size=Decimal("0.01"),
            min_notional=Decimal(10),
            max_leverage=leverage,
        ),
        base_price=price,
        daily_volatility=volatility,
        depth_usd=depth,
        daily_volume_usd=1e7,
        open_interest_usd=1e6,
        half_spread_ticks=1,
        level_gap_ticks=1,
    )


def flat() -> Listing:
    """A market whose price is 100 for ever: bid 99.9, ask 100.1."""
    return listing("FLAT", volatility=0.0)


def wild() -> Listing:
    """A market that moves by a third a day."""
    return listing("WILD", volatility=0.33)


class Hand:
    """Places orders for accounts that it opens with 100,000 each, at an instant that only ``wait`` moves."""

    def __init__(self, *listings: Listing, accounts: Iterable[str] = ("ann", "bob"), cash: int = 100_000) -> None:
        self.engine = Engine(3, instruments=listings or (flat(),))
        self.now_ms = START_MS
        for account in accounts:
            self.do(OpenAccount(account=account, cash=Decimal(cash)))

    def do(self, command: Command) -> Sequence[LegResult]:
        return self.engine.execute(command, self.now_ms)

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.engine.advance(self.now_ms)

    def place(
        self,
        account: str,
        side: Side,
        size: str,
        execution: Execution,
        *,
        symbol: str = FLAT,
        reduce_only: bool = False,
        client_id: str | None = None,
        valid_until_ms: int | None = None,
        half: bool = False,
    ) -> Order:
        """:raises VenueFailure: the order was refused."""
        (result,) = self.do(
            PlaceOrders(
                account=account,
                orders=(
                    NewOrder(
                        intent=intent(side, size, execution, symbol=symbol, reduce_only=reduce_only),
                        client_id=client_id,
                        valid_until_ms=valid_until_ms,
                        half=half,
                    ),
                ),
            )
        )
        if isinstance(result, VenueFailure):
            raise result
        return result

    def refusal(self, account: str, side: Side, size: str, execution: Execution, **more: object) -> Reason:
        """Why the order was refused, which must not have changed anything."""
        before = self.fills(account), self.position(account)
        try:
            self.place(account, side, size, execution, **more)  # type: ignore[arg-type]
        except VenueFailure as failure:
            assert before == (self.fills(account), self.position(account))
            return failure.reason
        raise AssertionError("the order was accepted")

    def pair(self, account: str, *intents: OrderIntent) -> list[Order]:
        """Orders of which one cancels the other."""
        results = self.do(
            PlaceOrders(account=account, orders=tuple(NewOrder(intent=i) for i in intents), one_cancels_other=True)
        )
        return [result for result in results if isinstance(result, Order)]

    def order(self, account: str, order_id: str) -> Order:
        found = self.engine.views.find_by_id(self.engine.account(account), order_id)
        assert found is not None
        return found

    def fills(self, account: str) -> Sequence[Fill]:
        """Oldest first."""
        return list(reversed(self.engine.views.fills(self.engine.account(account), None, 1_000)))

    def position(self, account: str, symbol: str = FLAT) -> Decimal:
        """Signed size."""
        return self.engine.markets[symbol].size(self.engine.account(account).lots(symbol))

    def equity(self, account: str) -> Decimal:
        return self.engine.views.balance(self.engine.account(account)).equity

    def mark(self, symbol: str = WILD) -> Decimal:
        return self.engine.views.mark_price(symbol).mark_price


def intent(
    side: Side, size: str, execution: Execution, *, symbol: str = FLAT, reduce_only: bool = False
) -> OrderIntent:
    return OrderIntent(symbol=symbol, side=side, size=Decimal(size), execution=execution, reduce_only=reduce_only)


def money_in(engine: Engine) -> Decimal:
    """All cash there is, less what accounts and the insurance fund started with: zero unless some was made or lost."""
    books, accounts = engine.ledger.books, engine.ledger.accounts.values()
    held = sum((a.cash for a in accounts), books.house_cash + books.insurance + books.fees)
    return held - sum((a.deposited for a in accounts), INSURANCE_AT_START)


def lots_in(engine: Engine, symbol: str) -> int:
    """All positions in a market added up, the house's included: zero unless size was made or lost."""
    return sum(a.lots(symbol) for a in engine.ledger.accounts.values()) + engine.ledger.books.house_lots.get(symbol, 0)
