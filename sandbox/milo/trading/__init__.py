"""Trading: orders with triggers, their children, swaps on the chain, positions.

    orders      what an order is: amounts, triggers, statuses, fills
    checks      whether one can be placed at all
    dependants  take-profits and stop-losses as children
    book        every order, by user, position and trigger price
    positions   what was bought, what is left, what it made
    trades      the transactions that carried out orders
    registers   the three of them together
    swaps       what a trade costs or brings now, and the exchange on the chain
    theses      how positions begin and end
    execution   carrying out what was triggered
    desk        placing, pausing, activating, deleting, closing
    triggers    what was reached while nobody looked
    order_api, position_api, wallet_api    the endpoints

Prices are US dollars for a whole token. A buy is paid in USDC where that covers the whole, else in SOL beyond what fees
and a position in SOL need; a sale brings USDC. SOL itself is bought with USDC only, and USDC with SOL.
"""
