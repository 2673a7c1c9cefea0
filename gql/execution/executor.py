"""graphql-core's executor, mended."""

from typing import Any

from graphql import DocumentNode, GraphQLSchema
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from gql.context import Context


class Executor(StrawberryGraphQLCoreExecutionContext):
    """Overrides a hook that graphql-core does not call public: its version is bounded."""

    @classmethod
    def build(
        cls,
        schema: GraphQLSchema,
        document: DocumentNode,
        root_value: Any = None,
        context_value: Any = None,
        *more: Any,
        **named: Any,
    ) -> Any:
        """As graphql-core's; what is wrong with variables suggests no names where introspection is switched off."""
        if isinstance(context_value, Context) and not context_value.resources.gate.limits.introspection:
            named["hide_suggestions"] = True
        return super().build(schema, document, root_value, context_value, *more, **named)

    def build_per_event_executor(self, payload: Any) -> Any:
        """The executor of one event of a subscription, with a memo of its own.

        graphql-core 3.3.2 shares the subscription's memo among all events although its keys never recur: some 2 kB of
        each event would stay until the subscription ends, in days perhaps.
        """
        executor = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}  # noqa: SLF001
        return executor
