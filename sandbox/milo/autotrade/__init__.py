"""Trading by itself: settings, strategies, the decision, the rounds that carry it out, and the diary.

terms        the words of the reference, and what it allows in each field
strategies   reusable presets; ``settings`` what a user's agent trades by, a snapshot of one
decision     pure: a plan, the market and what is held → trades with their reasons
rounds       when decisions are due, and how they become orders and diary entries
"""
