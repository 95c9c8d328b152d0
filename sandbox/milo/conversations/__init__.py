"""Conversations with an agent: asked here, answered in the background, read by polling.

records     conversations and messages in the database
x402        the terms and the receipt of a payment in x402's words
payments    what a write beyond the free ones costs, and the proof that it was paid
briefing    the facts that an agent gets with a question
answering   from a question that waits to its answer, whatever happens in between
endpoints   create, list, get, send, messages
"""
