"""Strawberry's view of HTTP, server-sent events and graphql-transport-ws, where ours differs."""

import json
from typing import Any, Literal, NoReturn, cast

import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import MissingQueryError
from strawberry.http import GraphQLRequestData
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from gql.broadcast import Broadcasts
from gql.context import Context, Resources
from gql.errors import BAD_USER_INPUT
from gql.execution.documents import documents
from gql.execution.operation import NotCompiled
from gql.http import body_of, printed, replayed, request_of, send_json
from gql.page import page
from gql.schema import Schema, schema
from gql.sockets import Conversation

PATH_HEADER = b"x-candleql-path"
_CONTEXT = "candleql.context"


def json_response(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def refusal(status: int, message: str, **extensions: str) -> Response:
    """An answer without data, for what went wrong outside of an operation."""
    return json_response({"errors": [{"message": message, "extensions": extensions}]}, status)


class GraphQLView(GraphQL[Context, None]):
    graphql_transport_ws_handler_class = Conversation  # type: ignore[assignment]  # ours shares executions

    def __init__(self, resources: Resources, *, show_path: bool = False, graphiql: bool = True) -> None:
        protocols = [GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL]
        ide: Literal["graphiql"] | None = "graphiql" if graphiql else None
        # Origins are gql/door.py's to judge.
        super().__init__(schema, subscription_protocols=protocols, graphql_ide=ide, allowed_origins=["*"])
        self._resources = resources
        self._show_path = show_path
        self.broadcasts = Broadcasts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        try:
            response = await self.run(Request(scope, receive))
        except HTTPException as error:
            response = refusal(error.status_code, error.reason, code=BAD_USER_INPUT)
        await response(scope, receive, send)

    async def posted(self, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        """Answer a POST that is plain (gql.http), if a compiled operation can; otherwise return its `receive` again.

        Raises:
            ClientDisconnect: The client went away.
        """
        body = await body_of(receive)
        context = scope[_CONTEXT] = Context(self._resources)
        request = request_of(body)
        result = request and await self.compiled(request.query, request.variables, request.operation_name, context)
        if not result:
            return replayed(body, receive)
        shown = [(PATH_HEADER, str(context.path).encode())] if self._show_path else []
        await send_json(send, printed(result), shown)
        return None

    async def compiled(
        self, query: str, variables: dict[str, Any] | None, operation_name: str | None, context: Context
    ) -> ExecutionResult | None:
        """The answer of a compiled operation; None when Strawberry and graphql-core are to answer."""
        document = documents.get(cast("Schema", self.schema)._schema, query)  # noqa: SLF001
        if document is None:
            return None
        try:
            result = await document.operation(operation_name).answer(context, variables or {})
        except NotCompiled as reason:
            context.path.fell_back(str(reason))
            return None
        context.path.fast()
        return result

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:  # noqa: ARG002
        if isinstance(request, WebSocket):
            return Context(self._resources, request)
        return cast("Context", request.scope.get(_CONTEXT)) or Context(self._resources)

    async def render_graphql_ide(self, request: Request) -> Response:  # noqa: ARG002
        return page(self.graphql_ide_html)

    async def execute_single(
        self,
        request: Request,  # noqa: ARG002
        request_adapter: AsyncHTTPRequestAdapter,
        sub_response: Response,
        context: Context,
        root_value: None,
        request_data: GraphQLRequestData,
    ) -> ExecutionResult:
        # Strawberry would execute a subscription as if it were a query, and fail for want of a result.
        query, variables, name = request_data.query, request_data.variables, request_data.operation_name
        if query and context.path.reason is None and (result := await self.compiled(query, variables, name, context)):
            return self._with_path(result, sub_response, context)
        allowed = OperationType.from_http(request_adapter.method) - {OperationType.SUBSCRIPTION}
        try:
            result = await self.schema.execute(
                query,
                variable_values=variables,
                context_value=context,
                root_value=root_value,
                operation_name=name,
                allowed_operation_types=allowed,
                operation_extensions=request_data.extensions,
            )
        except MissingQueryError as error:
            raise HTTPException(400, "The request has no query") from error
        except CannotGetOperationTypeError as error:
            raise HTTPException(400, error.as_http_error_reason()) from error
        except InvalidOperationTypeError as error:
            reason = error.as_http_error_reason(request_adapter.method)
            if error.operation_type is OperationType.SUBSCRIPTION:
                reason = "A subscription wants a websocket (graphql-transport-ws) or Accept: text/event-stream"
            raise HTTPException(400, reason) from error
        return self._with_path(result, sub_response, context)

    def _with_path(self, result: ExecutionResult, response: Response, context: Context) -> ExecutionResult:
        if self._show_path:
            response.headers[PATH_HEADER.decode()] = str(context.path)
        return result

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData:
        data = cast("GraphQLRequestData", await super().parse_http_body(request))  # parse_json lets no batch through
        if not isinstance(data.operation_name, str | None):
            raise HTTPException(400, "operationName must be a string")
        return data

    def parse_json(self, data: str | bytes) -> dict[str, Any]:
        parsed = super().parse_json(data)
        if not isinstance(parsed, dict):
            raise HTTPException(400, "The body, variables and extensions must be JSON objects")
        return parsed

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)

    def decode_json(self, data: str | bytes) -> object:
        # Not orjson: it would make floats of integers beyond 64 bits, and a Decimal may have 38 digits.
        try:
            return json.loads(data, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise json.JSONDecodeError("malformed", "", 0) from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
