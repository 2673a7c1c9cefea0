import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import stamina
from structlog.testing import capture_logs

import collector.okx.rest
from collector.okx.bars import BARS, bar_of
from collector.okx.pace import Limit
from collector.okx.rest import ATTEMPTS, OKXError, OKXRest, OKXUnavailable
from collector.okx.simulator.clock import ManualClock
from collector.okx.simulator.faults import RestFault
from collector.okx.simulator.instruments import INSTRUMENTS
from collector.okx.simulator.server import Simulator
from repos.domain import Candle, Instrument, InvalidValue, Origin, Timeframe
from tests.canned import a_reply, a_row, answering, ms

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    async with Simulator(clock=ManualClock(ms(NOW)), rate=0.2) as simulator:
        yield simulator


@pytest.fixture
async def rest(exchange: Simulator) -> AsyncIterator[OKXRest]:
    async with OKXRest(exchange.rest_url) as client:
        yield client


@pytest.fixture
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


async def all_candles(rest: OKXRest, timeframe: str, start: datetime, end: datetime) -> list[list[Candle]]:
    pages = rest.candles("BTC-USDT", Timeframe(timeframe), start=start, end=end)
    return [page async for page in pages]


async def test_history_trades_are_the_newest_first(exchange, rest):
    happened = exchange.ledger("BTC-USDT", ms(NOW - timedelta(hours=1)), ms(NOW) + 1)

    records = await rest.history_trades("BTC-USDT")

    assert [record.trade.trade_id for record in records] == [match.id for match in reversed(happened[-100:])]
    assert [json.loads(record.raw)["px"] for record in records] == [str(record.trade.price) for record in records]


async def test_history_trades_go_on_below_an_id(rest):
    newest = await rest.history_trades("BTC-USDT", limit=3)

    older = await rest.history_trades("BTC-USDT", after=newest[-1].trade.trade_id, limit=2)

    ids = [record.trade.trade_id for record in [*newest, *older]]
    assert ids == list(range(ids[0], ids[0] - 5, -1))


async def test_a_trade_keeps_the_exchanges_own_text():
    text = '{"instId":"BTC-USDT", "side":"sell","sz":"0.10","px":"64000.0","tradeId":"7","ts":"1772366400250"}'

    async with answering('{"code":"0","msg":"","data":[' + text + "]}") as rest:
        (record,) = await rest.history_trades("BTC-USDT")

    assert record.raw == text


async def test_candles_cover_the_half_open_range_from_both_endpoints(exchange, rest):
    end = NOW.replace(second=0) - 3 * MINUTE
    start = end - 1800 * MINUTE

    pages = await all_candles(rest, "1m", start, end)

    candles = [candle for page in reversed(pages) for candle in page]
    assert [candle.start_time for candle in candles] == [start + n * MINUTE for n in range(1800)]
    assert len(pages) > 5
    assert all(candle.origin is Origin.EXCHANGE and candle.trade_count is None for candle in candles)
    last = exchange.ledger("BTC-USDT", ms(end - MINUTE), ms(end))
    size = INSTRUMENTS["BTC-USDT"].size
    assert candles[-1].volume == sum(Decimal(size(match.size)) for match in last)


async def test_the_open_candle_is_left_out(rest):
    minute = NOW.replace(second=0)

    pages = await all_candles(rest, "1m", minute - 2 * MINUTE, NOW + timedelta(hours=1))

    starts = [candle.start_time for page in pages for candle in page]
    assert starts == [minute - 2 * MINUTE, minute - MINUTE]


async def test_the_end_may_lie_between_two_milliseconds(rest):
    minute = NOW.replace(second=0) - 5 * MINUTE

    pages = await all_candles(rest, "1m", minute, minute + timedelta(microseconds=1))

    assert [candle.start_time for page in pages for candle in page] == [minute]


async def test_an_empty_range_asks_nothing(rest):
    assert await all_candles(rest, "1m", NOW, NOW) == []


async def test_long_candles_are_cut_on_utc(rest):
    noon = NOW.replace(hour=12, minute=0, second=0)
    start = noon - timedelta(hours=6)

    pages = await all_candles(rest, "6h", start, noon)

    assert [(candle.start_time, candle.end_time) for page in pages for candle in page] == [(start, noon)]


@pytest.mark.parametrize("timeframe", ["1d", "1w", "1M"])
async def test_days_weeks_and_months_end_where_ours_do(timeframe):
    length = Timeframe(timeframe)
    start = length.floor(NOW)

    async with answering(a_reply(a_row(start))) as rest:
        pages = await all_candles(rest, timeframe, start, start + MINUTE)

    assert [(candle.start_time, candle.end_time) for page in pages for candle in page] == [(start, length.end(start))]


async def test_a_timeframe_that_the_exchange_does_not_have_is_refused(rest):
    with pytest.raises(InvalidValue, match="timeframe: OKX has no 5s candles; it has 1s, 1m"):
        await all_candles(rest, "5s", NOW - MINUTE, NOW)


@pytest.mark.parametrize(
    ("timeframe", "bar"),
    [("60s", "1m"), ("24h", "1Dutc"), ("1w", "1Wutc"), ("3M", None), ("7d", None), ("2d", None), ("5s", None)],
)
def test_bars_are_named_as_the_exchange_names_them(timeframe, bar):
    assert bar_of(Timeframe(timeframe)) == bar


def test_every_bar_of_six_hours_or_more_is_one_cut_on_utc():
    long = [bar for timeframe, bar in BARS.items() if timeframe.months or timeframe.length >= timedelta(hours=6)]

    assert long == ["6Hutc", "12Hutc", "1Dutc", "1Wutc", "1Mutc"]


async def test_rows_that_cannot_be_read_are_logged_and_left_out():
    minute = NOW.replace(second=0)
    row = a_row(minute)
    bad = [row[:7], [*row[:2], "much", *row[3:]], {"ts": "1"}, [str(ms(minute) + 1), *row[1:]]]

    async with answering(a_reply(row, *bad), a_reply(), a_reply()) as rest:
        with capture_logs() as logs:
            pages = await all_candles(rest, "1m", minute - MINUTE, minute + MINUTE)

    end = minute + MINUTE
    numbers = [Decimal(number) for number in ("1", "3", "0.5", "2", "10")]
    candle = Candle("okx", "BTC-USDT", Timeframe("1m"), *numbers, None, minute, end, Origin.EXCHANGE)
    assert pages == [[candle]]
    assert [json.loads(entry["row"]) for entry in logs] == bad
    assert logs[0]["reason"] == "candle: a row has 9 fields, this one 7"


async def test_pages_that_do_not_go_back_end_in_an_error():
    row = a_row(NOW.replace(second=0))

    async with answering(a_reply(row), a_reply(row)) as rest:
        with pytest.raises(OKXError, match="market/candles: a page of BTC-USDT 1m older than"):
            await all_candles(rest, "1m", NOW - timedelta(hours=1), NOW)


async def test_instruments_say_what_a_contract_is_worth_in_coins(rest):
    spot = {instrument.symbol: instrument for instrument in await rest.instruments("SPOT")}
    swap = {instrument.symbol: instrument for instrument in await rest.instruments("SWAP")}

    assert spot["BTC-USDT"] == Instrument("okx", "BTC-USDT", Decimal("0.1"), Decimal("0.00000001"), None, "live")
    assert swap["BTC-USDT-SWAP"].contract_value == Decimal("0.01")


async def test_a_contract_worth_dollars_or_without_tick_size_has_no_value_in_coins():
    swap = {"instId": "BTC-USD-SWAP", "tickSz": "0.1", "lotSz": "1", "state": "live", "ctVal": "100", "ctValCcy": "USD"}
    option = swap | {"instId": "BTC-USD-260327-80000-C", "ctVal": "0.1", "ctMult": "0.1", "ctValCcy": "BTC"}

    async with answering(a_reply(swap, option, swap | {"tickSz": ""})) as rest:
        with capture_logs() as logs:
            inverse, multiplied = await rest.instruments("SWAP")

    assert (inverse.contract_value, multiplied.contract_value) == (None, Decimal("0.01"))
    assert len(logs) == 1


async def test_the_server_tells_the_time(rest):
    assert await rest.server_time() == NOW


@pytest.mark.parametrize("data", [[], [{}], [{"ts": "soon"}]])
async def test_a_reply_without_time_is_an_error(data):
    async with answering(a_reply(*data)) as rest:
        with pytest.raises(OKXError, match="OKX public/time: the reply holds no time: "):
            await rest.server_time()


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(RestFault("public/time", status=429, code="50011", times=ATTEMPTS - 1), id="too many requests"),
        pytest.param(RestFault("public/time", status=503, code="50001", times=ATTEMPTS - 1), id="unavailable"),
        pytest.param(RestFault("public/time", code="50013", times=ATTEMPTS - 1), id="busy"),
        pytest.param(RestFault("public/time", truncated=True, times=ATTEMPTS - 1), id="cut off"),
        pytest.param(RestFault("public/time", delay=0.3, times=1), id="late"),
    ],
)
async def test_a_passing_failure_is_waited_out(exchange, rest, monkeypatch, fault):
    monkeypatch.setattr(collector.okx.rest, "REPLY_TIMEOUT", 0.2)
    exchange.faults.rest.append(fault)

    moment = await rest.server_time()

    assert moment == NOW
    assert fault.times == 0


@pytest.mark.usefixtures("_no_waiting")
async def test_a_failure_that_does_not_pass_is_raised_after_a_few_attempts(exchange, rest):
    fault = RestFault("public/time", status=503, code="50001", message="Later", times=99)
    exchange.faults.rest.append(fault)

    with pytest.raises(OKXUnavailable) as caught:
        await rest.server_time()

    assert fault.times == 99 - ATTEMPTS
    assert (caught.value.code, caught.value.message, caught.value.path) == ("50001", "Later", "public/time")
    assert str(caught.value) == "OKX public/time: Later (code 50001)"


async def test_a_refused_request_is_raised_at_once(rest):
    with pytest.raises(OKXError) as caught:
        await rest.history_trades("NO-SUCH")

    assert not isinstance(caught.value, OKXUnavailable)
    assert str(caught.value) == "OKX market/history-trades: Instrument ID does not exist (code 51001)"


@pytest.mark.usefixtures("_no_waiting")
async def test_an_exchange_that_is_not_there_is_unavailable():
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

    async with OKXRest(f"http://127.0.0.1:{port}") as rest:
        with pytest.raises(OKXUnavailable, match="OKX public/time: ConnectError"):
            await rest.server_time()


async def test_a_page_that_is_not_there_is_an_error(exchange):
    async with OKXRest(f"{exchange.rest_url}/elsewhere/") as rest:
        with pytest.raises(OKXError, match="Request URI does not exist"):
            await rest.server_time()


async def test_an_endless_reply_is_not_read_to_its_end(rest, monkeypatch):
    monkeypatch.setattr(collector.okx.rest, "MAX_REPLY", 100)

    with pytest.raises(OKXError, match="OKX public/instruments: the reply is longer than 100 bytes"):
        await rest.instruments("SPOT")


async def test_requests_wait_for_their_place_in_the_exchanges_limits(rest, monkeypatch):
    monkeypatch.setitem(collector.okx.rest.RATES, "public/time", Limit(2, 1.0))
    clock = asyncio.get_running_loop().time
    began = clock()

    times = await asyncio.gather(*(rest.server_time() for _ in range(3)))

    assert times == [NOW] * 3
    assert 0.5 < clock() - began < 5
