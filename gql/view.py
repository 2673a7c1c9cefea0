"""Strawberry's view of HTTP, server-sent events and graphql-transport-ws, where ours differs."""

from collections.abc import AsyncGenerator, Coroutine
from dataclasses import replace
from json import JSONDecodeError
from typing import Any, cast

import msgspec
import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLRequestData
from strawberry.http.base import BaseRequestProtocol
from strawberry.http.types import HTTPMethod
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType as HTTPOperationType

from gql.admission import Admitted, admitted
from gql.broadcast import Broadcasts
from gql.context import Context, Resources
from gql.deadline import Late
from gql.errors import BAD_USER_INPUT, Refused, refused
from gql.execution.operation import NotCompiled
from gql.http import Request as GraphQLRequest
from gql.http import body_of, printed, replayed, request_of, send_json, status_headers, status_of
from gql.sockets import Conversation
from repos.errors import DatabaseUnavailable

PATH_HEADER = b"x-candleql-path"
_CONTEXT = "candleql.context"


def json_response(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def refusal(status: int, message: str, **extensions: str) -> Response:
    """An answer without data, for what went wrong outside of an operation."""
    return json_response({"errors": [{"message": message, "extensions": extensions}]}, status)


class GraphQLView(GraphQL[Context, None]):
    graphql_transport_ws_handler_class = Conversation  # type: ignore[assignment]  # ours shares executions

    def __init__(self, resources: Resources, *, show_path: bool = False) -> None:
        super().__init__(
            resources.gate.schema, subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL]
        )
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
        context = scope[_CONTEXT] = Context(self._resources, payer=_address(scope))
        request = request_of(body)
        if request is None:
            return replayed(body, receive)
        try:
            context.admitted = await admitted(request, context)
            result = await self.compiled(context.admitted, context)
        except Refused as refused:
            shown = [*status_headers(refused.errors), *self._path_header(context)]
            await send_json(send, printed(ExecutionResult(None, refused.errors)), shown, status_of(refused.errors))
            return None
        if result is None:
            return replayed(body, receive)
        result.extensions = {"cost": context.admitted.cost}
        await send_json(send, printed(result), self._path_header(context))
        return None

    def _path_header(self, context: Context) -> list[tuple[bytes, bytes]]:
        return [(PATH_HEADER, str(context.path).encode())] if self._show_path else []

    async def compiled(self, asked: Admitted, context: Context) -> ExecutionResult | None:
        """The answer of a compiled operation; None when Strawberry and graphql-core are to answer.

        Raises:
            Refused: It took too long.
        """
        try:
            result = await self._in_time(asked.operation.compiled().answer(context, asked.variables))
        except NotCompiled as reason:
            context.path.fell_back(str(reason))
            return None
        context.path.fast()
        return result

    async def executed(self, asked: Admitted, context: Context, method: HTTPMethod = "POST") -> ExecutionResult:
        """The answer of graphql-core to a query or a mutation.

        Raises:
            HTTPException: Such an operation does not go by that method.
            Refused: It took too long.
        """
        # Strawberry would execute a subscription as if it were a query, and fail for want of a result.
        allowed = HTTPOperationType.from_http(method) - {HTTPOperationType.SUBSCRIPTION}
        try:
            return await self._in_time(
                self.schema.execute(
                    asked.document.text,
                    variable_values=asked.variables,
                    context_value=context,
                    operation_name=asked.operation.name,
                    allowed_operation_types=allowed,
                )
            )
        except InvalidOperationTypeError as error:
            reason = error.as_http_error_reason(method)
            if error.operation_type is HTTPOperationType.SUBSCRIPTION:
                reason = "A subscription wants a websocket (graphql-transport-ws) or Accept: text/event-stream"
            raise HTTPException(400, reason) from error

    async def _in_time(self, work: Coroutine[Any, Any, ExecutionResult]) -> ExecutionResult:
        deadline = self._resources.gate.deadline
        try:
            return await deadline.kept(work)
        except Late as late:
            message = f"The operation was ended: it took longer than {deadline.seconds:g} s"
            raise refused(DatabaseUnavailable.code, message) from late

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:  # noqa: ARG002
        if isinstance(request, WebSocket):
            return Context(self._resources, request, _address(request.scope))
        return cast("Context", request.scope.get(_CONTEXT)) or Context(self._resources, payer=_address(request.scope))

    async def execute_operation(
        self,
        request: Request,
        request_adapter: AsyncHTTPRequestAdapter,
        request_data: Any,
        context: Context,
        root_value: None,
        sub_response: Response,
    ) -> Any:
        streams = self._get_stream_transport(request_data.protocol) is not None
        result: Any = None
        try:
            if context.admitted is None:
                context.admitted = await admitted(await _request_of(request_adapter, request_data), context)
            asked = context.admitted
            if streams and asked.kind is not OperationType.SUBSCRIPTION:
                result = await self.compiled(asked, context)
                if result is None:
                    result = await self.executed(asked, context, request_adapter.method)
            else:
                # Where only a hash was sent, Strawberry wants a text all the same.
                known = replace(request_data, query=asked.document.text)
                return await super().execute_operation(
                    request, request_adapter, known, context, root_value, sub_response
                )
        except Refused as error:
            result = ExecutionResult(None, error.errors)
            sub_response.status_code = status_of(error.errors)
            sub_response.headers.update({key.decode(): text.decode() for key, text in status_headers(error.errors)})
        return _only(result) if streams else result

    async def execute_single(
        self,
        request: Request,  # noqa: ARG002
        request_adapter: AsyncHTTPRequestAdapter,
        sub_response: Response,
        context: Context,
        root_value: None,  # noqa: ARG002
        request_data: GraphQLRequestData,  # noqa: ARG002
    ) -> ExecutionResult:
        asked = cast("Admitted", context.admitted)
        result = await self.compiled(asked, context) if context.path.reason is None else None
        if result is None:
            result = await self.executed(asked, context, request_adapter.method)
        return self._shown(result, asked, sub_response, context)

    def _shown(self, result: ExecutionResult, asked: Admitted, response: Response, context: Context) -> ExecutionResult:
        result.extensions = {"cost": asked.cost}
        if self._show_path:
            response.headers[PATH_HEADER.decode()] = str(context.path)
        return result

    def should_render_graphql_ide(self, request: BaseRequestProtocol) -> bool:
        by_hash = {"documentId", "extensions"} & request.query_params.keys()
        return not by_hash and super().should_render_graphql_ide(request)

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
        # msgspec keeps long integers, where orjson would make floats of them, and refuses halves of surrogate pairs.
        try:
            return msgspec.json.decode(data)
        except (ValueError, RecursionError) as error:  # msgspec's errors are among the former
            raise JSONDecodeError("malformed", "", 0) from error


def _address(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else ""


async def _request_of(adapter: AsyncHTTPRequestAdapter, data: GraphQLRequestData) -> GraphQLRequest:
    if adapter.method == "POST" and (request := request_of(await adapter.get_body())):
        return request
    document_id = adapter.query_params.get("documentId")
    name = data.operation_name or None
    return GraphQLRequest(data.query, name, data.variables, data.extensions, document_id)


async def _only(result: ExecutionResult) -> AsyncGenerator[ExecutionResult, None]:
    yield result
