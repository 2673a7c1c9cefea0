"""What all requests share: the database, the feed, and by which numbers operations are measured."""

from dataclasses import dataclass
from datetime import timedelta

from strawberry import Schema

from gql.deadline import Deadline
from gql.execution.documents import Documents
from gql.limits import Limits
from gql.rate import MEMORY, Accounts
from gql.trusted import TrustedDocuments
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations


class Gate:
    """What admission remembers of all operations on a schema, and by which numbers it measures them."""

    def __init__(
        self,
        schema: Schema,
        limits: Limits | None = None,
        trusted: TrustedDocuments | None = None,
        rate_storage: str = MEMORY,
    ) -> None:
        """`rate_storage` is that of Accounts.

        Raises:
            limits.errors.ConfigurationError: There is no such storage.
        """
        self.schema = schema
        self.limits = limits or Limits()
        self.deadline = Deadline(self.limits.seconds)
        self.documents = Documents(schema._schema, self.limits)  # noqa: SLF001
        self.trusted = trusted or TrustedDocuments()
        points = self.limits.points_a_minute
        self.accounts = Accounts(points, rate_storage) if points else None


@dataclass(frozen=True, slots=True)
class Resources:
    """One for all requests of an application."""

    db: DatabaseOperations
    feed: Feed
    bot_heartbeat_timeout: timedelta
    gate: Gate
