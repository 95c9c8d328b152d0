"""Several workers for one gateway: a supervisor that starts them, and an owner of what there can be only one of.

supervisor.py   starts, watches and stops processes; nothing else
owner.py        the process that has the paper exchange, the local venues, the counters and the metrics of all
channel.py      how a worker asks the owner: typed calls over a unix socket
owned_venue.py, owned_limits.py   what a worker has in their place
"""
