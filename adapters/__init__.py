"""Our types on one side, one venue on the other.

A venue is a module with an ``Adapter`` and one line in ``registry.py``. ``base.py`` is the contract, and
``tests/contract`` proves it for every venue that is listed.
"""
