"""Server-sent events, by the distinct connections mode of graphql-sse (PROTOCOL.md of enisdenjo/graphql-sse)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import StreamingResponse
from strawberry.http.streaming import SSETransport, merge_stream_with_heartbeat

_transport = SSETransport()


def stream_of(payloads: AsyncGenerator[bytes, None]) -> StreamingResponse:
    """`next` for each payload, then `complete`; a comment whenever there was nothing for 15 s.

    A stream that ends without `complete` was cut off: clients come back then.
    """

    async def text() -> AsyncGenerator[str, None]:
        async with aclosing(payloads):
            async for payload in payloads:
                yield _transport.encode_event("next", payload.decode())
        yield _transport.encode_complete()

    def heartbeat() -> str:
        return _transport.encode_comment("ping")

    interval = _transport.heartbeat_interval
    stream = merge_stream_with_heartbeat(text, heartbeat, interval, send_initial_heartbeat=False)
    return StreamingResponse(stream(), headers=_transport.headers)
