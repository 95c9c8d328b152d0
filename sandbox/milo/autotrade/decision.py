"""A plan, the market and what is held → trades with their reasons. Pure.

SOL and USDC are the cash: purchases are paid with USDC where there is enough of it, else with SOL; sales bring USDC.
Each asset class has its share of the whole, and within a class the tokens that the plan's style likes best share it;
the worse the best of them looks, the less of the class is bought at all. The tolerance for risk says how far a holding
may drift before it is traded, how much one trade may move, how much volatility counts, and where the loss of a bought
token is cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Final, NamedTuple

from sandbox.milo.analysis import figures
from sandbox.milo.analysis.series import MarketReader
from sandbox.milo.autotrade.guidance import Guidance, guidance_of
from sandbox.milo.autotrade.profiles import PROFILES, Profile
from sandbox.milo.autotrade.signals import Signal, signal
from sandbox.milo.autotrade.terms import Plan, RiskTolerance
from sandbox.milo.tokens import SOL, USDC, AssetClass, Token

ZERO: Final = Decimal(0)
CASH: Final = (SOL, USDC)
LEAST_TRADE_USD: Final = Decimal(1)
# For fees, and for the rent of the accounts of tokens not held before.
RESERVE_SOL: Final = Decimal("0.05")
# What a purchase may take of what there is: its fee is in it, its rounding is not.
_OF_PURSE: Final = Decimal("0.99")

_CENT: Final = Decimal("0.01")
_WEIGHT: Final = Decimal("0.0001")
_PREFERENCE: Final = 3.0


class Held(NamedTuple):
    """``free_usd`` is what of it can be paid with."""

    token: Token
    value_usd: Decimal
    free_usd: Decimal


class Trade(NamedTuple):
    """``is_all``: a sale of everything that is held. ``log`` and ``thoughts`` are what the diary says of it."""

    token: Token
    is_buy: bool
    value_usd: Decimal
    is_all: bool
    log: str
    thoughts: str


class Target(NamedTuple):
    """``share`` of the whole that a token should have, and why."""

    token: Token
    share: Decimal
    why: str


class Purse:
    """What purchases are paid with: USDC where it is enough, else SOL, of which some stays. USDC takes SOL."""

    def __init__(self, values: Mapping[str, Held], reserve_usd: Decimal) -> None:
        usdc, sol = values.get(USDC.symbol), values.get(SOL.symbol)
        self.usdc_usd = usdc.free_usd if usdc else ZERO
        self.sol_usd = (sol.free_usd if sol else ZERO) - reserve_usd

    def can_pay(self, token: Token, wanted: Decimal) -> Decimal:
        """As much of ``wanted`` as one purchase can take: it is paid with one of the two."""
        usdc, sol = self.usdc_usd * _OF_PURSE, self.sol_usd * _OF_PURSE
        if token is USDC:
            return sol
        return usdc if usdc >= wanted else max(usdc, sol)

    def pay(self, token: Token, amount: Decimal) -> None:
        if token is not USDC and self.usdc_usd * _OF_PURSE >= amount:
            self.usdc_usd -= amount
        else:
            self.sol_usd -= amount


class Decision(NamedTuple):
    """``trades`` in their order, sales first. ``thoughts`` is about the whole."""

    trades: tuple[Trade, ...]
    thoughts: str


def decide(plan: Plan, risk: RiskTolerance, market: MarketReader, held: Sequence[Held]) -> Decision:
    """At most ``trades_per_round`` trades that bring what is held towards the targets."""
    profile, guidance = PROFILES[risk], guidance_of(plan.instructions, market.tokens())
    total = sum((one.value_usd for one in held), ZERO)
    if total < LEAST_TRADE_USD:
        return Decision((), "There is nothing to trade with.")
    targets = targets_of(plan, risk, market, guidance)
    values = {one.token.symbol: one for one in held}
    sales = _sales(targets, values, total, profile, guidance)
    purse = Purse(values, RESERVE_SOL * market.price(SOL.symbol))
    moved = _to_sol(targets, values, total, purse, profile)
    buys = _buys(targets, values, total, purse, profile)
    trades = (*sales, *moved, *buys)[: profile.trades_per_round]
    return Decision(trades, _thoughts(targets, values, total, profile, bool(trades)))


def targets_of(
    plan: Plan, risk: RiskTolerance, market: MarketReader, guidance: Guidance | None = None
) -> dict[str, Target]:
    """By symbol."""
    profile = PROFILES[risk]
    guidance = guidance or guidance_of(plan.instructions, market.tokens())
    shares: dict[str, Decimal] = defaultdict(Decimal)
    reasons: dict[str, Target] = {}
    for name, percent in (plan.allocation or profile.allocation).items():
        candidates = [token for token in _candidates(name, plan, market) if guidance.allows(token)]
        for token, weight, why in _weighted(candidates, plan, profile, market, guidance):
            shares[token.symbol] += (percent / 100 * weight).quantize(_WEIGHT, ROUND_DOWN)
            reasons[token.symbol] = Target(token, shares[token.symbol], why)
    return reasons


def _candidates(name: AssetClass, plan: Plan, market: MarketReader) -> list[Token]:
    """The tokens of a class; of those that the plan names, only these."""
    named = {ticker.lower() for ticker in plan.custom_tickers}
    if name is AssetClass.CUSTOM:
        return [token for token in market.tokens() if _is_named(token, named)]
    members = [token for token in market.tokens() if token.asset_class is name]
    if name is AssetClass.STABLES:
        # One dollar is as good as another.
        return [token for token in members if _is_named(token, named)][:1] or members[:1]
    return [token for token in members if _is_named(token, named)] or members


def _is_named(token: Token, named: set[str]) -> bool:
    return token.symbol.lower() in named or token.address.lower() in named


def _weighted(
    candidates: Sequence[Token], plan: Plan, profile: Profile, market: MarketReader, guidance: Guidance
) -> list[tuple[Token, Decimal, str]]:
    """How the class is shared out: weights add up to at most 1."""
    signals = [(token, signal(plan.style, market, token)) for token in candidates]
    liked = [(token, seen, _liking(token, seen, profile, guidance)) for token, seen in signals if seen.score > 0]
    best = sorted(liked, key=lambda one: one[2], reverse=True)[: profile.tokens_per_class]
    if not best:
        return []
    conviction = min(1.0, max(seen.score for _, seen, _ in best))
    whole = sum(liking for _, _, liking in best)
    return [(token, Decimal(conviction * liking / whole), seen.why) for token, seen, liking in best]


def _liking(token: Token, seen: Signal, profile: Profile, guidance: Guidance) -> float:
    preference = _PREFERENCE if token.symbol in guidance.preferred else 1.0
    return float(preference * seen.score / seen.daily_volatility**profile.volatility_power)


def _sales(
    targets: Mapping[str, Target],
    values: Mapping[str, Held],
    total: Decimal,
    profile: Profile,
    guidance: Guidance,
) -> list[Trade]:
    sales: list[Trade] = []
    for symbol, (token, value, _) in values.items():
        target = targets.get(symbol)
        excess = value - (target.share * total if target else ZERO)
        is_due = excess > profile.band * total or target is None
        if token in CASH or symbol in guidance.kept or not is_due or value < LEAST_TRADE_USD:
            continue
        is_all = target is None
        amount = value if is_all else min(excess, profile.most_per_trade * total).quantize(_CENT, ROUND_DOWN)
        why = target.why if target else f"{symbol} has no place in the plan now"
        log = f"Closed thesis on {symbol}" if is_all else f"Trimmed thesis on {symbol}"
        sales.append(Trade(token, False, amount, is_all, log, f"{why}; {_shares(target, value, total)}"))
    return sorted(sales, key=lambda trade: trade.value_usd, reverse=True)


def _to_sol(
    targets: Mapping[str, Target], values: Mapping[str, Held], total: Decimal, purse: Purse, profile: Profile
) -> list[Trade]:
    """USDC that is sold for SOL, as part of the plan or because fees must be paid."""
    target, value = targets.get(SOL.symbol), _value(values, SOL)
    lacking = target.share * total - value if target else ZERO
    is_stranded = purse.sol_usd < 0
    if lacking <= profile.band * total and not is_stranded:
        return []
    wanted = min(max(lacking, -2 * purse.sol_usd), profile.most_per_trade * total)
    amount = min(wanted, purse.usdc_usd * _OF_PURSE).quantize(_CENT, ROUND_DOWN)
    if amount < LEAST_TRADE_USD:
        return []
    purse.usdc_usd -= amount
    why = f"less than {RESERVE_SOL} SOL is left for fees" if is_stranded or target is None else target.why
    return [Trade(USDC, False, amount, False, "Moved USDC to SOL", f"{why}; {_shares(target, value, total)}")]


def _buys(
    targets: Mapping[str, Target], values: Mapping[str, Held], total: Decimal, purse: Purse, profile: Profile
) -> list[Trade]:
    buys: list[Trade] = []
    wanted = [(target.share * total - _value(values, target.token), target) for target in targets.values()]
    for lacking, target in sorted(wanted, key=lambda one: one[0], reverse=True):
        most = min(lacking, profile.most_per_trade * total)
        amount = min(most, purse.can_pay(target.token, most)).quantize(_CENT, ROUND_DOWN)
        if target.token is SOL or lacking <= profile.band * total or amount < LEAST_TRADE_USD:
            continue
        purse.pay(target.token, amount)
        value = _value(values, target.token)
        thoughts = f"{target.why}; {_shares(target, value, total)}"
        buys.append(Trade(target.token, True, amount, False, _bought(target.token, value), thoughts))
    return buys


def _bought(token: Token, value: Decimal) -> str:
    if token is USDC:
        return "Moved SOL to USDC"
    return f"{'Added to' if value >= LEAST_TRADE_USD else 'Opened'} thesis on {token.symbol}"


def _value(values: Mapping[str, Held], token: Token) -> Decimal:
    held = values.get(token.symbol)
    return held.value_usd if held else ZERO


def _shares(target: Target | None, value: Decimal, total: Decimal) -> str:
    return f"{figures.share(target.share if target else ZERO)} wanted, {figures.share(value / total)} held"


def _thoughts(
    targets: Mapping[str, Target], values: Mapping[str, Held], total: Decimal, profile: Profile, is_trading: bool
) -> str:
    ordered = sorted(targets.values(), key=lambda target: target.share, reverse=True)
    wanted = ", ".join(f"{target.token.symbol} {figures.share(target.share)}" for target in ordered) or "nothing"
    text = f"Of {figures.usd(total)} I want {wanted}, and the rest as cash."
    if is_trading:
        return text
    return f"{text} Nothing is further from that than {figures.share(profile.band)} of the whole, or can be paid for."
