"""Documents that were parsed and found valid once need neither again, and their operations are compiled once."""

from collections import OrderedDict

from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationType, get_operation_ast, parse, validate

from gql.errors import PARSE_FAILED, RULES, VALIDATION_FAILED, Refused, refused
from gql.execution.operation import NotCompiled, Operation
from gql.execution.roots import RootField, root_fields_of

MOST = 512
"""Documents."""
LONGEST = 16_384
"""Characters of a document worth keeping; parsed, a dense one takes some 280 bytes for each."""
MOST_TEXT = 131_072
"""Characters of all documents together: some 40 MB of trees at worst."""
_MOST_OPERATIONS = 16
"""Of one document, that are kept compiled."""


class Document:
    """A valid document and its operations."""

    def __init__(self, schema: GraphQLSchema, node: DocumentNode) -> None:
        self.node = node
        self._schema = schema
        self._operations: dict[str | None, Operation | NotCompiled] = {}
        self._kinds: dict[str | None, OperationType] = {}
        self._root_fields: dict[str | None, frozenset[RootField]] = {}

    def kind(self, name: str | None) -> OperationType | None:
        """Of the operation of that name; None names the only one. None when there is no such operation."""
        kind = self._kinds.get(name)
        if kind is None and (operation := get_operation_ast(self.node, name)):
            kind = self._kinds[name] = operation.operation
        return kind

    def root_fields(self, name: str | None) -> frozenset[RootField]:
        """What an operation asks for, by the name that kind() knows it by."""
        found = self._root_fields.get(name)
        if found is None:
            operation = get_operation_ast(self.node, name)
            found = self._root_fields[name] = root_fields_of(self.node, [operation] if operation else [])
        return found

    def operation(self, name: str | None) -> Operation:
        """The query of that name; None names the only one.

        Raises:
            NotCompiled: There is no such query.
        """
        found = self._operations.get(name)
        if found is None:
            if len(self._operations) >= _MOST_OPERATIONS:
                self._operations.clear()
            try:
                found = Operation(self._schema, self.node, name)
            except NotCompiled as reason:
                found = reason
            self._operations[name] = found
        if isinstance(found, NotCompiled):
            raise found
        return found


class Documents:
    """Valid documents by schema and text, the least recently used forgotten first. What is not valid is never kept."""

    def __init__(self) -> None:
        self._documents: OrderedDict[tuple[GraphQLSchema, str], Document] = OrderedDict()
        self._length = 0

    def get(self, schema: GraphQLSchema, text: str) -> Document:
        """The document of `text`.

        Raises:
            Refused: It has mistakes.
        """
        document = self._documents.get((schema, text))
        if document is not None:
            self._documents.move_to_end((schema, text))
            return document
        document = Document(schema, _valid(schema, text))
        self._keep(schema, text, document)
        return document

    def _keep(self, schema: GraphQLSchema, text: str, document: Document) -> None:
        if len(text) > LONGEST:
            return
        self._documents[schema, text] = document
        self._length += len(text)
        while len(self._documents) > MOST or self._length > MOST_TEXT:
            (_, oldest), _ = self._documents.popitem(last=False)
            self._length -= len(oldest)


def _valid(schema: GraphQLSchema, text: str) -> DocumentNode:
    try:
        node = parse(text)
    except GraphQLError as error:
        error.extensions = {"code": PARSE_FAILED}
        raise Refused(error) from error
    except RecursionError as error:
        raise refused(PARSE_FAILED, "The document is nested too deeply") from error
    if mistakes := validate(schema, node, RULES):
        for mistake in mistakes:
            mistake.extensions = {"code": VALIDATION_FAILED, **(mistake.extensions or {})}
        raise Refused(*mistakes)
    return node


documents = Documents()
