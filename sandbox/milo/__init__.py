"""Milo's partner API as a server that runs on this machine. A venue to develop against, not a custodian.

How a request goes: ``app`` takes bytes from aiohttp → ``venue`` hands them to its thread → in one transaction: what
happened by itself until now (``timeline``), API key, rate limit, ids in the path, handler → commit → bytes.

    errors     the refusals, in the reference's shape
    wire       how answers and bodies are written: ``Wire``, ``Asked``, ``Data``, ISO times, exact numbers
    limits     the reference's table of rate limits: ``Group``, ``Limiter``
    pages      numbered pages, cursors, checks of query parameters
    routes     the one table of endpoints
    calls      ``Call`` and ``Reply``: what a handler gets and gives
    core       ``Core``: what handlers and parts work with
    parts      ``Part``: tables, event handlers, and what happens by itself
    events     what happened, for whoever counts it
    database   SQLite: one file, one thread, one transaction per request
    tokens     the tokens that are known, with mint, decimals and asset class
    market     their prices, a function of seed and time
    chain      Solana in the process; ``programs`` the instructions, ``rpc`` a wallet's way in, ``faucet``
    users, wallets, signin     who is who
    trading    orders, triggers, fills, positions
    analysis   what candles and texts say; ``agents`` who answers, ``conversations`` what was asked and paid for
    autotrade  settings, strategies, rounds and the diary; ``arena`` the same from a custody wallet, for all to see
    quests     what is counted, and the bones for it

Adding to it
------------

An endpoint is a row in ``routes.ROUTES`` and a handler, a plain function ``(call: Call) -> Reply``:

    def list_quests(call: Call) -> Reply:
        page = page_of(call.query)
        shown, total = quests_of(call.core.db, call.user_id, page)
        return Reply(paged(page, shown, total))

It is synchronous, runs in the venue's thread and has the whole venue to itself, so nothing can come between a check and
what it allows. It raises ``ApiError`` to refuse, and then nothing of it has happened, neither in the database nor on
the chain. It must not wait for anything: work for the event loop (a language model) goes to ``core.spawn``.

Where the reference names a status it is the one; where it names none, a success is 200.

Tables, reactions to events and what happens by itself are a ``Part``, and a row in ``venue.PARTS``. Rules that hold for
all: the time is ``core.now_ms``, ids are ``core.new_id()``, and nothing is remembered outside the database.

Orders are placed with ``trading.desk.Desk(core).place(wallet, NewOrder(…))``, for any wallet that is held here, also
from ``run_due``. It returns the order as it was accepted; a market order has been carried out meanwhile, and is found
so with ``Desk(core).book.find``. Tokens are moved with ``core.chain.transfer``; a transaction is looked up, with what
it moved, by ``core.chain.transaction(signature)``. Tests: ``tests/support/milo_user.py`` and the fixtures beside them.
"""
