"""Venues that run on this machine: to learn on, to develop against, and to test with."""
