"""GraphQL at one path: over HTTP, as server-sent events, and over websockets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from uuid import uuid4

import structlog
from graphql import OperationType
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.types.execution import ExecutionResult

from gql.admission import Admitted, admitted
from gql.auth import Access, asking
from gql.caller import Caller
from gql.context import Context
from gql.errors import FORBIDDEN, INTERNAL, Refused, Unauthenticated
from gql.http import (
    EVENTS,
    JSON,
    Accepted,
    HTTPAnswer,
    asked_in,
    body_of,
    is_json,
    media_of,
    mistaken,
    posted,
    refusal,
    send_result,
    status_of,
)
from gql.operations import answered, payloads
from gql.pages import GRAPHIQL
from gql.request import Request
from gql.resources import Resources
from gql.results import printed
from gql.service import Service
from gql.sockets import Conversation
from gql.sse import stream_of

log = structlog.get_logger(__name__)

PATH_HEADER = b"x-candleql-path"


class GraphQLView:
    """An ASGI application. What is asked becomes a Request, is admitted, and is answered as its transport wants.

    Or it raises an HTTPAnswer, which gql.app sends, as it does for the door.
    """

    def __init__(self, resources: Resources, access: Access, *, show_path: bool = False, graphiql: bool = True) -> None:
        self.service = Service(resources, access)
        self.stopping = asyncio.Event()
        """When it is set, all streams of server-sent events end."""
        self._show_path = show_path
        self._page = GRAPHIQL if graphiql else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await Conversation(self.service, scope, receive, send).handle()
            return
        try:
            await self._answer(scope, receive, send)
        except (HTTPAnswer, ClientDisconnect):
            raise
        except Exception as error:  # noqa: BLE001 -- the last place where it can be logged and masked
            await failed(error)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        content_type, accepted = media_of(scope)
        if self._page and scope["method"] == "GET" and accepted.page:
            await self._page(scope, receive, send)
            return
        if scope["method"] == "GET":
            _refuse_embedded(scope)
        request = await _request(scope, receive, content_type)
        if request.is_empty:
            raise mistaken(HTTPStatus.BAD_REQUEST, "The request has no query")
        media_type = accepted.media_type
        if media_type is None:
            known = "application/graphql-response+json, application/json or text/event-stream"
            raise mistaken(HTTPStatus.NOT_ACCEPTABLE, f"Answers are {known}")
        try:
            context = Context(self.service.resources, await self.service.access.caller(*asking(scope)))
            operation = await admitted(request, context)
            _check_transport(operation, scope["method"], accepted)
            if operation.kind is OperationType.SUBSCRIPTION:
                with self.service.streams.taken(context.caller.account):
                    events = self._while_valid(context.caller, payloads(operation, context))
                    await stream_of(events, self.stopping)(scope, receive, send)
                return
            result = await answered(operation, context)
            result.extensions = {"cost": operation.cost}
        except Refused as refused:
            context, result = Context(self.service.resources), ExecutionResult(None, refused.errors)
        if media_type is EVENTS and status_of(result, EVENTS) == HTTPStatus.OK:
            await stream_of(_once(printed(result)), self.stopping)(scope, receive, send)
            return
        shown = [(PATH_HEADER, str(context.path).encode())] if self._show_path else []
        await send_result(send, result, JSON if media_type is EVENTS else media_type, shown)

    async def _while_valid(self, caller: Caller, following: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The payloads of a stream; an error is its last when its caller's credential comes to its end."""
        async with aclosing(following):
            while True:
                try:
                    async with self.service.access.while_valid(caller):
                        payload = await anext(following, None)
                except Unauthenticated as refused:
                    yield printed(ExecutionResult(None, refused.errors))
                    return
                if payload is None:
                    return
                yield payload


def _refuse_embedded(scope: Scope) -> None:
    """A page of another site may name our URL in an <img>: the browser asks without an Origin, on its user's account.

    Raises:
        HTTPAnswer: So it is.
    """
    headers = dict(scope["headers"])
    if headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site") and b"origin" not in headers:
        text = "A page of another site may ask from an allowed origin only; see ALLOWED_ORIGINS"
        raise HTTPAnswer(refusal(HTTPStatus.FORBIDDEN, text, code=FORBIDDEN))


async def _request(scope: Scope, receive: Receive, content_type: bytes | None) -> Request:
    if scope["method"] == "POST":
        if not is_json(content_type):
            raise mistaken(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json, in UTF-8")
        return posted(await body_of(receive))
    if scope["method"] == "GET":
        return asked_in(scope["query_string"])
    raise mistaken(HTTPStatus.METHOD_NOT_ALLOWED, "GraphQL is asked by POST or GET", {"Allow": "GET, POST"})


def _check_transport(operation: Admitted, method: str, accepted: Accepted) -> None:
    if operation.kind is OperationType.MUTATION and method == "GET":
        raise mistaken(HTTPStatus.METHOD_NOT_ALLOWED, "A mutation wants a POST", {"Allow": "POST"})
    if operation.kind is OperationType.SUBSCRIPTION and not accepted.events:
        where = "a websocket (graphql-transport-ws) or Accept: text/event-stream"
        raise mistaken(HTTPStatus.NOT_ACCEPTABLE, f"A subscription wants {where}")


async def _once(payload: bytes) -> AsyncGenerator[bytes, None]:
    yield payload


def failed(error: Exception) -> Response:
    """What no one foresaw, outside of an operation."""
    request_id = uuid4().hex
    log.error("Request failed", request_id=request_id, exc_info=error)
    return refusal(500, "Internal server error", code=INTERNAL, requestId=request_id)
