"""The web application.

GraphQL over HTTP, server-sent events and websockets at /graphql, the dashboard at /, and health for machines.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Any, cast

from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gql.auth import Access, asking
from gql.door import Door, adding
from gql.errors import BAD_USER_INPUT, Refused
from gql.http import HTTPAnswer, json_response, refusal, response_of
from gql.limits import Limits
from gql.metrics import Metrics
from gql.pages import ASSETS, DASHBOARD, asset
from gql.rate import MEMORY
from gql.resources import Gate, Resources
from gql.scalars import rfc3339
from gql.schema import schema
from gql.trusted import TrustedDocuments
from gql.view import GraphQLView, failed
from repos.events import FeedHealth
from repos.events import Refusal as ChannelRefusal
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations

_REFUSED_SHOWN = 20
"""Channels that /readyz names at most; GraphQL's health and /metrics have all."""
_GRAPHQL = ("/graphql", "/graphql/")


class App(Starlette):
    """Lets GraphQL past Starlette, whose middleware and routes take as long as a small answer."""

    graphql: GraphQLView
    door: Door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            added, is_measured = self.door.enter(scope)
            send = adding(send, added)
            if not is_measured:
                receive = await self.door.measured(receive)
            inside = self.graphql if scope["path"] in _GRAPHQL else super().__call__
            if scope["type"] == "websocket":
                with self.door.socket(scope):
                    await inside(scope, receive, send)
            else:
                await inside(scope, receive, send)
        except HTTPAnswer as answer:
            await answer.response(scope, receive, send)
        except ClientDisconnect:
            pass


def create_app(
    db: DatabaseOperations,
    feed: Feed,
    *,
    bot_heartbeat_timeout: timedelta,
    limits: Limits | None = None,
    trusted: TrustedDocuments | None = None,
    rate_storage: str = MEMORY,
    metrics: Collection[Collector] = (),
    access: Access | None = None,
    show_path: bool = False,
    door: Door | None = None,
    graphiql: bool = True,
) -> App:
    """The application over an open database and a running feed, which stay their maker's to close.

    `limits`, `trusted` and `rate_storage` say what is admitted (gql.resources.Gate). `metrics` are shown at /metrics
    too: those of what else runs in this process. `access` tells who asks; its maker runs it. Without one
    everybody may do everything. `door` says who is let in at all, by default from loopback only; `graphiql` whether a
    browser is shown GraphiQL at /graphql. `show_path` adds the header x-candleql-path to answers, for benchmarks and
    tests: whether a compiled operation answered ("fast"), or the reason why not.

    Raises:
        limits.errors.ConfigurationError: There is no such storage.
    """
    access = access or Access()
    counted = Metrics(db, feed, access, metrics)

    async def ready(_: Request) -> Response:
        answers = await db.health_check()
        waiting = feed.collectors.waiting()
        told: dict[str, Any] = {}
        if waiting is not None:
            told = {"waitingSince": rfc3339(waiting.since), "waitingFor": waiting.reason}
        if refused := [_refused_channel(each, each.refusal) for each in feed.collectors.feeds() if each.refusal]:
            told["refused"] = refused[:_REFUSED_SHOWN]
        good = answers and waiting is None
        return json_response({"ready": good, **told}, 200 if good else 503)

    async def shown(request: Request) -> Response:
        await access.caller(*asking(request.scope))
        return await counted.show(request)

    app = App(
        routes=[
            Route("/", DASHBOARD, methods=["GET"]),
            Route(ASSETS + "{name}", asset),
            Route("/healthz", _alive),
            Route("/readyz", ready),
            Route("/metrics", shown),
        ],
        exception_handlers={Refused: _refused, HTTPException: _no_such, Exception: _failed},
    )
    gate = Gate(schema, limits, trusted, rate_storage)
    resources = Resources(db, feed, bot_heartbeat_timeout, gate)
    app.graphql = GraphQLView(resources, access, show_path=show_path, graphiql=graphiql)
    app.door = door or Door()
    return app


def _refused_channel(feed: FeedHealth, refusal: ChannelRefusal) -> dict[str, str]:
    said = {"code": refusal.code, "since": rfc3339(refusal.since)}
    return {"exchange": feed.exchange, "channel": feed.channel, "symbol": feed.symbol, **said}


async def _alive(_: Request) -> Response:
    return json_response({"alive": True})


async def _no_such(_: Request, error: Exception) -> Response:
    """Of a path that is not there, or not by this method."""
    found = cast("HTTPException", error)
    return refusal(found.status_code, found.detail, found.headers, code=BAD_USER_INPUT)


async def _refused(_: Request, error: Exception) -> Response:
    return response_of(cast("Refused", error))


async def _failed(_: Request, error: Exception) -> Response:
    return failed(error)
