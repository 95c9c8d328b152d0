"""MCP: every operation as a tool, over the same pipeline, limits, scopes and journal as ``POST /v1``.

``server`` is the HTTP handler at ``/mcp``; ``protocol`` and ``envelope`` read what clients send in both eras of the
protocol; ``catalog`` derives the tools from the table of operations; ``calls`` carries one out.
"""
