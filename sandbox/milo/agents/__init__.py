"""Who answers in conversations.

agent       the seam: a ``Question`` with the facts that belong to it → an ``Answer``
analyst     the built-in agent, which computes every number that it says from the sandbox's market
model       any OpenAI-compatible endpoint in its place
demands     what the agent that trades is told to change
questions   what a question is about: tokens, topics, a stretch of time, an amount
*_topics    a paragraph per topic: about a token, the market, what the user holds, how the user's agent trades
"""
