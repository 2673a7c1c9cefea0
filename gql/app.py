"""The web application: GraphQL over HTTP, server-sent events and websockets at /graphql, and health for machines."""

from collections.abc import Collection
from datetime import timedelta
from uuid import uuid4

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from gql.context import Resources
from gql.door import Answered, Door, adding
from gql.errors import INTERNAL
from gql.http import is_plain
from gql.metrics import Metrics
from gql.view import GraphQLView, json_response, refusal
from repos.domain import Series
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations

log = structlog.get_logger(__name__)


class App(Starlette):
    """Answers the plain queries itself, past Starlette, whose middleware and routes take as long as a small answer."""

    graphql: GraphQLView
    door: Door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            added, is_measured = self.door.enter(scope)
            send = adding(send, added)
            if not is_measured:
                receive = await self.door.measured(receive)
            if scope["type"] == "websocket":
                with self.door.socket(scope):
                    await super().__call__(scope, receive, send)
                return
        except Answered as answer:
            await answer.response(scope, receive, adding(send, answer.added))
            return
        except ClientDisconnect:
            return
        if scope["path"] == "/graphql" and is_plain(scope):
            try:
                unanswered = await self.graphql.posted(scope, receive, send)
            except ClientDisconnect:
                return
            except Exception as error:  # noqa: BLE001 -- Starlette, which would mask it, comes later
                await (await _failed(None, error))(scope, receive, send)
                return
            if unanswered is None:
                return
            receive = unanswered
        await super().__call__(scope, receive, send)


def create_app(
    db: DatabaseOperations,
    feed: Feed,
    *,
    collected: Collection[Series],
    bot_heartbeat_timeout: timedelta,
    show_path: bool = False,
    door: Door | None = None,
    graphiql: bool = True,
) -> Starlette:
    """The application over an open database and a running feed, which stay their maker's to close.

    `collected` are the series that collectors are configured to follow: markets shows them before their first candle.
    `door` says who is let in, by default from loopback only; `graphiql` whether a browser is shown a page to ask with.
    `show_path` adds the header x-candleql-path to answers, for benchmarks and tests: whether a compiled operation
    answered ("fast"), or the reason why not.
    """
    resources = Resources(db, feed, frozenset(collected), bot_heartbeat_timeout)
    graphql = GraphQLView(resources, show_path=show_path, graphiql=graphiql)

    async def ready(_: Request) -> Response:
        answers = await db.health_check()
        return json_response({"ready": answers}, 200 if answers else 503)

    app = App(
        routes=[
            Route("/graphql", graphql),
            WebSocketRoute("/graphql", graphql),
            Route("/healthz", _alive),
            Route("/readyz", ready),
            Route("/metrics", Metrics(feed).show),
        ],
        exception_handlers={Exception: _failed},
    )
    app.graphql = graphql
    app.door = door or Door()
    return app


async def _alive(_: Request) -> Response:
    return json_response({"alive": True})


async def _failed(_: Request | None, error: Exception) -> Response:
    """What no one foresaw, outside of an operation."""
    request_id = uuid4().hex
    log.error("Request failed", request_id=request_id, exc_info=error)
    return refusal(500, "Internal server error", code=INTERNAL, requestId=request_id)
