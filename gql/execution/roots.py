"""The root fields that operations name."""

from collections.abc import Iterable

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

RootField = tuple[str, str]
"""Query, Mutation or Subscription, and a field of it."""


def root_fields_of(document: DocumentNode, operations: Iterable[OperationDefinitionNode]) -> frozenset[RootField]:
    """All that is named, even where @skip or @include leaves it out. Each fragment is looked into once."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    found: set[RootField] = set()
    entered: set[RootField] = set()
    for operation in operations:
        root = operation.operation.value.capitalize()
        waiting: list[SelectionSetNode] = [operation.selection_set]
        while waiting:
            for node in waiting.pop().selections:
                if isinstance(node, FieldNode):
                    found.add((root, node.name.value))
                elif isinstance(node, InlineFragmentNode):
                    waiting.append(node.selection_set)
                elif isinstance(node, FragmentSpreadNode) and (root, node.name.value) not in entered:
                    entered.add((root, node.name.value))
                    waiting.append(fragments[node.name.value].selection_set)
    return frozenset(found)
