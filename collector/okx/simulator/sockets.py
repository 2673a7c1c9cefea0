"""One websocket connection: its requests, its subscriptions and what is pushed to it."""

import time
from typing import Any

import orjson
from websockets.asyncio.server import ServerConnection, broadcast

from collector.okx.simulator.faults import Faults, Mangler, SharedFaults
from collector.okx.simulator.hub import Topics
from collector.okx.simulator.limits import Window
from collector.okx.simulator.topics import PUBLIC, Push

REQUESTS_PER_HOUR = 480
_MOVED = (
    "This channel has been migrated to the '/business' URL. Please subscribe using the new URL. More details can refer "
    "to: https://www.okx.com/help-center/changes-to-v5-api-websocket-subscription-parameter-and-url"
)
_NOT_BUSINESS = "This channel is not supported by '/business' URL. Please use '/public' URL."
_UPGRADE = "The connection will soon be closed for a service upgrade. Please reconnect."


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Connection:
    """A client's connection to `endpoint`: public, business or private."""

    def __init__(
        self, socket: ServerConnection, endpoint: str, conn_id: str, topics: Topics, shared: SharedFaults, seed: int
    ) -> None:
        self.socket = socket
        self.endpoint = endpoint
        self.conn_id = conn_id
        self.faults = Faults()
        self.subscriptions: set[tuple[str, str]] = set()
        self.closes_at: int | None = None
        self._topics = topics
        self._shared = shared
        self._mangler = Mangler(seed, shared, self.faults)
        self._requests = Window(REQUESTS_PER_HOUR, 3600.0)
        self.active_at = time.monotonic()
        """When something was last sent. Limits go by the machine's clock, as clients do, and not by the market's."""

    @property
    def silent(self) -> bool:
        return self.faults.half_open or self._shared.half_open

    @property
    def unread(self) -> int:
        """Bytes that wait for a slow reader."""
        return self.socket.transport.get_write_buffer_size()

    def push(self, channel: str, inst_id: str, push: Push) -> None:
        if any((channel, inst_id) in faults.silent for faults in (self.faults, self._shared)):
            return
        for text in self._mangler.pushes(push.text, push.trade_id):
            self._write(text)

    async def receive(self, message: str | bytes) -> None:
        """Answer one message of the client's."""
        if self.silent:
            return
        if message == "ping":
            self._write(b"pong")
            return
        text = message if isinstance(message, str) else message.decode(errors="replace")
        request: Any = None
        try:
            request = orjson.loads(text)
            await self._obey(request, text)
        except orjson.JSONDecodeError:
            self._refuse(None, Refusal("60012", f"Illegal request: {text}"))
        except Refusal as refusal:
            self._refuse(request, refusal)

    def leave_all(self) -> None:
        for channel, inst_id in self.subscriptions:
            self._topics.leave(self, channel, inst_id)
        self.subscriptions.clear()

    def forget(self, channel: str, inst_id: str) -> None:
        """End a subscription, if there is one, without a word."""
        self._topics.leave(self, channel, inst_id)
        self.subscriptions.discard((channel, inst_id))

    def announce_upgrade(self, closes_at: int) -> None:
        """Say that the connection will be closed, and let it be at `closes_at` of the market's clock."""
        self.closes_at = closes_at
        self._send({"event": "notice", "code": "64008", "msg": _UPGRADE, "connId": self.conn_id})

    async def _obey(self, request: Any, text: str) -> None:
        if not isinstance(request, dict) or not isinstance(request.get("op"), str):
            raise Refusal("60012", f"Illegal request: {text}")
        request_id = request.get("id")
        if request_id is not None and not (
            isinstance(request_id, str) and len(request_id) <= 32 and request_id.isalnum()
        ):
            raise Refusal("60033", "Parameter id error")
        if request["op"] not in ("subscribe", "unsubscribe", "login"):
            raise Refusal("60019", f"Invalid op: {request['op']}")
        if not self._requests.admit(time.monotonic()):
            raise Refusal("60014", "Requests too frequent")
        if request["op"] == "login":
            raise Refusal("60005", "Invalid apiKey")
        args = request.get("args")
        if not isinstance(args, list) or not args or not all(isinstance(arg, dict) for arg in args):
            raise Refusal("60013", "Invalid args")
        for arg in args:
            try:
                if request["op"] == "subscribe":
                    await self._subscribe(request, arg)
                else:
                    self._unsubscribe(request, arg)
            except Refusal as refusal:
                self._refuse(request, refusal)

    async def _subscribe(self, request: dict[str, Any], arg: dict[str, Any]) -> None:
        channel, inst_id = self._named(arg)
        faults = self.faults.answer(channel) or self._shared.answer(channel)
        if faults:
            raise Refusal(faults.code, faults.message)
        if (channel, inst_id) in self.subscriptions:
            self._acknowledge(request, arg)
            return
        try:
            await self._topics.prepare(channel, inst_id)
            first = self._topics.join(self, channel, inst_id)
        except KeyError as error:
            raise Refusal("60018", _missing(channel, inst_id)) from error
        self.subscriptions.add((channel, inst_id))
        self._acknowledge(request, arg)
        self.push(channel, inst_id, first)

    def _unsubscribe(self, request: dict[str, Any], arg: dict[str, Any]) -> None:
        self.forget(*self._named(arg))
        self._acknowledge(request, arg)

    def _named(self, arg: dict[str, Any]) -> tuple[str, str]:
        channel, inst_id = arg.get("channel"), arg.get("instId")
        if not isinstance(channel, str) or not channel:
            raise Refusal("60013", "Invalid args")
        if self.endpoint == "private":
            raise Refusal("60011", "Please log in")
        if not isinstance(inst_id, str):
            raise Refusal("60018", _missing(channel, str(inst_id)))
        if self.endpoint == "public" and (channel == "trades-all" or channel.startswith("candle")):
            raise Refusal("64001", _MOVED)
        if self.endpoint == "business" and channel in PUBLIC:
            raise Refusal("64002", _NOT_BUSINESS)
        return channel, inst_id

    def _acknowledge(self, request: dict[str, Any], arg: dict[str, Any]) -> None:
        self._send(_echo(request) | {"event": request["op"], "arg": arg, "connId": self.conn_id})

    def _refuse(self, request: Any, refusal: Refusal) -> None:
        self._send(
            _echo(request) | {"event": "error", "msg": str(refusal), "code": refusal.code, "connId": self.conn_id}
        )

    def _send(self, message: dict[str, Any]) -> None:
        self._write(orjson.dumps(message))

    def _write(self, text: bytes) -> None:
        self.active_at = time.monotonic()
        broadcast((self.socket,), text, text=True)


def _echo(request: Any) -> dict[str, Any]:
    return {"id": request["id"]} if isinstance(request, dict) and "id" in request else {}


def _missing(channel: str, inst_id: str) -> str:
    return (
        f"Wrong URL or channel:{channel},instId:{inst_id} doesn't exist. Please use the correct URL, channel and "
        "parameters referring to API document."
    )
