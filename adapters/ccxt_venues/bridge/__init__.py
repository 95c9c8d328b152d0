"""Venues whose wire ccxt spells: it builds and signs requests and reads replies; everything in between is ours.

library    ccxt imported late and in a thread; its classes with our own sending, clock and numbers
quirks     what is particular about one venue: the only thing a further one has to say
unified    ccxt's structures in our words, strictly
session    one credential's connection
service    one network of one venue
"""
