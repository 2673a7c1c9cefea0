"""graphql-core's executor, mended."""

from typing import Any

from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext


class Executor(StrawberryGraphQLCoreExecutionContext):
    """Overrides a hook that graphql-core does not call public: its version is bounded."""

    def build_per_event_executor(self, payload: Any) -> Any:
        """The executor of one event of a subscription, with a memo of its own.

        graphql-core 3.3.2 shares the subscription's memo among all events although its keys never recur: some 2 kB of
        each event would stay until the subscription ends, in days perhaps.
        """
        executor = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}  # noqa: SLF001
        return executor
