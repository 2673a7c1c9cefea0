"""Who may do what. It depends on the root fields that an operation asks for, and on nothing below them."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from graphql import OperationType

from gql.errors import FORBIDDEN, refused

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


_MUTATIONS = {Role.VIEWER: frozenset[str](), Role.TRADER: BOTS, Role.COLLECTOR: MARKET_DATA}
"""An admin may have all, also those that no role has been given."""


class Caller(NamedTuple):
    """Who asks. `key_id` is that of an API key; `expires_at` the end of a key or a token that has one; `address` the
    client's, or "" where there is none."""

    role: Role
    name: str
    key_id: int | None = None
    expires_at: datetime | None = None
    address: str = ""

    @property
    def account(self) -> str:
        """Whose account is charged with what is asked: the credential's, or the address's where there is none."""
        if self.key_id is not None:
            return f"key {self.key_id}"
        return self.address if self.expires_at is None else f"token {self.name}"


NOBODY = Caller(Role.VIEWER, "nobody")
"""Where nobody has been asked for yet."""


def permit(caller: Caller, kind: OperationType, fields: Iterable[str]) -> None:
    """Let an operation run only if its caller may have all root fields that it names, skipped or not.

    Raises:
        Refused: The caller may not.
    """
    if kind is not OperationType.MUTATION or caller.role is Role.ADMIN:
        return
    for field in fields:
        if field not in _MUTATIONS[caller.role]:
            raise refused(FORBIDDEN, f"A {caller.role} may not ask for Mutation.{field}")
