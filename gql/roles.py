"""Who may do what. It depends on the root fields that an operation asks for, and on nothing below them."""

from enum import StrEnum

BOTS = frozenset({"createBot", "updateBot", "recordHeartbeat", "deleteBot"})
"""Mutations of bots."""
MARKET_DATA = frozenset(
    {"upsertCandle", "upsertCandles", "deleteCandles", "insertMarketDataPoint", "insertRawWebsocketData"}
)
"""Mutations of what the exchange says."""


class Role(StrEnum):
    """What a caller may do: all may query and subscribe, and their mutations differ."""

    VIEWER = "viewer"
    TRADER = "trader"
    COLLECTOR = "collector"
    ADMIN = "admin"

    def may(self, mutation: str) -> bool:
        """Whether it may ask for that mutation; an admin for those that no role has been given, too."""
        return self is Role.ADMIN or mutation in _MUTATIONS[self]


_MUTATIONS = {Role.VIEWER: frozenset[str](), Role.TRADER: BOTS, Role.COLLECTOR: MARKET_DATA}
