"""The schema, put together."""

from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from gql.enums import ENUMS
from gql.errors import ValidationCodes, presentable
from gql.mutations import Mutation
from gql.queries import Query
from gql.scalars import SCALARS
from gql.subscriptions import Subscription


class _Execution(StrawberryGraphQLCoreExecutionContext):
    def build_per_event_executor(self, payload: Any) -> Any:
        """The executor of one event of a subscription, with a memo of its own.

        graphql-core 3.3.2 shares the subscription's memo among all events although its keys never recur: some 2 kB of
        each event would stay until the subscription ends, in days perhaps.
        """
        executor = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}  # noqa: SLF001
        return executor


class Schema(strawberry.Schema):
    """Strawberry's, with our one error path."""

    def process_errors(self, errors: list[GraphQLError], execution_context: Any = None) -> None:  # noqa: ARG002
        """Put what clients may see in the place of what happened.

        Strawberry calls this once for each result with errors, over any transport, before it is sent; the list is the
        result's own.
        """
        errors[:] = presentable(errors)


schema = Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=ENUMS,
    extensions=[ValidationCodes],
    execution_context_class=_Execution,
    config=StrawberryConfig(scalar_map=SCALARS),
)


def print_schema() -> str:
    """The schema as SDL, ending in one newline."""
    return schema.as_str().rstrip() + "\n"
