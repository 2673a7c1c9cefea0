"""Who asks, and whether that is enough for an operation."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from graphql import OperationType

from gql.errors import FORBIDDEN, refused
from gql.roles import Role


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
    if kind is not OperationType.MUTATION:
        return
    for field in fields:
        if not caller.role.may(field):
            raise refused(FORBIDDEN, f"A {caller.role} may not ask for Mutation.{field}")
