"""graphql-core's rules of validation, three of them in words or in time of our own."""

from collections.abc import Callable, Iterable
from typing import Any

from graphql import (
    SKIP,
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLInputType,
    GraphQLSchema,
    OperationDefinitionNode,
    ParallelVisitor,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    ValidationContext,
    ValidationRule,
    ValueNode,
    VariableDefinitionNode,
    Visitor,
    print_ast,
    specified_rules,
    visit,
)
from graphql.utilities.sort_value_node import sort_value_node
from graphql.utilities.validate_input_value import validate_input_literal
from graphql.validation import KnownDirectivesRule, OverlappingFieldsCanBeMergedRule, ValuesOfCorrectTypeRule

from gql.errors import BAD_USER_INPUT
from gql.execution.fields import fragments_of, grouped


class FieldsCanBeMerged(ValidationRule):
    """Fields of one response name must be the same field with the same arguments; in linear time.

    graphql-core's rule compares each with each: a document of 8 kB takes it 0.8 s.

    This is the specification's FieldsInSetCanMerge where all that may be merged have one parent type, which holds as
    long as the schema has no interfaces and no unions. Circular fragments are refused before (gql.rules).
    """

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._fragments = fragments_of(context.document)

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> None:
        self._check([node.selection_set])

    def _check(self, sets: Iterable[SelectionSetNode | None]) -> None:
        """Look at selection sets that are merged, and into them."""
        for name, nodes in grouped(sets, self._fragments).items():
            if len(nodes) > 1 and (reason := _difference(nodes)):
                message = (
                    f"Fields '{name}' conflict because {reason}. Use different aliases on the fields to fetch both."
                )
                self.report_error(GraphQLError(message, nodes[:2]))
            self._check(node.selection_set for node in nodes)


def _difference(nodes: list[FieldNode]) -> str | None:
    fields = dict.fromkeys(node.name.value for node in nodes)
    if len(fields) > 1:
        one, other, *_ = fields
        return f"'{one}' and '{other}' are different fields"
    return "they have differing arguments" if len({_arguments(node) for node in nodes}) > 1 else None


def _arguments(node: FieldNode) -> tuple[tuple[str, str], ...]:
    given = node.arguments or ()
    return tuple(sorted((argument.name.value, print_ast(sort_value_node(argument.value))) for argument in given))


class _NamedValues(ValuesOfCorrectTypeRule):
    """graphql-core's rule, telling in which argument a wrong literal stands."""

    _place = ""

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        self._place = node.name.value

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> None:
        self._place = f"${node.variable.name.value}"

    def is_valid_value_node(self, node: ValueNode, input_type: GraphQLInputType | None) -> Any:
        def refuse(error: GraphQLError, path: list[str | int]) -> None:
            steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
            message = f"{self._place}{steps}: {error.message}"
            self.report_error(GraphQLError(message, error.nodes or node, extensions={"code": BAD_USER_INPUT}))

        if input_type:
            validate_input_literal(node, input_type, refuse, hide_suggestions=self.context.hide_suggestions)
        return SKIP


class _KnownDirectives(KnownDirectivesRule):
    """graphql-core's rule, telling of the first that is unknown or misplaced, however many there are."""

    _has_told = False

    def report_error(self, error: GraphQLError) -> None:
        if not self._has_told:
            self._has_told = True
            super().report_error(error)


_OURS: dict[Any, Any] = {
    KnownDirectivesRule: _KnownDirectives,
    OverlappingFieldsCanBeMergedRule: FieldsCanBeMerged,
    ValuesOfCorrectTypeRule: _NamedValues,
}
_RULES = tuple(_OURS.get(rule, rule) for rule in specified_rules)


class _Resting(Visitor):
    """No rule: rests at every node."""

    def __init__(self, rest: Callable[[], None]) -> None:
        super().__init__()
        self._rest = rest

    def enter(self, *_: Any) -> None:
        self._rest()


class _Enough(Exception):
    """There are as many mistakes as are told."""


def mistakes(
    schema: GraphQLSchema,
    document: DocumentNode,
    most: int,
    rest: Callable[[], None],
    *,
    hide_suggestions: bool = False,
) -> list[GraphQLError]:
    """`most` of them at most, and then one that says so; `rest` is called at every node and every mistake.

    As graphql.validate, whose visitors refer to each other in circles and to the document, so that all of it would be
    left to the garbage collector.
    """
    found: list[GraphQLError] = []

    def note(error: GraphQLError) -> None:
        if len(found) == most:
            raise _Enough
        found.append(error)
        rest()

    types = TypeInfo(schema)
    context = ValidationContext(schema, document, types, note, hide_suggestions)
    rules = [_Resting(rest), *(rule(context) for rule in _RULES)]
    together = ParallelVisitor(rules)
    visitor = TypeInfoVisitor(types, together)
    try:
        visit(document, visitor)
    except _Enough:
        found.append(GraphQLError(f"There are more mistakes than these {most}"))
    except RecursionError:
        found.append(GraphQLError("The document is nested too deeply"))
    finally:
        for each in (*rules, together, visitor):
            each.enter_leave_map.clear()
    return found
