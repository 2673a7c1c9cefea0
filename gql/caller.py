"""Who asks, and whether that is enough for an operation."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from graphql import OperationType

from gql.errors import FORBIDDEN, refused
from gql.proxies import network_of
from gql.roles import Role


class Caller(NamedTuple):
    """Who asks. `key_id` is that of an API key; `expires_at` the end of a key or a token that has one; `address` the
    client's, or "" where there is none; `signed_with` tells the issuer's key that a token was verified with."""

    role: Role
    name: str
    key_id: int | None = None
    expires_at: datetime | None = None
    address: str = ""
    signed_with: bytes | None = None

    @property
    def account(self) -> str:
        """On whose account goes what is asked or held open: the credential's, or the address's where there is none."""
        if self.key_id is not None:
            return f"key {self.key_id}"
        if self.expires_at is not None:
            return f"token {self.name}"
        return network_of(self.address) if self.address else ""


NOBODY = Caller(Role.VIEWER, "nobody")
"""Where nobody has been asked for yet."""


def permit(caller: Caller, kind: OperationType, fields: Iterable[str]) -> None:
    """Let an operation run only if its caller may have all root fields that it names, skipped or not; __typename is
    everybody's.

    Raises:
        Refused: The caller may not.
    """
    if kind is not OperationType.MUTATION:
        return
    for field in fields:
        if field != "__typename" and not caller.role.may(field):
            raise refused(FORBIDDEN, f"A {caller.role} may not ask for Mutation.{field}")
