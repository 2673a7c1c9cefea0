"""The schema, put together."""

from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig

from gql.enums import ENUMS
from gql.errors import presentable
from gql.execution.executor import Executor
from gql.mutations import Mutation
from gql.queries import Query
from gql.scalars import SCALARS
from gql.subscriptions import Subscription


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
    execution_context_class=Executor,
    config=StrawberryConfig(scalar_map=SCALARS),
)


def print_schema() -> str:
    """The schema as SDL, ending in one newline."""
    return schema.as_str().rstrip() + "\n"
