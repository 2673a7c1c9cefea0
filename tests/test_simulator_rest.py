"""REST answers of the simulated exchange: newest first, strictly older and newer, within OKX's limits."""

import pytest
from httpx2 import AsyncClient

from collector.okx.simulator.candles import HISTORY
from collector.okx.simulator.instruments import INSTRUMENTS
from collector.okx.simulator.limits import Window
from collector.okx.simulator.market import HOUR, MINUTE
from tests.simulated import NOON, an_exchange, data, rest

pytestmark = pytest.mark.anyio

BTC = "BTC-USDT"


async def refusal(client: AsyncClient, path: str, **params: object) -> tuple[int, str, str]:
    response = await client.get(path, params={name: str(value) for name, value in params.items()})
    return response.status_code, response.json()["code"], response.json()["msg"]


async def test_trades_are_the_latest_matches_newest_first():
    async with an_exchange() as exchange, rest(exchange) as client:
        rows = await data(client, "market/trades", instId=BTC, limit=3)

        spec = INSTRUMENTS[BTC]
        assert rows == [
            {
                "instId": BTC,
                "tradeId": str(match.id),
                "px": spec.price(match.price),
                "sz": spec.size(match.size),
                "side": "buy" if match.is_buy else "sell",
                "source": "1" if match.is_elp else "0",
                "ts": str(match.time),
            }
            for match in reversed(exchange.ledger(BTC, NOON - MINUTE, NOON + 1)[-3:])
        ]


async def test_history_is_paged_by_id_without_a_gap():
    async with an_exchange() as exchange, rest(exchange) as client:
        newest = await data(client, "market/history-trades", instId=BTC)
        older = await data(client, "market/history-trades", instId=BTC, after=newest[-1]["tradeId"], limit=20)

        ids = [int(row["tradeId"]) for row in newest + older]
        last = exchange.ledger(BTC, NOON - MINUTE, NOON + 1)[-1].id
        assert ids == list(range(last, last - 120, -1))


async def test_before_alone_still_answers_the_newest():
    async with an_exchange() as exchange, rest(exchange) as client:
        last = exchange.ledger(BTC, NOON - MINUTE, NOON + 1)[-1].id

        far = await data(client, "market/history-trades", instId=BTC, before=last - 50, limit=10)
        near = await data(client, "market/history-trades", instId=BTC, before=last - 5)
        between = await data(client, "market/history-trades", instId=BTC, before=last - 50, after=last - 47)

        assert [int(row["tradeId"]) for row in far] == list(range(last, last - 10, -1))
        assert [int(row["tradeId"]) for row in near] == list(range(last, last - 5, -1))
        assert [int(row["tradeId"]) for row in between] == [last - 48, last - 49]


async def test_history_can_be_paged_by_time():
    async with an_exchange() as exchange, rest(exchange) as client:
        at = exchange.ledger(BTC, NOON - HOUR, NOON)[100].time

        rows = await data(client, "market/history-trades", instId=BTC, type=2, after=at, limit=5)

        assert [int(row["tradeId"]) for row in reversed(rows)] == [
            match.id for match in exchange.ledger(BTC, NOON - HOUR - MINUTE, at)[-5:]
        ]


async def test_there_is_no_history_beyond_a_week():
    async with an_exchange() as exchange, rest(exchange) as client:
        oldest = exchange.ledger(BTC, NOON - HISTORY - MINUTE, NOON - HISTORY + MINUTE)

        first = next(match.id for match in oldest if match.time > NOON - HISTORY)

        assert await data(client, "market/history-trades", instId=BTC, after=first) == []
        assert len(await data(client, "market/history-trades", instId=BTC, after=first + 2)) == 2
        assert await data(client, "market/history-trades", instId=BTC, type=2, after=NOON - HISTORY) == []
        assert await data(client, "market/history-candles", instId=BTC, after=NOON - HISTORY) == []


async def test_candles_begin_with_the_open_one_and_history_with_the_last_closed():
    async with an_exchange(NOON + 30_000) as exchange, rest(exchange) as client:
        recent = await data(client, "market/candles", instId=BTC, limit=2)
        history = await data(client, "market/history-candles", instId=BTC, bar="1m", limit=1)

        assert [(row[0], row[8]) for row in recent] == [(str(NOON), "0"), (str(NOON - MINUTE), "1")]
        assert history == recent[1:]


async def test_candles_are_cut_off_by_after_and_before():
    async with an_exchange() as exchange, rest(exchange) as client:
        rows = await data(
            client, "market/candles", instId=BTC, after=NOON - 2 * MINUTE, before=NOON - 5 * MINUTE, bar="1m"
        )

        assert [int(row[0]) for row in rows] == [NOON - 3 * MINUTE, NOON - 4 * MINUTE]


async def test_only_the_newest_1440_bars_are_recent():
    async with an_exchange(rate=0.1) as exchange, rest(exchange) as client:
        edge = NOON - 1439 * MINUTE

        recent = await data(client, "market/candles", instId=BTC, after=edge + MINUTE)
        history = await data(client, "market/history-candles", instId=BTC, after=edge + MINUTE)

        assert [int(row[0]) for row in recent] == [edge]
        assert len(history) == 100


async def test_there_is_no_month_before_the_history():
    async with an_exchange() as exchange, rest(exchange) as client:
        assert await data(client, "market/candles", instId=BTC, bar="1M", after=NOON - 31 * 24 * HOUR) == []


async def test_more_than_the_limit_is_the_limit():
    async with an_exchange() as exchange, rest(exchange) as client:
        assert len(await data(client, "market/candles", instId=BTC, limit=1000)) == 300
        assert len(await data(client, "market/trades", instId=BTC, limit=1000)) == 500
        assert len(await data(client, "market/history-trades", instId=BTC, limit=1000)) == 100


async def test_tickers_say_the_last_price_and_the_last_day():
    async with an_exchange(rate=0.1) as exchange, rest(exchange) as client:
        (one,) = await data(client, "market/ticker", instId=BTC)
        swaps = await data(client, "market/tickers", instType="SWAP")

        day = exchange.ledger(BTC, NOON - 24 * HOUR + MINUTE, NOON + 1)
        spec = INSTRUMENTS[BTC]
        assert one["last"] == spec.price(day[-1].price)
        assert one["high24h"] == spec.price(max(match.price for match in day))
        assert one["vol24h"] == spec.size(sum(match.size for match in day))
        assert [row["instId"] for row in swaps] == ["BTC-USDT-SWAP", "ETH-USDT-SWAP"]


async def test_the_book_is_one_tick_wide():
    async with an_exchange() as exchange, rest(exchange) as client:
        (book,) = await data(client, "market/books", instId=BTC, sz=3)

        assert len(book["asks"]) == len(book["bids"]) == 3
        assert float(book["asks"][0][0]) - float(book["bids"][0][0]) == pytest.approx(0.1)
        assert book["checksum"] == 0


async def test_instruments_are_listed_by_type():
    async with an_exchange() as exchange, rest(exchange) as client:
        spot = await data(client, "public/instruments", instType="SPOT")
        (swap,) = await data(client, "public/instruments", instType="SWAP", instId="BTC-USDT-SWAP")
        options = await data(client, "public/instruments", instType="OPTION", uly="BTC-USD")

        assert {row["instId"]: row["tickSz"] for row in spot} == {
            "BTC-USDT": "0.1",
            "ETH-USDT": "0.01",
            "SOL-USDT": "0.01",
            "SHIB-USDT": "0.000000001",
        }
        assert (swap["ctVal"], swap["ctValCcy"], swap["settleCcy"], swap["lotSz"]) == ("0.01", "BTC", "USDT", "0.01")
        assert options == []


async def test_time_is_the_exchanges():
    async with an_exchange() as exchange, rest(exchange) as client:
        assert await data(client, "public/time") == [{"ts": str(NOON)}]


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        ("market/trades", {}, (400, "50014", "Parameter instId can not be empty.")),
        ("market/trades", {"instId": "NONE-USDT"}, (200, "51001", "Instrument ID does not exist")),
        ("market/trades", {"instId": BTC, "limit": "many"}, (400, "51000", "Parameter limit error")),
        ("market/trades", {"instId": BTC, "limit": "0"}, (400, "51000", "Parameter limit error")),
        ("market/candles", {"instId": BTC, "bar": "5s"}, (400, "51000", "Parameter bar error")),
        ("market/candles", {"instId": BTC, "after": "-1"}, (400, "51000", "Parameter after error")),
        ("market/history-trades", {"instId": BTC, "type": "3"}, (400, "51000", "Parameter type error")),
        ("public/instruments", {}, (400, "50014", "Parameter instType can not be empty.")),
        ("public/instruments", {"instType": "BOND"}, (400, "51000", "Parameter instType error")),
        ("public/instruments", {"instType": "SPOT", "instId": "X"}, (200, "51001", "Instrument ID does not exist")),
        ("asset/currencies", {}, (401, "50103", "Request header OK-ACCESS-KEY can not be empty.")),
        ("market/nothing", {}, (404, "404", "Request URI does not exist")),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(path, params, expected):
    async with an_exchange() as exchange, rest(exchange) as client:
        assert await refusal(client, path, **params) == expected


async def test_too_many_requests_are_refused_by_path():
    async with an_exchange() as exchange, rest(exchange) as client:
        answers = [await refusal(client, "public/time") for _ in range(11)]

        assert answers[9] == (200, "0", "")
        assert answers[10] == (429, "50011", "Too Many Requests")
        assert await refusal(client, "public/instruments", instType="SPOT") == (200, "0", "")


def test_a_window_slides():
    window = Window(2, 10.0)

    admitted = [window.admit(now) for now in (0.0, 1.0, 9.9, 10.0, 10.5, 11.0)]

    assert admitted == [True, True, False, True, False, True]
