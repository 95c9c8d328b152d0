"""Perp DEXes that ccxt knows, safe where ccxt is not.

    transport (one folder up)   one pool of connections, nothing followed or repeated
    limits, nonces              the pace towards a venue, and numbers that no signer uses twice
    link                        one request: its turn, the sending, the verdict on the reply, its meaning
    refusals, errors/*.json     what a venue's words prove
    markets                     the list of markets: loaded once, shared, kept on disk
    venue, adapter, rows        a venue's row of facts, what makes sessions of it, and the list of rows
    hyperliquid, paradex        venues whose wire we speak ourselves: wire, signing, build, orders, reads, session, row
    bridge                      venues whose wire ccxt speaks for us: a further one is a file such as ``aster.py``

A further venue through the bridge: its capabilities, credential fields and ``Quirks`` in a file of its own, its codes
in ``errors/VENUE.json``, a line in ``rows.py``, and its words in ``tests/adapters/ccxt/recorded``: the contract suite
and what is asked of every bridged venue then run on it.
"""
