"""Documents that were parsed and found valid once need neither again, and their operations are compiled once."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
)

from gql.cost import Costs
from gql.errors import BAD_USER_INPUT, PARSE_FAILED, VALIDATION_FAILED, Refused, refused
from gql.execution.fields import fragments_of, grouped
from gql.execution.operation import NotCompiled, Operation
from gql.limits import Limits
from gql.parsing import parsed
from gql.rests import Rests, never
from gql.rules import broken, introspecting
from gql.validation import mistakes

MOST = 512
"""Documents."""
LONGEST = 16_384
"""Characters of a document worth keeping; parsed, a dense one takes some 280 bytes for each."""
MOST_TEXT = 131_072
"""Characters of all documents together: some 40 MB of trees at worst."""
_MOST_OPERATIONS = 16
"""Of one document, that are kept compiled."""
_MOST_ERRORS = 20
"""That are looked for in a document; to word one can take a tenth of a millisecond."""
_SHORT = 100
"""Characters of a document that is read at once: at worst that takes some 1.6 ms."""


class Chosen:
    """One operation of a valid document."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, node: OperationDefinitionNode) -> None:
        self.node = node
        self.name = None if node.name is None else node.name.value
        self.kind = node.operation
        found = grouped([node.selection_set], fragments_of(document)).values()
        self.fields = sorted({nodes[0].name.value for nodes in found})
        """The names of the root fields that it asks for."""
        self.costs = Costs(schema, document, node)
        try:
            self._compiled: Operation | str = Operation(schema, document, self.name)
        except NotCompiled as reason:
            # The text alone: an exception that is kept and raised again keeps the frames of each time.
            self._compiled = str(reason)

    def compiled(self) -> Operation:
        """The query that it is.

        Raises:
            NotCompiled: It is none.
        """
        if isinstance(self._compiled, str):
            raise NotCompiled(self._compiled)
        return self._compiled


class Document:
    """A valid document and its operations."""

    def __init__(self, schema: GraphQLSchema, text: str, node: DocumentNode) -> None:
        self.text = text
        self.node = node
        self._schema = schema
        self._chosen: dict[str | None, Chosen] = {}

    def choose(self, name: str | None) -> Chosen:
        """The operation of that name; None names the only one.

        Raises:
            Refused: There is no such operation, or no only one.
        """
        found = self._chosen.get(name)
        if found is None:
            if len(self._chosen) >= _MOST_OPERATIONS:
                self._chosen.clear()
            found = self._chosen[name] = Chosen(self._schema, self.node, self._named(name))
        return found

    def _named(self, name: str | None) -> OperationDefinitionNode:
        operations = [node for node in self.node.definitions if isinstance(node, OperationDefinitionNode)]
        if name is not None:
            operations = [node for node in operations if node.name is not None and node.name.value == name]
        if len(operations) == 1:
            return operations[0]
        if name is not None:
            raise refused(BAD_USER_INPUT, f"operationName: the document has no operation {name[:80]!a}")
        raise refused(BAD_USER_INPUT, "operationName is missing: the document has several operations")


class Documents:
    """Valid documents by their text, the least recently used forgotten first. What is not valid is never kept."""

    def __init__(self, schema: GraphQLSchema, limits: Limits) -> None:
        self._schema = schema
        self._limits = limits
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self._length = 0
        self._turn = asyncio.Lock()

    def known(self, text: str) -> Document | None:
        """The document of `text`, if it is remembered."""
        document = self._documents.get(text)
        if document is not None:
            self._documents.move_to_end(text)
        return document

    async def learned(self, text: str, name: str | None) -> Document:
        """As read(), for the operation of that name; a long document is read in a thread, and one after the other.

        One of 2,000 tokens takes some 20 ms, in which nobody else would be answered.
        """
        if len(text) <= _SHORT:
            return self.read(text)
        async with self._turn:
            document = self.known(text)
            if document is None:
                document = await asyncio.to_thread(self._prepared, text, name)
                self._keep(text, document)
        return document

    def read(self, text: str) -> Document:
        """The document of `text`.

        Raises:
            Refused: It is beyond the limits, or has mistakes.
        """
        document = self._valid(text, never)
        self._keep(text, document)
        return document

    def _prepared(self, text: str, name: str | None) -> Document:
        rest = Rests()
        document = self._valid(text, rest)
        rest()
        document.choose(name)
        return document

    def _valid(self, text: str, rest: Callable[[], None]) -> Document:
        limits = self._limits
        if len(text) > limits.characters:
            raise refused(
                VALIDATION_FAILED,
                f"The document has {len(text):,} characters; at most {limits.characters:,} are allowed.",
            )
        try:
            node = parsed(text, limits.tokens, rest)
        except GraphQLSyntaxError as error:
            raise Refused(coded(error, PARSE_FAILED)) from error
        except GraphQLError as error:  # it is nested too deeply for the parser
            raise refused(PARSE_FAILED, error.message) from error
        if not any(isinstance(definition, OperationDefinitionNode) for definition in node.definitions):
            raise refused(BAD_USER_INPUT, "The document has no operation")
        errors = list(broken(node, limits))
        if not limits.introspection:
            errors += introspecting(node)
        if not errors:
            errors = mistakes(self._schema, node, _MOST_ERRORS, rest, hide_suggestions=not limits.introspection)
        if errors:
            raise Refused(*(coded(error, VALIDATION_FAILED) for error in errors))
        return Document(self._schema, text, node)

    def _keep(self, text: str, document: Document) -> None:
        if len(text) > LONGEST:
            return
        self._documents[text] = document
        self._length += len(text)
        while len(self._documents) > MOST or self._length > MOST_TEXT:
            oldest, _ = self._documents.popitem(last=False)
            self._length -= len(oldest)


def coded(error: GraphQLError, code: str) -> GraphQLError:
    """`error` with this code, unless it has one."""
    error.extensions = {"code": code, **(error.extensions or {})}
    return error
