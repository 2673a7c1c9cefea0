"""The schema, put together."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from gql.enums import ENUMS
from gql.execution.executor import Executor
from gql.mutations import Mutation
from gql.queries import Query
from gql.scalars import SCALARS
from gql.subscriptions import Subscription

schema = strawberry.Schema(
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
