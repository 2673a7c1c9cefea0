"""The websocket side of the simulated exchange: OKX's protocol, frame by frame."""

import asyncio

import pytest
import websockets
from websockets.exceptions import InvalidStatus

from collector.okx.simulator.clock import ManualClock, WallClock
from collector.okx.simulator.instruments import INSTRUMENTS
from collector.okx.simulator.market import HOUR, MINUTE
from collector.okx.simulator.server import Simulator
from tests.simulated import NOON, an_exchange, connected, data, rest, trade_ids

pytestmark = pytest.mark.anyio

BTC = "BTC-USDT"
ALL = ("trades-all", BTC)
TRADES = ("trades", BTC)


def ids(exchange: Simulator, start: int, end: int) -> list[int]:
    return [match.id for match in exchange.ledger(BTC, start, end)]


async def test_each_arg_is_acknowledged_on_its_own_with_the_request_id():
    async with an_exchange() as exchange, connected(exchange, "public") as client:
        await client.subscribe(TRADES, ("tickers", BTC), id="a1")

        first, _, second, _ = await client.frames(4)
        assert first == {
            "id": "a1",
            "event": "subscribe",
            "arg": {"channel": "trades", "instId": BTC},
            "connId": next(iter(exchange.connections)),
        }
        assert second["arg"] == {"channel": "tickers", "instId": BTC}


async def test_the_latest_past_trade_follows_the_acknowledgement_and_then_each_match():
    async with an_exchange() as exchange, connected(exchange) as client:
        await client.subscribe(ALL)
        _, latest = await client.frames(2)
        exchange.clock.advance(30_000)

        assert trade_ids(latest)[-1] == ids(exchange, NOON - MINUTE, NOON + 1)[-1]
        happened = exchange.ledger(BTC, NOON + 1, NOON + 30_001)
        frames = await client.until(happened[-1].id)
        assert [i for frame in frames for i in trade_ids(frame)] == [match.id for match in happened]
        spec = INSTRUMENTS[BTC]
        assert [row for frame in frames for row in frame["data"]] == [
            {
                "instId": BTC,
                "tradeId": str(match.id),
                "px": spec.price(match.price),
                "sz": spec.size(match.size),
                "side": "buy" if match.is_buy else "sell",
                "source": "1" if match.is_elp else "0",
                "ts": str(match.time),
            }
            for match in happened
        ]


async def test_the_channel_trades_adds_up_the_matches_of_an_order_at_one_price():
    async with an_exchange() as exchange, connected(exchange, "public") as client:
        await client.subscribe(TRADES)
        await client.frames(2)
        exchange.clock.advance(MINUTE)

        happened = {match.id: match for match in exchange.ledger(BTC, NOON + 1, NOON + MINUTE + 1)}
        frames = await client.until(max(happened))
        assert [i for frame in frames for i in trade_ids(frame)] == list(happened)
        assert max(len(trade_ids(frame)) for frame in frames) > 3
        spec = INSTRUMENTS[BTC]
        for frame in frames:
            (row,) = frame["data"]
            matches = [happened[i] for i in trade_ids(frame)]
            assert {(match.order, match.price) for match in matches} == {(matches[0].order, matches[0].price)}
            assert row["sz"] == spec.size(sum(match.size for match in matches))
            assert isinstance(row["seqId"], int)


async def test_some_frames_carry_several_matches():
    async with an_exchange() as exchange, connected(exchange) as client:
        await client.subscribe(ALL)
        await client.frames(2)
        exchange.clock.advance(20 * MINUTE)

        frames = await client.until(ids(exchange, NOON, NOON + 20 * MINUTE + 1)[-1])
        several = [frame for frame in frames if len(frame["data"]) > 1]
        assert 0 < len(several) < len(frames) / 20


async def test_a_newcomer_does_not_miss_or_repeat_what_others_are_about_to_get():
    async with an_exchange() as exchange, connected(exchange) as early, connected(exchange) as late:
        await early.subscribe(ALL)
        await early.frames(2)
        exchange.clock.advance(10_000)
        await late.subscribe(ALL)
        _, latest = await late.frames(2)
        exchange.clock.advance(10_000)

        last = ids(exchange, NOON, NOON + 20_001)[-1]
        follows = [i for frame in await late.until(last) for i in trade_ids(frame)]
        assert trade_ids(latest)[-1] == ids(exchange, NOON, NOON + 10_001)[-1]
        assert follows == ids(exchange, NOON + 10_001, NOON + 20_001)
        everything = [i for frame in await early.until(last) for i in trade_ids(frame)]
        assert everything == ids(exchange, NOON + 1, NOON + 20_001)


async def test_subscribing_again_is_acknowledged_and_doubles_nothing():
    async with an_exchange() as exchange, connected(exchange) as client:
        await client.subscribe(ALL)
        await client.frames(2)
        await client.subscribe(ALL)
        again = await client.frame()
        exchange.clock.advance(10_000)

        assert again["event"] == "subscribe"
        happened = ids(exchange, NOON + 1, NOON + 10_001)
        assert [i for frame in await client.until(happened[-1]) for i in trade_ids(frame)] == happened


async def test_nothing_is_pushed_after_unsubscribing():
    async with an_exchange() as exchange, connected(exchange) as client, connected(exchange) as other:
        for each in (client, other):
            await each.subscribe(ALL)
            await each.frames(2)
        await client.request("unsubscribe", ALL, ("trades-all", "ETH-USDT"))
        answers = await client.frames(2)
        exchange.clock.advance(10_000)
        await other.until(ids(exchange, NOON, NOON + 10_001)[-1])

        assert [answer["event"] for answer in answers] == ["unsubscribe", "unsubscribe"]
        assert await client.is_quiet()


async def test_candles_are_pushed_once_a_second_and_confirmed_when_closed():
    async with an_exchange(NOON + 50_000, rate=20) as exchange, connected(exchange) as client, rest(exchange) as api:
        await client.subscribe(("candle1m", BTC))
        _, opened = await client.frames(2)
        exchange.clock.advance(999)
        quiet = await client.is_quiet()
        exchange.clock.advance(1)
        second = await client.frame()
        exchange.clock.advance(10_000)
        closed, following = await client.frames(2)

        assert quiet
        assert opened["data"][0][0] == str(NOON)
        assert second["data"][0][:2] == opened["data"][0][:2]
        assert (closed["data"][0][0], closed["data"][0][8]) == (str(NOON), "1")
        assert (following["data"][0][0], following["data"][0][8]) == (str(NOON + MINUTE), "0")
        assert await data(api, "market/candles", instId=BTC, limit=2) == following["data"] + closed["data"]


async def test_a_candle_that_stands_still_is_not_pushed_again():
    async with an_exchange(rate=0.001) as exchange, connected(exchange) as client:
        await client.subscribe(("candle1D", "SHIB-USDT"))
        await client.frames(2)
        exchange.clock.advance(1_000)

        assert await client.is_quiet()


async def test_tickers_come_at_most_ten_times_a_second():
    async with an_exchange() as exchange, connected(exchange, "public") as client:
        await client.subscribe(("tickers", "SHIB-USDT"))
        await client.frames(2)
        exchange.clock.advance(99)
        quiet = await client.is_quiet()
        exchange.clock.advance(MINUTE - 99)
        frame = await client.frame()

        assert quiet
        assert frame["data"][0]["ts"] == str(NOON + MINUTE)


async def test_books5_are_snapshots_of_five_levels():
    async with an_exchange() as exchange, connected(exchange, "public") as client:
        await client.subscribe(("books5", BTC), ("bbo-tbt", BTC))
        _, first, _, best = await client.frames(4)
        exchange.clock.advance(100)
        second = (await client.frames(2))[0]

        for frame in (first, second):
            (book,) = frame["data"]
            assert "action" not in frame
            assert len(book["asks"]) == len(book["bids"]) == 5
            assert book["checksum"] == 0
        assert second["data"][0]["seqId"] == first["data"][0]["seqId"] + 1
        assert best["data"][0]["asks"] == first["data"][0]["asks"][:1]


async def test_books_is_a_snapshot_and_then_what_changed():
    async with an_exchange() as exchange, connected(exchange, "public") as client:
        await client.subscribe(("books", BTC))
        _, snapshot = await client.frames(2)
        sides = {side: {p: s for p, s, *_ in snapshot["data"][0][side]} for side in ("asks", "bids")}
        previous = snapshot["data"][0]["seqId"]
        for _ in range(20):
            exchange.clock.advance(500)
            update = await client.frame()
            (change,) = update["data"]
            assert update["action"] == "update"
            assert change["prevSeqId"] == previous
            previous = change["seqId"]
            for name, side in sides.items():
                for price, size, *_ in change[name]:
                    side.pop(price, None) if size == "0" else side.update({price: size})
        async with connected(exchange, "public") as newcomer:
            await newcomer.subscribe(("books", BTC))
            _, now = await newcomer.frames(2)

        assert (snapshot["action"], snapshot["data"][0]["prevSeqId"]) == ("snapshot", -1)
        assert sides == {side: {p: s for p, s, *_ in now["data"][0][side]} for side in ("asks", "bids")}


@pytest.mark.parametrize(
    ("endpoint", "request_text", "code", "told"),
    [
        ("public", "{", "60012", "Illegal request: {"),
        ("public", "[1]", "60012", "Illegal request: [1]"),
        ("public", '{"args":[]}', "60012", "Illegal request"),
        ("public", '{"op":"order","args":[]}', "60019", "Invalid op: order"),
        ("public", '{"op":"subscribe"}', "60013", "Invalid args"),
        ("public", '{"op":"subscribe","args":[{"instId":"BTC-USDT"}]}', "60013", "Invalid args"),
        ("public", '{"op":"subscribe","id":"not ok","args":[{}]}', "60033", "Parameter id error"),
        ("public", '{"op":"login","args":[{}]}', "60005", "Invalid apiKey"),
        ("public", '{"op":"subscribe","args":[{"channel":"trades"}]}', "60018", "channel:trades,instId:None doesn't"),
        (
            "public",
            '{"op":"subscribe","args":[{"channel":"no","instId":"BTC-USDT"}]}',
            "60018",
            "channel:no,instId:BTC",
        ),
        (
            "public",
            '{"op":"subscribe","args":[{"channel":"trades","instId":"NO"}]}',
            "60018",
            "instId:NO doesn't exist",
        ),
        (
            "public",
            '{"op":"subscribe","args":[{"channel":"candle1m","instId":"BTC-USDT"}]}',
            "64001",
            "'/business' URL",
        ),
        ("public", '{"op":"subscribe","args":[{"channel":"trades-all","instId":"NO"}]}', "64001", "'/business' URL"),
        ("business", '{"op":"subscribe","args":[{"channel":"trades","instId":"NO"}]}', "64002", "'/public' URL"),
        ("business", '{"op":"subscribe","args":[{"channel":"candle5s","instId":"BTC-USDT"}]}', "60018", "candle5s"),
        ("private", '{"op":"subscribe","args":[{"channel":"trades","instId":"BTC-USDT"}]}', "60011", "Please log in"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(endpoint, request_text, code, told):
    async with an_exchange() as exchange, connected(exchange, endpoint) as client:
        await client.socket.send(request_text)

        answer = await client.frame()
        assert (answer["event"], answer["code"]) == ("error", code)
        assert told in answer["msg"]
        assert "arg" not in answer
        assert answer["connId"] in exchange.connections
        assert await client.is_quiet()


async def test_one_wrong_arg_leaves_the_others_standing():
    async with an_exchange() as exchange, connected(exchange) as client:
        await client.subscribe(("candle1m", "NONE"), ALL, id="7")

        error, ack, _ = await client.frames(3)
        assert (error["code"], error["id"]) == ("60018", "7")
        assert ack["event"] == "subscribe"


async def test_a_connection_may_make_480_requests_an_hour():
    async with an_exchange() as exchange, connected(exchange) as client:
        for _ in range(481):
            await client.request("unsubscribe", ALL)

        answers = await client.frames(481)
        assert {answer["event"] for answer in answers[:480]} == {"unsubscribe"}
        assert (answers[480]["code"], answers[480]["msg"]) == ("60014", "Requests too frequent")


async def test_a_frame_that_is_too_long_closes_the_connection():
    async with an_exchange() as exchange, connected(exchange) as client:
        await client.socket.send("x" * 70_000)

        assert await client.closing() == 1009


async def test_a_silent_connection_is_closed_and_a_ping_keeps_it():
    async with an_exchange(idle=1.0) as exchange, connected(exchange) as silent, connected(exchange) as pinging:
        closing = asyncio.create_task(silent.closing())
        while not closing.done():
            assert await pinging.is_quiet()

        assert await closing == 4004
        assert await pinging.is_quiet()


async def test_a_slow_reader_is_closed_and_holds_nobody_up():
    async with (
        an_exchange(unread_limit=50_000) as exchange,
        connected(exchange, max_queue=1) as slow,
        connected(exchange) as quick,
    ):
        await slow.subscribe(("trades-all", "BTC-USDT-SWAP"))
        await quick.subscribe(("candle1m", BTC))
        await quick.frames(2)
        # The machine's own buffers fill up first.
        slow.socket.transport.pause_reading()
        minute = NOON
        while len(exchange.connections) == 2:
            exchange.clock.advance(MINUTE)
            closed, opened = await quick.frames(2)
            assert [closed["data"][0][0], opened["data"][0][0]] == [str(minute), str(minute + MINUTE)]
            minute += MINUTE
        slow.socket.transport.resume_reading()

        assert await slow.closing() == 4005


async def test_too_many_connections_a_second_and_unknown_paths_are_refused():
    async with an_exchange(connections_per_second=3) as exchange:
        for _ in range(3):
            async with connected(exchange):
                pass

        with pytest.raises(InvalidStatus) as too_many:
            await websockets.connect(f"{exchange.ws_url}/ws/v5/public")
        with pytest.raises(InvalidStatus) as unknown:
            await websockets.connect(f"{exchange.ws_url}/ws/v4")
        assert (too_many.value.response.status_code, unknown.value.response.status_code) == (429, 404)


async def test_a_second_run_goes_on_where_the_first_ended():
    async with an_exchange() as exchange, connected(exchange) as client:
        await client.subscribe(ALL)
        before = trade_ids((await client.frames(2))[1])

    async with an_exchange(NOON + 5_000) as exchange, rest(exchange) as api:
        rows = await data(api, "market/history-trades", instId=BTC, before=before[-1])

        assert [int(row["tradeId"]) for row in reversed(rows)] == ids(exchange, NOON + 1, NOON + 5_001)


async def test_it_runs_on_the_walls_clock_and_ends_quickly():
    before = asyncio.all_tasks()
    async with Simulator(rate=500) as exchange, connected(exchange, "public") as client:
        await client.subscribe(TRADES)
        frames = await client.frames(30)

        now = exchange.clock()
        covered = [i for frame in frames[1:] for i in trade_ids(frame)]
        assert set(covered) <= set(ids(exchange, now - MINUTE, now + 1))

    assert asyncio.all_tasks() == before


async def test_a_taken_port_is_an_error_of_the_system():
    async with an_exchange() as exchange:
        taken = int(exchange.ws_url.rpartition(":")[2])

        with pytest.raises(OSError, match="in use"):
            await an_exchange(ws_port=taken).__aenter__()


def test_a_clock_before_the_markets_is_refused():
    with pytest.raises(ValueError, match="before 2018-01-08"):
        an_exchange(0)


def test_no_clock_goes_back():
    wall, manual = WallClock(), ManualClock(NOON)

    assert wall() <= wall()
    with pytest.raises(ValueError, match="would turn the clock back"):
        manual.advance(-1)


async def test_a_jump_of_hours_is_pushed_without_a_gap():
    async with an_exchange(rate=0.1) as exchange, connected(exchange) as client:
        await client.subscribe(ALL, ("candle1H", BTC))
        await client.frames(4)
        exchange.clock.advance(6 * HOUR)

        happened = ids(exchange, NOON + 1, NOON + 6 * HOUR + 1)
        frames = await client.until(happened[-1])
        assert [i for frame in frames for i in trade_ids(frame)] == happened
        confirmed = [f["data"][0] for f in frames if f["arg"]["channel"] == "candle1H" and f["data"][0][8] == "1"]
        assert [int(row[0]) for row in confirmed][:5] == [NOON + hour * HOUR for hour in range(5)]
