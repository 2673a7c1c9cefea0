"""The dashboard over a server whose data are others than before."""

import json
import re

import pytest
from playwright.async_api import WebSocketRoute, expect

from tests.browser.stored import NEWEST
from tests.browser.views import at_minutes, frame, printed

pytestmark = pytest.mark.anyio


async def test_a_position_of_another_database_begins_the_chart_and_the_trades_anew_and_says_so(still):
    expired: set[str] = set()

    def guarded(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def say(message: str | bytes) -> None:
            said = json.loads(message)
            query = said.get("payload", {}).get("query", "") if said["type"] == "subscribe" else ""
            name = next((name for name in ("CandleEvents", "TradeEvents") if name in query), None)
            if name is None or name in expired:
                server.send(message)
                return
            expired.add(name)
            error = {"message": "That cursor is of another database", "extensions": {"code": "CURSOR_EXPIRED"}}
            socket.send(json.dumps({"id": said["id"], "type": "error", "payload": [error]}))

        socket.on_message(say)

    await still.route_web_socket(re.compile("/graphql$"), guarded)
    asked: list[str] = []
    still.on("request", lambda request: asked.append(request.post_data or ""))
    await at_minutes(still)

    await expect(still.locator("#notice")).to_contain_text("loaded anew")
    await expect(still.locator("#legend time")).to_have_text(printed(NEWEST))
    await frame(still)
    assert sum("query History" in text and '"timeframe":"1m"' in text for text in asked) >= 2
    assert expired == {"CandleEvents", "TradeEvents"}
