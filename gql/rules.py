"""The limits on documents, checked before validation: in one walk, which grows with the document and nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
)

from gql.execution.fields import fragments_of
from gql.limits import Limits

VALUE_DEPTH = 40
"""Levels of lists and objects in a value: the JSON of an input (gql.scalars), and what is around it."""

_INTROSPECTION = ("__schema", "__type")


@dataclass(slots=True)
class _Size:
    """Of a selection with its fragments in their places."""

    fields: int = 0
    """And spreads."""
    root_fields: int = 0
    aliases: int = 0
    directives: int = 0
    depth: int = 0

    def hold(self, inner: "_Size", depth: int = 0) -> None:
        """Count what is inside, so many levels down."""
        self.fields += inner.fields
        self.aliases += inner.aliases
        self.directives += inner.directives
        self.depth = max(self.depth, depth + inner.depth)
        if not depth:
            self.root_fields += inner.root_fields


def broken(document: DocumentNode, limits: Limits) -> Iterator[GraphQLError]:
    """What is beyond `limits`.

    A fragment is measured once, however often it is spread, so nested ones cost no more than others.
    """
    fragments = fragments_of(document)
    inside = {name: set(_spreads(node.selection_set)) & fragments.keys() for name, node in fragments.items()}
    sizes: dict[str, _Size] = {}
    whole = 0
    try:
        for name in TopologicalSorter(inside).static_order():
            sizes[name] = _measured(fragments[name], sizes)
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                size = _measured(node, sizes)
                whole += size.fields
                yield from _beyond(size, limits, node)
    except CycleError as error:
        names = error.args[1]
        cycle = [fragments[name] for name in names]
        yield GraphQLError(f"Cannot spread fragment '{names[-1]}' within itself{_via(names)}.", cycle)
    except GraphQLError as error:
        yield error
    if whole > (most := limits.tokens // 2):
        message = f"The document has {_many(whole)} fields and spreads with its fragments put in their places; "
        yield GraphQLError(f"{message}at most {most:,} are allowed.")


def _beyond(size: _Size, limits: Limits, node: OperationDefinitionNode) -> Iterator[GraphQLError]:
    for what, has, most in (
        ("root fields", size.root_fields, limits.root_fields),
        ("aliases", size.aliases, limits.aliases),
        ("directives", size.directives, limits.directives),
        ("levels of fields inside each other", size.depth, limits.depth),
    ):
        if has > most:
            yield GraphQLError(f"The operation has {_many(has)} {what}; at most {most} are allowed.", node)


def _many(number: int) -> str:
    return f"{number:,}" if number < 1_000_000 else "over a million"


def introspecting(document: DocumentNode) -> Iterator[GraphQLError]:
    """Where the schema is asked for."""
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode):
            for field in _fields(node.selection_set):
                if field.name.value in _INTROSPECTION:
                    yield GraphQLError("The schema can't be asked for here: introspection is switched off.", field)


def _via(names: list[str]) -> str:
    # The cycle's first name is its last, too.
    between = ", ".join(f"'{name}'" for name in names[-2:0:-1])
    return between and f" via {between}"


def _nodes(root: SelectionSetNode) -> Iterator[tuple[Node, int]]:
    """All selections in `root`, with the number of fields that they are inside of."""
    stack: list[tuple[SelectionSetNode, int]] = [(root, 0)]
    while stack:
        chosen, depth = stack.pop()
        for selection in chosen.selections:
            yield selection, depth
            inner = getattr(selection, "selection_set", None)
            if inner is not None:
                stack.append((inner, depth + isinstance(selection, FieldNode)))


def _spreads(root: SelectionSetNode) -> Iterator[str]:
    return (node.name.value for node, _ in _nodes(root) if isinstance(node, FragmentSpreadNode))


def _fields(root: SelectionSetNode) -> Iterator[FieldNode]:
    return (node for node, _ in _nodes(root) if isinstance(node, FieldNode))


def _measured(definition: OperationDefinitionNode | FragmentDefinitionNode, sizes: dict[str, _Size]) -> _Size:
    """The size of a definition, when those of the fragments in it are known.

    Raises:
        GraphQLError: A value is nested too deeply.
    """
    size = _Size(directives=len(definition.directives or ()))
    for variable in getattr(definition, "variable_definitions", None) or ():
        _check_depth(variable.default_value)
    for node, depth in _nodes(definition.selection_set):
        directives = getattr(node, "directives", None) or ()
        size.directives += len(directives)
        for holder in (node, *directives):
            for argument in getattr(holder, "arguments", None) or ():
                _check_depth(argument.value)
        if isinstance(node, FieldNode):
            size.fields += 1
            size.root_fields += not depth
            size.aliases += node.alias is not None
            size.depth = max(size.depth, depth + 1)
        elif isinstance(node, FragmentSpreadNode):
            size.fields += 1
            if node.name.value in sizes:
                size.hold(sizes[node.name.value], depth)
    return size


def _check_depth(value: ValueNode | None) -> None:
    """Raises:
    GraphQLError: Its lists and objects are nested too deeply.
    """
    level = [value]
    for _ in range(VALUE_DEPTH + 1):
        inside: list[ValueNode | None] = []
        for item in level:
            if isinstance(item, ListValueNode):
                inside += item.values
            elif isinstance(item, ObjectValueNode):
                inside += [field.value for field in item.fields]
        if not inside:
            return
        level = inside
    raise GraphQLError(f"Lists and objects of a value may be nested {VALUE_DEPTH} levels deep, and not deeper.", value)
