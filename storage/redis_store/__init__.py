"""What many workers share, in Redis or Redis Cluster. Nothing that matters has its only home here.

    address       where Redis is; this module alone does without the library
    line          one connection: a call is never cancelled, one that takes too long loses its connection
    servers       one Redis or a cluster; scripts over keys
    failures      what goes wrong, in words
    checks        is it the Redis that the gateway needs
    counters      limits
    nonces        numbers that a signer uses once
    sessions      MCP sessions
    news          word of changes, from whoever makes one to all who remember what was before

Every key and channel begins with ``vg:``, and every key expires.
"""
