"""graphql-transport-ws, rule by rule (PROTOCOL.md of enisdenjo/graphql-ws), against a running server."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

PROTOCOL = "graphql-transport-ws"
INIT_TIMEOUT = 1.0
"""Seconds that the server gives a client to begin."""
PING_INTERVAL = 1.0
"""Seconds of silence after which it asks for a sign of life."""
_WAIT = 10.0
_LIVE = 'subscription { candles(symbol: "BTC-USDT", timeframe: "5s", snapshot: 0) { kind } }'
_QUERY = "{ __typename }"


class Talk:
    """One websocket, in the protocol's messages."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.protocol = socket.subprotocol

    async def say(self, kind: str, **more: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, **more}))

    async def send(self, message: str | bytes) -> None:
        await self._socket.send(message)

    async def hear(self, *, pings: bool = False) -> Any:
        """The next message, unless asked otherwise other than a ping."""
        async with asyncio.timeout(_WAIT):
            while True:
                text = await self._socket.recv()
                assert isinstance(text, str)
                message = json.loads(text)
                if pings or message["type"] != "ping":
                    return message

    async def ask(self, name: str, query: str) -> None:
        await self.say("subscribe", id=name, payload={"query": query})

    async def ended(self) -> tuple[int | None, str | None]:
        """The code and reason with which the server closed."""
        async with asyncio.timeout(_WAIT):
            await self._socket.wait_closed()
        return self._socket.close_code, self._socket.close_reason


@asynccontextmanager
async def _raw(url: str, *protocols: str) -> AsyncIterator[Talk]:
    spoken = [Subprotocol(protocol) for protocol in protocols] or None
    async with connect(url, subprotocols=spoken, close_timeout=1, ping_interval=None) as socket:
        yield Talk(socket)


@asynccontextmanager
async def _welcomed(url: str) -> AsyncIterator[Talk]:
    async with _raw(url, PROTOCOL) as talk:
        await talk.say("connection_init", payload={"some": "thing"})
        assert (await talk.hear())["type"] == "connection_ack"
        yield talk


async def protocol_is_chosen(url: str) -> None:
    async with _raw(url, "graphql-ws", PROTOCOL) as talk:
        assert talk.protocol == PROTOCOL


async def other_protocols_are_4406(url: str) -> None:
    for protocols in ((), ("graphql-ws",)):
        async with _raw(url, *protocols) as talk:
            assert await talk.ended() == (4406, "Subprotocol not acceptable")


async def no_init_is_4408(url: str) -> None:
    async with _raw(url, PROTOCOL) as talk:
        await talk.say("ping")
        assert await talk.ended() == (4408, "Connection initialisation timeout")


async def second_init_is_4429(url: str) -> None:
    async with _welcomed(url) as talk:
        await talk.say("connection_init")
        assert await talk.ended() == (4429, "Too many initialisation requests")


async def subscribing_before_ack_is_4401(url: str) -> None:
    async with _raw(url, PROTOCOL) as talk:
        await talk.ask("1", _QUERY)
        assert await talk.ended() == (4401, "Unauthorized")


async def invalid_messages_are_4400(url: str) -> None:
    invalid: list[Any] = [
        None, 7, "text", [], {}, {"type": "nonsense"}, {"type": None}, {"type": "ping", "payload": 7},
        {"type": "subscribe", "payload": {"query": _QUERY}}, {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "id": "", "payload": {"query": _QUERY}},
        {"type": "subscribe", "id": 1, "payload": {"query": _QUERY}},
        {"type": "subscribe", "id": "1", "payload": {"query": 1}}, {"type": "subscribe", "id": "1", "payload": {}},
        {"type": "subscribe", "id": "1", "payload": {"query": _QUERY, "variables": []}},
        {"type": "subscribe", "id": "1", "payload": {"query": _QUERY, "operationName": 1}},
        {"type": "complete"}, {"type": "complete", "id": 1},
    ]  # fmt: skip
    texts: list[str | bytes] = [json.dumps(message) for message in invalid]
    for message in [*texts, "", "{", "NaN", b"{}", "[" * 50_000]:
        async with _welcomed(url) as talk:
            await talk.send(message)
            assert (await talk.ended())[0] == 4400, message[:80]


async def pings_are_answered_with_their_payload(url: str) -> None:
    async with _raw(url, PROTOCOL) as talk:
        await talk.say("ping")
        assert await talk.hear() == {"type": "pong"}
        await talk.say("connection_init")
        assert await talk.hear() == {"type": "connection_ack"}
        await talk.say("ping", payload={"at": 1.5})
        assert await talk.hear() == {"type": "pong", "payload": {"at": 1.5}}
        await talk.say("pong", payload={"not": "asked for"})
        await talk.say("ping", payload=None)
        assert await talk.hear() == {"type": "pong"}


async def silent_clients_are_pinged_and_then_dropped(url: str) -> None:
    async with _welcomed(url) as talk:
        for _ in range(2):
            assert await talk.hear(pings=True) == {"type": "ping"}
            await talk.say("pong")
        assert await talk.hear(pings=True) == {"type": "ping"}
        assert await talk.ended() == (1001, "No sign of life")


async def queries_are_next_and_complete(url: str) -> None:
    async with _welcomed(url) as talk:
        await talk.ask("q", _QUERY)
        assert await talk.hear() == {"id": "q", "type": "next", "payload": {"data": {"__typename": "Query"}}}
        assert await talk.hear() == {"id": "q", "type": "complete"}


async def subscriptions_go_on_until_they_are_completed(url: str) -> None:
    async with _welcomed(url) as talk:
        await talk.ask("s", _LIVE)
        for _ in range(2):
            message = await talk.hear()
            assert (message["id"], message["type"]) == ("s", "next")
            assert message["payload"]["data"]["candles"]["kind"]
        await talk.say("complete", id="s")
        await talk.ask("q", _QUERY)
        # What is on its way when the client completes may still come, and no complete.
        while (message := await talk.hear())["id"] == "s":
            assert message["type"] == "next"
        assert message["id"] == "q"


async def names_of_running_operations_are_4409(url: str) -> None:
    async with _welcomed(url) as talk:
        await talk.ask("one", _LIVE)
        await talk.ask("one", _QUERY)
        assert await talk.ended() == (4409, "Subscriber for one already exists")


async def names_are_free_again_after_the_end(url: str) -> None:
    async with _welcomed(url) as talk:
        for query in (_QUERY, "{ nonsense }", _QUERY):
            await talk.ask("1", query)
            kinds = [(await talk.hear())["type"]]
            if kinds == ["next"]:
                kinds.append((await talk.hear())["type"])
            assert kinds in (["error"], ["next", "complete"])
        await talk.ask("1", _LIVE)
        await talk.say("complete", id="1")
        await talk.ask("1", _LIVE)
        assert (await talk.hear())["type"] == "next"


async def completing_unknown_names_is_nothing(url: str) -> None:
    async with _welcomed(url) as talk:
        await talk.say("complete", id="unknown")
        await talk.say("ping")
        assert await talk.hear() == {"type": "pong"}


async def mistakes_end_their_operation_alone(url: str) -> None:
    async with _welcomed(url) as talk:
        await talk.ask("live", _LIVE)
        for query, code in (
            ("{ health {", "GRAPHQL_PARSE_FAILED"),
            ("subscription {", "GRAPHQL_PARSE_FAILED"),
            ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
            ('subscription { candles(symbol: "", timeframe: "5s") { kind } }', "BAD_USER_INPUT"),
            ('query ($x: Timeframe!) { latestCandle(symbol: "X", timeframe: $x) { open } }', "BAD_USER_INPUT"),
        ):
            await talk.ask("wrong", query)
            while (message := await talk.hear())["id"] == "live":
                assert message["type"] == "next"
            assert (message["id"], message["type"]) == ("wrong", "error")
            [error] = message["payload"]
            assert error["extensions"]["code"] == code
        message = await talk.hear()
        assert (message["id"], message["type"]) == ("live", "next")


RULES: list[Callable[[str], Awaitable[None]]] = [
    protocol_is_chosen,
    other_protocols_are_4406,
    no_init_is_4408,
    second_init_is_4429,
    subscribing_before_ack_is_4401,
    invalid_messages_are_4400,
    pings_are_answered_with_their_payload,
    silent_clients_are_pinged_and_then_dropped,
    queries_are_next_and_complete,
    subscriptions_go_on_until_they_are_completed,
    names_of_running_operations_are_4409,
    names_are_free_again_after_the_end,
    completing_unknown_names_is_nothing,
    mistakes_end_their_operation_alone,
]


async def kept(url: str) -> str:
    """How many rules the server keeps, which are all.

    Raises:
        AssertionError: It breaks one.
    """

    async def keeps(rule: Callable[[str], Awaitable[None]]) -> None:
        try:
            await rule(url.replace("http", "ws", 1))
        except Exception as error:
            raise AssertionError(f"{rule.__name__}: {error!r}") from error

    await asyncio.gather(*(keeps(rule) for rule in RULES))
    return f"{len(RULES)}/{len(RULES)} rules"
