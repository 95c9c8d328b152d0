"""The order machine: an order is never doubled and never forgotten.

``desk.py`` journals and submits, ``classification.py`` says what a venue's answer means, ``reconciler.py`` finds out
what became of orders nobody answered for, ``standing.py`` tells a caller how an order stands.
"""
