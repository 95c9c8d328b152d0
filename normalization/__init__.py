"""The vocabulary every other package speaks: money, instruments, symbols, orders, errors. No I/O and no clock."""
