"""A client that means well: python -m attack.witness HOST PORT. It prints when it asked, and ms until the answer."""

import http.client
import itertools
import json
import sys
import time

_EVERY = 0.02
_UNTOLD = 50
"""Answers at the beginning, of a server that has yet to read the query."""
_QUERY = (
    '{ candles(symbol: "BTC-USDT", timeframe: "1m", last: 100) { nodes { startTime open high low close volume } } }'
)


def _watch(host: str, port: int) -> None:
    connection = http.client.HTTPConnection(host, port, timeout=30)
    for count in itertools.count():
        asked = time.monotonic()
        connection.request("POST", "/graphql", json.dumps({"query": _QUERY}), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        if "errors" in answer:
            raise RuntimeError(f"a client that means well was refused: {answer}")
        if count >= _UNTOLD:
            print(asked, (time.monotonic() - asked) * 1000, flush=True)
        time.sleep(_EVERY)


if __name__ == "__main__":
    _watch(sys.argv[1], int(sys.argv[2]))
