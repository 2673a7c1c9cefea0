"""Server-sent events, by the distinct connections mode of graphql-sse (PROTOCOL.md of enisdenjo/graphql-sse)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import StreamingResponse
from strawberry.http.streaming import merge_stream_with_heartbeat

HEARTBEAT = 15.0
"""Seconds between comments: proxies cut off what is silent for a minute."""
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # or nginx would keep events until it has some kilobytes of them
}


def stream_of(payloads: AsyncGenerator[bytes, None]) -> StreamingResponse:
    """`next` for each payload, then `complete`; a comment now and then.

    A stream that ends without `complete` was cut off: clients come back then. Lines end in LF alone, the only
    end that urql knows.
    """

    async def text() -> AsyncGenerator[str, None]:
        async with aclosing(payloads):
            async for payload in payloads:
                yield f"event: next\ndata: {payload.decode()}\n\n"
        yield "event: complete\ndata:\n\n"

    stream = merge_stream_with_heartbeat(text, lambda: ":\n\n", HEARTBEAT, send_initial_heartbeat=False)
    return StreamingResponse(stream(), headers=_HEADERS)
