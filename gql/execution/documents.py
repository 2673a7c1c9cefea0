"""Documents that were parsed and found valid once need neither again, and their operations are compiled once."""

from collections import OrderedDict
from collections.abc import Iterator

from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse, validate
from strawberry.extensions import SchemaExtension

from gql.errors import RULES, VALIDATION_FAILED
from gql.execution.operation import NotCompiled, Operation
from gql.execution.roots import RootField, operations_of, root_fields_of

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
        self._root_fields: dict[str | None, frozenset[RootField]] = {}

    def root_fields(self, name: str | None) -> frozenset[RootField]:
        """The root fields of the operation of that name; of all operations while that does not say which."""
        found = self._root_fields.get(name)
        if found is None:
            operations = operations_of(self.node, name)
            found = root_fields_of(self.node, operations)
            if len(operations) == 1:
                # A name that says nothing is not kept: there is no end of them.
                [operation] = operations
                known = operation.name and operation.name.value
                self._root_fields[name if name == known else None] = found
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
        self._invalid: tuple[GraphQLSchema, str] | None = None
        """The last one with mistakes, which will be looked for again while it is answered."""

    def get(self, schema: GraphQLSchema, text: str) -> Document | None:
        """The document of `text`; None when it has mistakes, which Strawberry will find and word."""
        document = self._documents.get((schema, text))
        if document is not None:
            self._documents.move_to_end((schema, text))
            return document
        node = None if self._invalid == (schema, text) else _valid(schema, text)
        if node is None:
            self._invalid = schema, text
            return None
        document = Document(schema, node)
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


def _valid(schema: GraphQLSchema, text: str) -> DocumentNode | None:
    try:
        node = parse(text)
    except (GraphQLError, RecursionError):
        return None
    return None if validate(schema, node, RULES) else node


documents = Documents()


class KnownDocuments(SchemaExtension):
    """Gives Strawberry the documents that are known, and marks what validation finds in the others.

    Only here is it known that an error comes from validation. Parsing those stays Strawberry's: a syntax error raised
    in a hook would end a websocket's operation without a word.
    """

    _known = False

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        document = documents.get(context.schema._schema, context.query or "")  # noqa: SLF001
        if document is not None:
            context.graphql_document = document.node
            self._known = True
        yield

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        context.validation_rules = () if self._known else RULES
        yield
        for error in context.pre_execution_errors or ():
            error.extensions = {"code": VALIDATION_FAILED, **(error.extensions or {})}
