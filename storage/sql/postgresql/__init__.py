"""The same stores on PostgreSQL, for any number of nodes: transactions in the event loop, and lines for what is hot."""
