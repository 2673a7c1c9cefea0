"""What an operation must pass before it runs, over whatever transport."""

from typing import NamedTuple

from graphql import OperationType
from strawberry import Schema

from gql.auth import permit
from gql.context import Context
from gql.errors import BAD_USER_INPUT, refused
from gql.execution.documents import Document, documents
from gql.http import Request


class Admitted(NamedTuple):
    """An operation that may run; `document` is valid and has it."""

    document: Document
    request: Request
    kind: OperationType


async def admitted(schema: Schema, request: Request, context: Context) -> Admitted:
    """The operation that `request` asks for.

    Raises:
        Refused: It may not run, or is not there.
    """
    if not request.query:
        raise refused(BAD_USER_INPUT, "The request has no query")
    document = documents.get(schema._schema, request.query)  # noqa: SLF001
    kind = document.kind(request.operation_name)
    if kind is None and request.operation_name is not None:
        raise refused(BAD_USER_INPUT, f'There is no operation named "{request.operation_name}"')
    if kind is None:
        raise refused(BAD_USER_INPUT, "The document has no operation, or several of which operationName must name one")
    permit(context.caller, document, request.operation_name)
    return Admitted(document, request, kind)
