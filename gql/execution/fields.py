"""The fields of selection sets as an executor sees them: fragments in their places, equal response names together."""

from collections.abc import Callable, Iterable, Mapping

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    visit,
)

Fragments = Mapping[str, FragmentDefinitionNode]


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    """The document's fragments by name."""
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


def grouped(
    sets: Iterable[SelectionSetNode | None],
    fragments: Fragments,
    wanted: Callable[[SelectionNode], bool] = lambda _: True,
) -> dict[str, list[FieldNode]]:
    """The fields that are selected by `sets` together, by response name; only what is `wanted`, and what is in it.

    Types are not looked at: the schema has no interfaces and no unions, so that all fragments in one place are on the
    same type. A fragment is put in once, and one that is not there not at all.
    """
    found: dict[str, list[FieldNode]] = {}
    spread: set[str] = set()
    stack = [iter(chosen.selections) for chosen in sets if chosen is not None][::-1]
    while stack:
        selection = next(stack[-1], None)
        if selection is None:
            stack.pop()
        elif not wanted(selection):
            continue
        elif isinstance(selection, FieldNode):
            name = selection.alias or selection.name
            found.setdefault(name.value, []).append(selection)
        elif isinstance(selection, InlineFragmentNode):
            stack.append(iter(selection.selection_set.selections))
        elif isinstance(selection, FragmentSpreadNode) and (name := selection.name).value not in spread:
            spread.add(name.value)
            if name.value in fragments:
                stack.append(iter(fragments[name.value].selection_set.selections))
    return found


def switches_of(document: DocumentNode) -> set[str]:
    """The variables in @skip and @include."""
    switches = _Switches()
    visit(document, switches)
    return switches.names


class _Switches(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        self.names |= {
            argument.value.name.value for argument in node.arguments or () if isinstance(argument.value, VariableNode)
        }
