"""Milo on Solana: the common operations over its partner API, and that API itself.

wire, accounts, trading, agents   what goes over the wire: envelopes, and the bodies of each part of the API
endpoints, limits                 every endpoint with its body and its limit; our pace towards each group of them
refusals                          what a reply proves when it is none of these
client, api                       asking an endpoint as one key, or as nobody; what the gateway sees of that
tokens                            the tokens that are markets here
orders, reads                     Milo's words to ours and back: pure
session, adapter                  one credential, and the venue
"""
