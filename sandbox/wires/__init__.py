"""What the local venues with a real venue's HTTP protocol have in common.

faults     switches that make the next answers go wrong
desk       orders as a wire knows them, on top of the exchange: conditions that the exchange itself does not have
records    where a wire keeps what the exchange does not know
"""
