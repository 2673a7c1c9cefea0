"""Documents that were parsed and found valid once need neither again."""

from collections.abc import Iterator
from functools import lru_cache

from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import validate_document

from gql.errors import RULES, VALIDATION_FAILED

KEPT = 512
LONGEST = 16_384
"""Characters. Longer documents are rare and would fill the memory: some 100 bytes a character, parsed."""


class _Invalid(Exception):
    """The document is none, or not valid: what is raised is not kept."""


@lru_cache(maxsize=KEPT)
def _valid(schema: GraphQLSchema, text: str) -> DocumentNode:
    try:
        document = parse(text)
    except GraphQLError as error:
        raise _Invalid from error
    if validate_document(schema, document, RULES):
        raise _Invalid
    return document


class Documents(SchemaExtension):
    """Takes known documents from memory, and marks what validation finds in the others.

    Only here is it known that an error comes from validation.
    """

    _known = False

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        if context.query and len(context.query) <= LONGEST:
            try:
                context.graphql_document = _valid(context.schema._schema, context.query)  # noqa: SLF001
                self._known = True
            except _Invalid:
                pass
        yield

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        context.validation_rules = RULES
        if self._known:
            context.pre_execution_errors = []
        yield
        for error in context.pre_execution_errors or ():
            error.extensions = {"code": VALIDATION_FAILED, **(error.extensions or {})}
