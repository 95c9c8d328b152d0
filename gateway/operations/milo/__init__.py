"""Milo's own operations: every endpoint of its partner API, as thin as can be over ``adapters.milo``.

common      what the requests share: ids, pages, proofs of payment
guards      what a key with ``confirmAbove`` may not do by itself
table       the rows
the rest    one file for each part of the API
"""
