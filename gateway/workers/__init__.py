"""Several workers for one gateway: a supervisor that starts them, and an owner of what there can be only one of.

supervisor.py         starts, watches and stops processes; nothing else (gateway/cli/serve_many.py: what these run)
seat.py               who a process is among them
channel.py            how a worker asks the owner: typed calls over a unix socket; failures.py: how they fail
worker.py             what a worker has in the place of what is the owner's:
  owned_venue.py        the paper exchange
  owned_limits.py       the counters of the limits, where Redis does not have them
  owned_sessions.py     MCP sessions, likewise
  passed_on.py          what a client says to one worker, and another one waits for
forwarding.py         the local Milo's paths at the gateway's port
gathered_metrics.py   the metrics of all at one port
"""
