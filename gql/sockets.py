"""One websocket that speaks graphql-transport-ws (PROTOCOL.md of enisdenjo/graphql-ws), to the letter."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from json import JSONDecodeError
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
import orjson
from graphql import GraphQLError
from starlette.status import WS_1013_TRY_AGAIN_LATER
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry import Schema
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.types.execution import ExecutionResult, PreExecutionError

from gql.broadcast import Member, next_text
from gql.context import Context
from gql.errors import RATE_LIMITED, presentable
from gql.frames import connection_of
from gql.http import Request, printed
from gql.selection import Selection, selected
from repos.errors import MailboxOverflow
from repos.feed.reading import Reading

if TYPE_CHECKING:
    from gql.view import GraphQLView

_REASON_BYTES = 123
"""A close frame holds no longer reason (RFC 6455, 5.5)."""

_ANSWERS = 4
"""Of queries, that may wait at once for a client to read them: each can be a page of some MB."""

Name = Annotated[str, msgspec.Meta(min_length=1)]
Payload = dict[str, Any] | None


class Init(msgspec.Struct, tag="connection_init"):
    payload: Payload = None


class Ping(msgspec.Struct, tag="ping"):
    payload: Payload = None


class Pong(msgspec.Struct, tag="pong"):
    payload: Payload = None


class Subscribe(msgspec.Struct, tag="subscribe"):
    id: Name
    payload: Request


class Complete(msgspec.Struct, tag="complete"):
    id: Name


Message = Init | Ping | Pong | Subscribe | Complete


class Refused(Exception):
    """What the client did ends the connection, with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Conversation:
    """What is said over one websocket, from its handshake to its end."""

    def __init__(
        self,
        view: "GraphQLView",
        websocket: ASGIWebSocketAdapter,
        context: Context,
        connection_init_wait_timeout: timedelta,
        max_subscriptions_per_connection: int,
        **_: object,
    ) -> None:
        self._view = view
        self._socket: WebSocket = websocket.ws
        self._connection = connection_of(self._socket.scope)
        self._context = context
        self._patience = connection_init_wait_timeout.total_seconds()
        self._most_operations = max_subscriptions_per_connection
        self._welcomed = False
        self._turns = asyncio.Semaphore(_ANSWERS)
        self._operations: dict[str, asyncio.Task[None] | Member] = {}

    async def handle(self) -> None:
        """Return when the connection is closed and nothing of it goes on."""
        try:
            await self._welcome()
            while True:
                await self._hear(await self._receive())
        except Refused as refused:
            await self._close(refused.code, refused.reason)
        except WebSocketDisconnect:
            pass
        finally:
            operations = list(self._operations.values())
            for operation in operations:
                operation.cancel()
            if tasks := [operation for operation in operations if isinstance(operation, asyncio.Task)]:
                await asyncio.wait(tasks)

    async def _welcome(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                while not isinstance(message := await self._receive(), Init):
                    await self._hear(message)
        except TimeoutError as error:
            raise Refused(4408, "Connection initialisation timeout") from error
        await self._send(b'{"type":"connection_ack"}')
        self._welcomed = True

    async def _receive(self) -> Message:
        if self._socket.application_state is WebSocketState.DISCONNECTED:
            raise WebSocketDisconnect
        received = await self._socket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1000))
        text = received.get("text")
        if text is None:
            raise Refused(4400, "A message must be text")
        try:
            return cast("Message", msgspec.convert(self._view.decode_json(text), Message))
        except JSONDecodeError as error:
            raise Refused(4400, "A message must be JSON") from error
        except msgspec.ValidationError as error:
            raise Refused(4400, f"Malformed message: {error}") from error

    async def _hear(self, message: Message) -> None:
        match message:
            case Init():
                raise Refused(4429, "Too many initialisation requests")
            case Ping():
                await self._send(b'{"type":"pong"}')
            case Subscribe(id=name, payload=request):
                await self._subscribe(name, request)
            case Complete(id=name) if name in self._operations:
                self._operations.pop(name).cancel()

    async def _subscribe(self, name: str, request: Request) -> None:
        if not self._welcomed:
            raise Refused(4401, "Unauthorized")
        if name in self._operations:
            raise Refused(4409, f"Subscriber for {name} already exists")
        if len(self._operations) >= self._most_operations:
            error = GraphQLError("Too many operations on this connection", extensions={"code": RATE_LIMITED})
            await self._send_errors(name, [error])
            return
        self._operations[name] = asyncio.create_task(self._operate(name, request))

    async def _operate(self, name: str, request: Request) -> None:
        async with self._telling(name):
            arguments = (request.query, request.variables, request.operation_name)
            found = selected(cast("Schema", self._view.schema), *arguments, self._context)
            if found is None:
                async with self._turns:
                    result = await self._view.compiled(*arguments, self._context)
                    if result is not None:
                        await self._send(next_text(name, printed(result)))
                if result is None:
                    await self._stream(name, request)
                else:
                    await self._complete(name)
                return
            selection, source, info = found
            if isinstance(source, Reading):
                with source.registered():
                    await self._read(name, selection, source)
                return
            async with aclosing(source):
                async for event in source:
                    await self._send(next_text(name, await selection.loaded(event, info)))
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
        broadcasts = self._view.broadcasts
        while True:
            if self._connection is not None:
                member = broadcasts.join(selection, reading, name, self._connection, self._go_on_alone)
                if member is not None:
                    self._operations[name] = member
                    return
            for event in await reading.next():
                await self._send(next_text(name, selection.payload(event)))

    async def _stream(self, name: str, request: Request) -> None:
        """Run any other operation, and whatever has a mistake in it, Strawberry's way."""
        results = await self._view.schema.stream(
            request.query, request.variables, self._context, operation_name=request.operation_name
        )
        async with aclosing(results):
            async for result in results:
                if isinstance(result, PreExecutionError):
                    del self._operations[name]
                    await self._send_errors(name, result.errors or [])
                    return
                await self._send(next_text(name, printed(cast("ExecutionResult", result))))
        await self._complete(name)

    @asynccontextmanager
    async def _telling(self, name: str) -> AsyncIterator[None]:
        """Tell the client how the operation failed, if it does and the client is still there."""
        try:
            yield
        except MailboxOverflow:
            await self._close(WS_1013_TRY_AGAIN_LATER, "Too slow; resume from the last cursor")
        except WebSocketDisconnect:
            pass
        except Exception as error:  # noqa: BLE001 - the last place where it can be logged and masked
            unforeseen = GraphQLError(str(error), original_error=error)
            await self._send(next_text(name, printed(ExecutionResult(data=None, errors=presentable([unforeseen])))))
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
        if WebSocketState.DISCONNECTED not in (self._socket.client_state, self._socket.application_state):
            await self._socket.close(code, reason.encode()[:_REASON_BYTES].decode(errors="ignore"))
