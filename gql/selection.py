"""What a subscription makes of its events: a compiled function, which equal subscriptions share."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, NamedTuple, cast

from graphql import (
    GraphQLError,
    create_source_event_stream,
    execute_subscription_event,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import collect_fields
from graphql.pyutils import Path
from strawberry import Info

from gql.admission import Admitted
from gql.context import Context
from gql.execution.paths import totals
from gql.execution.projection import Later, Project, projected, projection
from gql.execution.shape import NotProjectable, shape_of
from gql.resources import Resources
from gql.results import printed, shown
from repos.feed.reading import Reading
from repos.json_text import written


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The fields of one subscription.

    What `project` does not expect of an event it raises on, and graphql-core is asked, which knows what to say.
    """

    asked: Admitted
    resources: Resources
    field: str
    root: str
    """The response name of the root field."""
    project: Project

    @property
    def key(self) -> tuple[object, ...]:
        """Selections with equal keys make the same of the same event: what flags in the variables change is in the
        function. Who asks makes no difference: roles decide whether an operation runs, not what it shows."""
        return self.asked.document, self.asked.operation.name, self.root, self.project

    def payload(self, event: object) -> bytes:
        """The payload of a `next` message for an event that needs no more than itself: JSON."""
        later: Later = []
        try:
            made = self.project(event, None, later)
            if later:
                raise TypeError("there is something to wait for")  # noqa: TRY301
        except Exception as error:  # whatever it is, graphql-core finds it again and words it
            # Nothing of a caller: many share what comes out.
            answer = self._executed(event, Context(self.resources), error)
            if isawaitable(answer):
                raise TypeError("an event of a shared subscription must resolve without waiting") from error
            return printed(shown(answer))
        totals["fast"] += 1
        return written({"data": {self.root: made}})

    async def loaded(self, event: object, info: Info[Context, None]) -> bytes:
        """The payload of a `next` message for an event, once everything that its fields load is there: JSON."""
        try:
            made = await projected(self.project, event, info)
        except Exception as error:  # noqa: BLE001 - as above
            answer = self._executed(event, info.context, error)
            return printed(shown(await answer if isawaitable(answer) else answer))
        totals["fast"] += 1
        return written({"data": {self.root: made}})

    def _executed(self, event: object, context: Context, error: Exception) -> Any:
        totals[f"Subscription.{self.field}: {type(error).__name__}"] += 1
        executor = cast("Executor[Any]", _executor(self.asked, context))
        return execute_subscription_event(executor.build_per_event_executor(event))


class Followed(NamedTuple):
    """A subscription that may begin: the events have not, and `info` is what resolvers may ask."""

    selection: Selection
    events: Reading[Any] | AsyncGenerator[Any, None]
    info: Info[Context, None]


def followed(asked: Admitted, context: Context) -> Followed | None:
    """The subscription that was admitted.

    None for one with a mistake in its variables or arguments, and for what can't be projected.
    """
    executor = _executor(asked, context)
    if not isinstance(executor, Executor):
        return None
    kind: Any = executor.schema.subscription_type
    try:
        grouped, *_ = collect_fields(
            executor.schema, executor.fragments, executor.variable_values, kind, asked.operation.node
        )
        [(root, details)] = grouped.items()
        nodes = [detail.node for detail in details]
        name = nodes[0].name.value
        field = kind.fields[name]
        project = projection(shape_of(field.type, details, executor.collect_subfields))
    except NotProjectable as reason:
        totals[f"Subscription.{name}: {reason}"] += 1
        return None
    except (GraphQLError, ValueError, KeyError):  # a flag that is null, no field, introspection
        return None
    source = create_source_event_stream(executor)
    if not isinstance(source, Reading | AsyncGenerator):
        return None
    selection = Selection(asked, context.resources, name, root, project)
    raw = executor.build_resolve_info(field, nodes, kind, Path(None, root, kind.name))
    return Followed(selection, source, Info(_raw_info=raw, _field=field.extensions["strawberry-definition"]))


def _executor(asked: Admitted, context: Context) -> Executor[Any] | list[GraphQLError]:
    """graphql-core's, or what is wrong with the variables."""
    schema, name = context.resources.gate.schema, asked.operation.name
    build = schema.execution_context_class.build
    return build(schema._schema, asked.document.node, None, context, asked.variables, name)  # noqa: SLF001
