"""graphql-core's executor, with lists projected where that gives the same."""

from typing import Any

from graphql import GraphQLList, GraphQLNonNull, GraphQLResolveInfo
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from gql.context import Context
from gql.execution.projection import NotProjectable, projection, shape_of
from gql.execution.stored import stored_candles
from repos.wire import StoredCandles


class Executor(StrawberryGraphQLCoreExecutionContext):
    """Overrides hooks that graphql-core does not call public: its version is bounded, and tests compare the answers."""

    def build_per_event_executor(self, payload: Any) -> Any:
        """The executor of one event of a subscription, with a memo of its own.

        graphql-core 3.3.2 shares the subscription's memo among all events although its keys never recur: some 2 kB of
        each event would stay until the subscription ends, in days perhaps.
        """
        executor = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}  # noqa: SLF001
        return executor

    def complete_list_value(
        self,
        return_type: GraphQLList[Any],
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        context = self.context_value
        if isinstance(result, list | StoredCandles) and isinstance(context, Context):
            paths = context.paths
            try:
                shape = shape_of(GraphQLNonNull(return_type), field_details_list, self.collect_subfields)
                if isinstance(result, StoredCandles):
                    projected = stored_candles(shape)(result)
                else:
                    projected = projection(shape)(result)
            except NotProjectable as reason:
                paths.note(f"{info.parent_type.name}.{info.field_name}: {reason}")
            except Exception as error:  # noqa: BLE001 -- whatever it is, graphql-core finds it again and words it
                paths.note(f"{info.parent_type.name}.{info.field_name}: {type(error).__name__}")
            else:
                paths.took()
                return projected
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)
