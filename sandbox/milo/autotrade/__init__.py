"""Trading by itself: settings, strategies, the decision, the rounds that carry it out, and the diary.

terms        the words of the reference, and what it allows in each field
strategies   reusable presets; ``settings`` what a user's agent trades by, a snapshot of one
decision     pure: a plan, the market and what is held → trades with their reasons; ``profiles`` what a tolerance for
             risk means, ``signals`` what a style sees in a token, ``guidance`` what instructions say
trader       how trades become orders; ``rounds`` when, by a ``schedule``; ``diary`` what was done, and why
endpoints    settings, strategies, diary
"""
