"""What can be computed from candles and read from text. Used by the agents that answer and by the one that trades.

series      candles as columns; ``MarketReader``, the market at one instant; ``reader`` the sandbox's
indicators  averages, RSI, MACD, volatility, drawdown, …
naming      which tokens a text is about
figures     numbers in words
"""
