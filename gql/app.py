"""The web application: GraphQL over HTTP, server-sent events and websockets at /graphql, and health for machines."""

from collections.abc import Collection
from datetime import timedelta
from uuid import uuid4

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from gql.context import Resources
from gql.errors import INTERNAL
from gql.view import GraphQLView, json_response, refusal
from repos.domain import Series
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations

log = structlog.get_logger(__name__)


def create_app(
    db: DatabaseOperations,
    feed: Feed,
    *,
    collected: Collection[Series],
    bot_heartbeat_timeout: timedelta,
    show_path: bool = False,
) -> Starlette:
    """The application over an open database and a running feed, which stay their maker's to close.

    `collected` are the series that collectors are configured to follow: markets shows them before their first candle.
    `show_path` adds the header x-candleql-path to answers, for benchmarks and tests: whether their lists were projected
    ("fast"), or the reasons why not.
    """
    graphql = GraphQLView(Resources(db, feed, frozenset(collected), bot_heartbeat_timeout), show_path=show_path)

    async def ready(_: Request) -> Response:
        answers = await db.health_check()
        return json_response({"ready": answers}, 200 if answers else 503)

    return Starlette(
        routes=[
            Route("/graphql", graphql),
            WebSocketRoute("/graphql", graphql),
            Route("/healthz", _alive),
            Route("/readyz", ready),
        ],
        exception_handlers={Exception: _failed},
    )


async def _alive(_: Request) -> Response:
    return json_response({"alive": True})


async def _failed(_: Request, error: Exception) -> Response:
    """What no one foresaw, outside of an operation."""
    request_id = uuid4().hex
    log.error("Request failed", request_id=request_id, exc_info=error)
    return refusal(500, "Internal server error", code=INTERNAL, requestId=request_id)
