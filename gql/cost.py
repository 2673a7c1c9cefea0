"""What an operation costs, known before it runs: the rows that it asks for times the fields of a row, in points.

A point is about a fifth of a microsecond of this server. The terms are made once for each operation; what is left for
a request is to look its numbers up.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLSchema,
    NullValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    value_from_ast_untyped,
)

from gql.execution.fields import Fragments, fragments_of, grouped, switches_of
from gql.limits import SHORT_PAGE
from repos.keyset import DEFAULT, MOST

ROOT = 10
"""Points of a root field: a statement of its own, or nearly."""
INTROSPECTED = 20
"""How much dearer than others an operation is that asks for __schema, __type or __typename at its root: no such is
compiled, and its fields are resolved one by one."""
_INTROSPECTION = ("__schema", "__type")
_DESCRIBED = {"fields": 4, "inputFields": 1, "enumValues": 1, "args": 1, "directives": 5, "locations": 4, "ofType": 0.5}
"""How many of them there are of a type or of a field in our schema, on average, rounded up."""
_MOST_PLANS = 16
"""Of one operation; there is one for each choice of its directives' variables."""


class _Rows(NamedTuple):
    """How many rows a root field asks for: the first of these arguments that is given, else `default`."""

    arguments: tuple[str, ...] = ()
    default: int = 1
    each: int = 1
    """Points of a row before any field."""


_RESUMED = "after"
"""A subscription that has it reads what was missed, and no one knows how many rows that is."""
_MISSED = 100
"""Rows that a resume counts as: thousands of dashboards may come back at once, from one address."""
_ROWS: dict[OperationType, dict[str, _Rows]] = {
    OperationType.QUERY: {
        "candles": _Rows(("first", "last"), DEFAULT),
        "rawTrades": _Rows(("first", "last"), DEFAULT),
        "candleSeries": _Rows(("last",), DEFAULT),
        "bots": _Rows(("first", "last"), SHORT_PAGE),
        "instruments": _Rows(("first",), SHORT_PAGE),
        "markets": _Rows(default=500),
        "health": _Rows(default=100),
    },
    OperationType.MUTATION: {"upsertCandles": _Rows(("input",), each=10)},
    OperationType.SUBSCRIPTION: {
        "candles": _Rows((_RESUMED, "snapshot"), 1),
        "trades": _Rows((_RESUMED, "snapshot"), 0),
        "watchCandles": _Rows(("series",)),
    },
}
_DEAR = {"deleteCandles": 10_000, "totalCount": 1_000, "stats": 1_000, "latestCandle": 10, "tickSize": 10}
"""Points of single fields, beside one for each leaf."""


class _Given(NamedTuple):
    """An argument: the value of `variable` where that is given, or else `constant`; None where there is none."""

    variable: str | None
    constant: int | None
    resumes: bool


class _Term(NamedTuple):
    """A root field: `once`, and `per_row` for each row that it asks for."""

    once: int
    per_row: int
    arguments: tuple[_Given, ...]
    default: int


class Costs:
    """What one operation costs, by its variables. Its document is within the limits (gql.rules) and valid."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = fragments_of(document)
        self._switches = switches_of(document)
        self._defaults = {
            node.variable.name.value: value_from_ast_untyped(node.default_value)
            for node in operation.variable_definitions or ()
            if node.default_value is not None
        }
        self._plans: dict[tuple[bool, ...], list[_Term]] = {}

    def of(self, inputs: Mapping[str, Any]) -> int:
        """The points, when the variables are given as they came. What is wrong with them shows when they are read."""
        switches = self._switches
        flags = tuple([inputs.get(name, self._defaults.get(name)) is True for name in switches]) if switches else ()
        terms = self._plans.get(flags)
        if terms is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            terms = self._plans[flags] = self._terms(dict(zip(self._switches, flags, strict=True)))
        total = 0
        for once, per_row, arguments, rows in terms:
            for variable, constant, resumes in arguments:
                value = constant if variable is None else inputs.get(variable, constant)
                if value is not None:
                    rows = _MISSED if resumes else _count(value)
                    break
            total += once + per_row * rows
        return total

    def _terms(self, flags: Mapping[str, bool]) -> list[_Term]:
        kind = self._operation.operation
        root = self._schema.get_root_type(kind)
        walk = _Walk(self._fragments, flags)
        fields = grouped([self._operation.selection_set], self._fragments, walk.wanted)
        factor = INTROSPECTED if any(nodes[0].name.value.startswith("__") for nodes in fields.values()) else 1
        terms = []
        for nodes in fields.values():
            name = nodes[0].name.value
            if name in _INTROSPECTION:
                described = ceil(factor * walk.introspected(nodes, len(self._schema.type_map)))
                terms.append(_Term(ROOT + described, 0, (), 0))
                continue
            rows = _ROWS[kind].get(name, _Rows())
            once, per_row = walk.weighed(root, nodes)
            if kind is OperationType.SUBSCRIPTION:  # the field is a list of events
                once, per_row = 0, once + per_row
            if name in _ROWS[kind]:
                per_row += rows.each
            given = tuple(self._given(nodes[0], argument) for argument in rows.arguments)
            terms.append(_Term(ROOT + factor * once, factor * per_row, given, rows.default))
        return terms

    def _given(self, node: FieldNode, name: str) -> _Given:
        resumes = name == _RESUMED
        for argument in node.arguments or ():
            if argument.name.value == name:
                value = argument.value
                if isinstance(value, VariableNode):
                    variable = value.name.value
                    default = self._defaults.get(variable)
                    return _Given(variable, None if default is None else _count(default), resumes)
                if isinstance(value, NullValueNode):
                    break
                return _Given(None, _count(value_from_ast_untyped(value, {})), resumes)
        return _Given(None, None, resumes)


def _count(value: object) -> int:
    """Rows that a value stands for: a list's own, or a number of them, which is refused later if it is above MOST."""
    if type(value) is int:
        return 0 if value < 0 else min(MOST, value)
    return len(value) if isinstance(value, list) else 1


class _Walk:
    """Weighs what is selected, when the flags in @skip and @include are these."""

    def __init__(self, fragments: Fragments, flags: Mapping[str, bool]) -> None:
        self._fragments = fragments
        self._flags = flags

    def wanted(self, selection: SelectionNode) -> bool:
        """Whether it is neither skipped nor left out."""
        for directive in selection.directives or ():
            for argument in directive.arguments or ():
                value = argument.value
                chosen = (
                    self._flags[value.name.value] if isinstance(value, VariableNode) else getattr(value, "value", 0)
                )
                if (chosen is True) == (directive.name.value == "skip"):
                    return False
        return True

    def weighed(self, parent: Any, nodes: list[FieldNode]) -> tuple[int, int]:
        """Points of a field, and of each row of the lists in it. Lists in lists count as one."""
        name = nodes[0].name.value
        field = parent.fields.get(name)
        if field is None:  # __typename
            return 1, 0
        kind = get_named_type(field.type)
        once, per_row = _DEAR.get(name, 0), 0
        if is_leaf_type(kind):
            once += 1
        else:
            inner = grouped((node.selection_set for node in nodes), self._fragments, self.wanted)
            for selected in inner.values():
                alone, listed = self.weighed(kind, selected)
                once += alone
                per_row += listed
        return (0, once + per_row) if is_list_type(get_nullable_type(field.type)) else (once, per_row)

    def introspected(self, nodes: list[FieldNode], types: int) -> float:
        """About how many values a field of the schema's description has in it."""
        inner = grouped((node.selection_set for node in nodes), self._fragments, self.wanted)
        many = types if nodes[0].name.value == "types" else _DESCRIBED.get(nodes[0].name.value, 1)
        return many * (sum(self.introspected(selected, types) for selected in inner.values()) or 1)
