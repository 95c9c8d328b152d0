"""Venues whose wire ccxt spells: it builds and signs requests and reads replies; everything in between is ours.

library    ccxt imported late and in a thread; its classes with our own sending, clock and numbers
quirks     what is particular about one venue: the only thing a further one has to say
handing    its coroutines in threads, where signing takes long
unified    ccxt's structures in our words, strictly
session    one credential's connection; a venue that has to be asked in ways of its own derives one
raw        what such a session needs that reads the venue's own documents
service    one network of one venue
"""
