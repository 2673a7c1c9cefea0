"""Documents that were parsed and found valid once need neither again."""

from collections import OrderedDict
from collections.abc import Iterator

from graphql import DocumentNode, GraphQLSchema
from strawberry.extensions import SchemaExtension

from gql.errors import RULES, VALIDATION_FAILED

MOST = 512
"""Documents."""
LONGEST = 16_384
"""Characters of a document worth keeping; parsed, a dense one takes some 280 bytes for each."""
MOST_TEXT = 131_072
"""Characters of all documents together: some 40 MB of trees at worst."""


class DocumentCache:
    """Valid documents by schema and text, the least recently used forgotten first. What is not valid is never kept."""

    def __init__(self) -> None:
        self._documents: OrderedDict[tuple[GraphQLSchema, str], DocumentNode] = OrderedDict()
        self._length = 0

    def get(self, schema: GraphQLSchema, text: str) -> DocumentNode | None:
        document = self._documents.get((schema, text))
        if document is not None:
            self._documents.move_to_end((schema, text))
        return document

    def keep(self, schema: GraphQLSchema, text: str, document: DocumentNode) -> None:
        if len(text) > LONGEST or (schema, text) in self._documents:
            return
        self._documents[schema, text] = document
        self._length += len(text)
        while len(self._documents) > MOST or self._length > MOST_TEXT:
            (_, oldest), _ = self._documents.popitem(last=False)
            self._length -= len(oldest)


_valid = DocumentCache()


class Documents(SchemaExtension):
    """Takes known documents from memory, and marks what validation finds in the others.

    Only here is it known that an error comes from validation. Parsing stays Strawberry's: a syntax error raised in a
    hook would end a websocket's operation without a word.
    """

    _known = False

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        document = _valid.get(context.schema._schema, context.query or "")  # noqa: SLF001
        if document is not None:
            context.graphql_document = document
            self._known = True
        yield

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        context.validation_rules = () if self._known else RULES
        yield
        if context.pre_execution_errors:
            for error in context.pre_execution_errors:
                error.extensions = {"code": VALIDATION_FAILED, **(error.extensions or {})}
        elif not self._known and context.query and context.graphql_document:
            _valid.keep(context.schema._schema, context.query, context.graphql_document)  # noqa: SLF001
