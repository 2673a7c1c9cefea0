"""One websocket that speaks graphql-transport-ws (PROTOCOL.md of enisdenjo/graphql-ws), to the letter."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing, asynccontextmanager, suppress
from typing import Any

import orjson
from graphql import GraphQLError, OperationType
from starlette.status import WS_1001_GOING_AWAY, WS_1013_TRY_AGAIN_LATER
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gql.admission import admitted
from gql.auth import asking
from gql.broadcast import Member, next_text
from gql.context import Context
from gql.errors import RATE_LIMITED, Refused, Unauthenticated, presentable, refused
from gql.frames import connection_of
from gql.messages import Closed, Complete, Init, Message, Ping, Subscribe, read
from gql.operations import answered, events, failure
from gql.request import Request
from gql.results import has_data, printed
from gql.selection import Selection, followed
from gql.service import Service
from repos.domain import InvalidValue
from repos.errors import CursorExpired, MailboxOverflow
from repos.feed.reading import Reading

_PROTOCOL = "graphql-transport-ws"
_REASON_BYTES = 123
"""A close frame holds no longer reason (RFC 6455, 5.5)."""
_CLOSING = 5.0
"""Seconds that a client has to read what was sent before a connection is closed."""
_ANSWERS = 4
"""Of queries, that may wait at once for a client to read them: each can be a page of some MB."""


class Conversation:
    """What is said over one websocket, from its handshake to its end."""

    def __init__(self, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        self._service = service
        self._limits = service.resources.gate.limits
        self._socket = WebSocket(scope, receive, send)
        self._connection = connection_of(scope)
        self._context = Context(service.resources)
        self._welcomed = False
        self._turns = asyncio.Semaphore(_ANSWERS)
        self._operations: dict[str, asyncio.Task[None] | Member] = {}
        self._used = 0.0

    async def handle(self) -> None:
        """Return when the connection is closed and nothing of it goes on."""
        try:
            await self._begin()
            with self._service.streams.taken(self._context.caller.account):
                await self._welcome()
                async with self._service.access.while_valid(self._context.caller):
                    while True:
                        message = await self._next()
                        async with self._patience():
                            await self._hear(message)
        except Unauthenticated as refused:
            await self._cut_off(refused)
        except Refused as refused:
            await self._close(WS_1013_TRY_AGAIN_LATER, str(refused))
        except Closed as closed:
            await self._close(closed.code, closed.reason)
        except WebSocketDisconnect:
            pass
        finally:
            await self._end_operations()

    async def _end_operations(self) -> list[str]:
        """The names of those that ran."""
        operations, self._operations = self._operations, {}
        for operation in operations.values():
            operation.cancel()
        if tasks := [operation for operation in operations.values() if isinstance(operation, asyncio.Task)]:
            await asyncio.wait(tasks)
        return list(operations)

    async def _cut_off(self, refused: Unauthenticated) -> None:
        """Tell each operation that its caller's credential came to its end, and close."""
        names = await self._end_operations()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING):
                for name in names:
                    await self._send_errors(name, refused.errors)
        await self._close(4403, "Forbidden")

    async def _begin(self) -> None:
        if _PROTOCOL not in self._socket.scope["subprotocols"]:
            await self._socket.accept()
            raise Closed(4406, "Subprotocol not acceptable")
        await self._socket.accept(_PROTOCOL)
        try:
            async with asyncio.timeout(self._limits.connection_init_seconds):
                while not isinstance(message := await self._receive(), Init):
                    await self._hear(message)
                await self._admit(message.payload or {})
        except TimeoutError as error:
            raise Closed(4408, "Connection initialisation timeout") from error

    async def _welcome(self) -> None:
        await self._send(b'{"type":"connection_ack"}')
        self._welcomed = True
        self._used = asyncio.get_running_loop().time()

    async def _admit(self, payload: dict[str, Any]) -> None:
        """Find out who it is: by the payload of connection_init, or else by the header of the handshake."""
        header, address = asking(self._socket.scope)
        credential = payload.get("Authorization", payload.get("authorization", header))
        if not isinstance(credential, str | None):
            raise Closed(4403, "Forbidden")
        try:
            self._context.caller = await self._service.access.caller(credential, address)
        except Unauthenticated as error:
            raise Closed(4403, "Forbidden") from error

    async def _next(self) -> Message:
        """The next message. Of a silent client a sign of life is asked, and an idle one is sent away."""
        was_asked = False
        while True:
            now = asyncio.get_running_loop().time()
            if self._operations:
                self._used = now
            elif now - self._used >= self._limits.idle_seconds:
                raise Closed(WS_1001_GOING_AWAY, "Idle")
            if was_asked:
                async with self._patience():
                    await self._send(b'{"type":"ping"}')
                    return await self._receive()
            try:
                async with asyncio.timeout(self._limits.ping_seconds):
                    return await self._receive()
            except TimeoutError:
                was_asked = True

    @asynccontextmanager
    async def _patience(self) -> AsyncIterator[None]:
        """For as long as a client may neither answer nor read."""
        try:
            async with asyncio.timeout(self._limits.ping_seconds):
                yield
        except TimeoutError as error:
            raise Closed(WS_1001_GOING_AWAY, "No sign of life") from error

    async def _receive(self) -> Message:
        if self._socket.application_state is WebSocketState.DISCONNECTED:
            raise WebSocketDisconnect
        received = await self._socket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1000))
        return read(received.get("text"))

    async def _hear(self, message: Message) -> None:
        match message:
            case Init():
                raise Closed(4429, "Too many initialisation requests")
            case Ping(payload=payload):
                await self._send(orjson.dumps({"type": "pong", "payload": payload} if payload else {"type": "pong"}))
            case Subscribe(id=name, payload=request):
                await self._subscribe(name, request)
            case Complete(id=name) if name in self._operations:
                self._operations.pop(name).cancel()

    async def _subscribe(self, name: str, request: Request) -> None:
        if not self._welcomed:
            raise Closed(4401, "Unauthorized")
        if request.query is None and request.is_empty:
            raise Closed(4400, "Malformed message: payload without query")
        if name in self._operations:
            raise Closed(4409, f"Subscriber for {name} already exists")
        if len(self._operations) >= self._limits.operations:
            await self._send_errors(name, refused(RATE_LIMITED, "Too many operations on this connection").errors)
            return
        self._used = asyncio.get_running_loop().time()
        self._operations[name] = asyncio.create_task(self._operate(name, request))

    async def _operate(self, name: str, request: Request) -> None:
        context = self._context
        async with self._telling(name):
            operation = await admitted(request, context)
            if operation.kind is not OperationType.SUBSCRIPTION:
                async with self._turns:
                    result = await answered(operation, context)
                    if not has_data(result):
                        raise Refused(*result.errors or ())
                    await self._send(next_text(name, printed(result)))
                await self._complete(name)
                return
            found = followed(operation, context)
            if found and isinstance(found.events, Reading):
                with found.events.registered():
                    await self._read(name, found.selection, found.events)
                return
            async with aclosing(events(operation, context, found)) as payloads:
                async for payload in payloads:
                    await self._send(next_text(name, payload))
            await self._complete(name)

    def _go_on_alone(self, name: str, selection: Selection, reading: Reading[Any], registered: ExitStack) -> None:
        async def go_on() -> None:
            async with self._telling(name):
                await self._read(name, selection, reading)

        task = self._operations[name] = asyncio.create_task(go_on())
        task.add_done_callback(lambda _: registered.close())  # a task may be cancelled before it begins

    async def _read(self, name: str, selection: Selection, reading: Reading[Any]) -> None:
        """Send events until they can be shared."""
        async for event in reading.past():
            await self._send(next_text(name, selection.payload(event)))
        broadcasts = self._service.broadcasts
        while True:
            if self._connection is not None:
                member = broadcasts.join(selection, reading, name, self._connection, self._go_on_alone)
                if member is not None:
                    self._operations[name] = member
                    return
            for event in await reading.next():
                await self._send(next_text(name, selection.payload(event)))

    @asynccontextmanager
    async def _telling(self, name: str) -> AsyncIterator[None]:
        """Tell the client how the operation failed, if it does and the client is still there."""
        try:
            yield
        except Refused as refused:
            self._operations.pop(name, None)
            await self._send_errors(name, refused.errors)
        except (CursorExpired, InvalidValue) as error:
            self._operations.pop(name, None)
            await self._send_errors(name, presentable([GraphQLError(str(error), original_error=error)]))
        except MailboxOverflow:
            await self._close(WS_1013_TRY_AGAIN_LATER, "Too slow; resume from the last cursor")
        except WebSocketDisconnect:
            pass
        except Exception as error:  # noqa: BLE001 - the last place where it can be logged and masked
            await self._send(next_text(name, failure(error)))
            await self._complete(name)

    async def _complete(self, name: str) -> None:
        self._operations.pop(name, None)  # first: the client may use the name again as soon as it hears of it
        await self._send(orjson.dumps({"id": name, "type": "complete"}))

    async def _send_errors(self, name: str, errors: list[GraphQLError]) -> None:
        formatted = [error.formatted for error in errors]
        await self._send(orjson.dumps({"id": name, "type": "error", "payload": formatted}))

    async def _send(self, text: bytes) -> None:
        # An operation may end after the connection was closed.
        if self._socket.application_state is not WebSocketState.DISCONNECTED:
            try:
                # Text: browsers hand binary messages over as blobs.
                await self._socket.send_text(text.decode())
            except RuntimeError as error:  # uvicorn's, after it closed the connection by itself
                raise WebSocketDisconnect from error

    async def _close(self, code: int, reason: str) -> None:
        if WebSocketState.DISCONNECTED in (self._socket.client_state, self._socket.application_state):
            return
        try:
            async with asyncio.timeout(_CLOSING):
                await self._socket.close(code, reason.encode()[:_REASON_BYTES].decode(errors="ignore"))
        except TimeoutError:  # it reads nothing
            if self._connection is not None:
                self._connection.transport.abort()
