"""Who may do what. It depends on the root fields that an operation asks for, and on nothing below them."""

from enum import StrEnum

BOTS = frozenset({"createBot", "updateBot", "recordHeartbeat", "deleteBot"})
"""Mutations of bots."""
MARKET_DATA = frozenset({"upsertCandle", "upsertCandles", "insertMarketDataPoint", "insertRawWebsocketData"})
"""Mutations of what the exchange says."""


class Role(StrEnum):
    """What a caller may do: all may query and subscribe, and their mutations differ."""

    VIEWER = "viewer"
    TRADER = "trader"
    COLLECTOR = "collector"
    ADMIN = "admin"

    def may(self, root: str, field: str) -> bool:
        """Whether it may ask for this field of Query, Mutation or Subscription.

        A mutation that no role has been given is an admin's.
        """
        return root != "Mutation" or self is Role.ADMIN or field in _MUTATIONS[self]


_MUTATIONS = {Role.VIEWER: frozenset[str](), Role.TRADER: BOTS, Role.COLLECTOR: MARKET_DATA}
