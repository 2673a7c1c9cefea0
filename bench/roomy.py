"""Limits under which a load is let in: it comes from one address, asks much, and answers no pings."""

from gql.limits import Limits

_ANY = 100_000
ROOMY = Limits(connections=_ANY, connections_per_address=_ANY, sockets=_ANY, ping_seconds=3_600, points_a_minute=0)
SETTINGS = {"MAX_CONNECTIONS": str(_ANY), "MAX_CONNECTIONS_PER_ADDRESS": str(_ANY), "MAX_SOCKETS": str(_ANY)}
"""For `candleql serve`, which pings and counts points as ever."""
