"""Limits that all workers keep together: counted in one place, and by shares while that place is out of reach.

limiter        start here: one request of an account
gatherer       concurrent checks, one round trip
breaker        when to stop asking, and when to ask again
shares         what a worker admits by itself; pure
shared_time    the clock that all workers share
live_workers   how many there are
day_counts     each day's usage on its way to the database
"""
