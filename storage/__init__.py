"""Where things are kept: ports that the gateway speaks to, and the stores behind them."""
