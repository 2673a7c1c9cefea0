"""What goes wrong with the exchange when it is told to."""

import asyncio

import pytest
from httpx2 import AsyncClient, TimeoutException, TransportError
from websockets.exceptions import InvalidStatus

from collector.okx.simulator.faults import Answer, Faults, Mangler, RestFault
from collector.okx.simulator.market import MINUTE
from collector.okx.simulator.server import Simulator
from tests.simulated import NOON, Client, an_exchange, connected, data, rest, trade_ids

pytestmark = pytest.mark.anyio

BTC = "BTC-USDT"
ALL = ("trades-all", BTC)
ETHER = ("trades-all", "ETH-USDT")


def happened(exchange: Simulator, inst_id: str = BTC) -> list[int]:
    """The ids since NOON."""
    return [match.id for match in exchange.ledger(inst_id, NOON + 1, exchange.clock() + 1)]


async def subscribed(client: Client) -> None:
    await client.subscribe(ALL)
    await client.frames(2)


async def test_a_connection_can_be_cut_without_a_close_frame():
    async with an_exchange() as exchange, connected(exchange) as client:
        await subscribed(client)
        exchange.drop()

        assert await client.closing() is None
        assert exchange.connections == {}


async def test_a_connection_can_be_closed_with_a_code():
    async with an_exchange() as exchange, connected(exchange) as client:
        await subscribed(client)
        exchange.drop(code=4006)

        assert await client.closing() == 4006


async def test_a_stalled_connection_answers_but_pushes_nothing_and_what_it_missed_is_lost():
    async with an_exchange() as exchange, connected(exchange) as client:
        await subscribed(client)
        (connection,) = exchange.connections.values()
        connection.faults.stalled = True
        exchange.clock.advance(MINUTE)
        quiet = await client.is_quiet()
        await pushed(exchange)
        connection.faults.stalled = False
        missed = happened(exchange)
        exchange.clock.advance(MINUTE)

        assert quiet
        frames = await client.until(happened(exchange)[-1])
        assert trade_ids(frames[0])[0] == missed[-1] + 1


async def pushed(exchange: Simulator) -> None:
    """Wait until a second connection was told of everything until now."""
    async with connected(exchange) as witness:
        await subscribed(witness)


async def test_a_forgotten_subscription_is_silent_until_it_is_made_again():
    async with an_exchange() as exchange, connected(exchange) as client:
        await client.subscribe(ALL, ETHER)
        await client.frames(4)
        exchange.forget(*ALL)
        exchange.clock.advance(MINUTE)
        others = await client.until(happened(exchange, "ETH-USDT")[-1])
        await client.request("unsubscribe", ALL)
        await client.subscribe(ALL)

        ended, begun, latest = await client.frames(3)
        assert {frame["arg"]["instId"] for frame in others} == {"ETH-USDT"}
        assert (ended["event"], begun["event"]) == ("unsubscribe", "subscribe")
        assert trade_ids(latest)[-1] == happened(exchange)[-1]


async def test_a_silent_topic_stays_silent_when_it_is_subscribed_to_again():
    async with an_exchange() as exchange, connected(exchange) as client:
        (connection,) = exchange.connections.values()
        connection.faults.silent.add(ALL)
        for _ in range(2):
            await client.subscribe(ALL)
        await client.subscribe(ETHER)
        await client.frames(4)
        exchange.clock.advance(MINUTE)

        others = await client.until(happened(exchange, "ETH-USDT")[-1])
        assert {frame["arg"]["instId"] for frame in others} == {"ETH-USDT"}


async def test_a_half_open_connection_does_not_even_answer():
    async with an_exchange() as exchange, connected(exchange, close_timeout=0.1) as client:
        await subscribed(client)
        (connection,) = exchange.connections.values()
        connection.faults.half_open = True
        exchange.clock.advance(MINUTE)
        await client.socket.send("ping")

        with pytest.raises(TimeoutError):
            await client.text(patience=0.2)


async def test_frames_can_be_doubled():
    async with an_exchange() as exchange, connected(exchange) as client:
        await subscribed(client)
        exchange.faults.duplicate_every = 3
        exchange.clock.advance(MINUTE)

        ids = [i for frame in await client.until(happened(exchange)[-1]) for i in trade_ids(frame)]
        assert sorted(set(ids)) == happened(exchange)
        assert len(ids) > len(set(ids)) * 1.2


async def test_frames_can_change_their_order_within_a_window():
    async with an_exchange() as exchange, connected(exchange) as client:
        await subscribed(client)
        exchange.faults.reorder_window = 5
        exchange.clock.advance(MINUTE)
        count = len(happened(exchange)) // 2

        ids = [i for frame in await client.frames(count // 5 * 5) for i in trade_ids(frame)]
        assert ids != sorted(ids)
        assert sorted(ids) == happened(exchange)[: len(ids)]


async def test_frames_held_back_leave_when_the_window_is_lifted():
    faults = Faults(reorder_window=3)
    mangler = Mangler(1, faults)

    held = [mangler.pushes(b"a", 1), mangler.pushes(b"b", 2)]
    faults.reorder_window = 0

    assert held == [[], []]
    assert sorted(mangler.pushes(b"c", 3)) == [b"a", b"b", b"c"]
    assert mangler.pushes(b"d", 4) == [b"d"]


def test_a_window_always_changes_the_order():
    orders = set()
    for seed in range(50):
        mangler = Mangler(seed, Faults(reorder_window=2))
        mangler.pushes(b"a", 1)
        orders.add(tuple(mangler.pushes(b"b", 2)))

    assert orders == {(b"b", b"a")}


async def test_skipped_trades_are_never_pushed_but_are_in_the_history():
    async with an_exchange() as exchange, connected(exchange) as client, rest(exchange) as api:
        await subscribed(client)
        (connection,) = exchange.connections.values()
        connection.faults.skip_every = 5
        exchange.clock.advance(MINUTE)
        await pushed(exchange)
        connection.faults.skip_every = 0
        exchange.clock.advance(10_000)

        ids = [i for frame in await client.until(happened(exchange)[-1]) for i in trade_ids(frame)]
        missing = set(happened(exchange)) - set(ids)
        history = await data(api, "market/history-trades", instId=BTC)
        assert 0.1 < len(missing) / len(ids) < 0.4
        assert missing & {int(row["tradeId"]) for row in history}


async def test_frames_can_be_malformed():
    async with an_exchange() as exchange, connected(exchange) as client:
        await subscribed(client)
        exchange.faults.malformed = 1
        exchange.clock.advance(MINUTE)

        broken, whole = await client.text(), await client.text()
        assert not broken.endswith("}")
        assert whole.endswith("}]}")


async def test_an_upgrade_is_announced_and_then_happens():
    async with an_exchange() as exchange, connected(exchange) as client:
        await subscribed(client)
        exchange.announce_upgrade(delay=30_000)
        notice = await client.frame()
        exchange.clock.advance(29_000)
        await client.until(happened(exchange)[-1])
        exchange.clock.advance(1_000)

        assert (notice["event"], notice["code"]) == ("notice", "64008")
        assert await client.closing() == 1001


async def test_a_channel_can_be_answered_with_any_code():
    async with an_exchange() as exchange, connected(exchange) as client:
        exchange.faults.answers.append(Answer("trades-all", "60014", "Requests too frequent", times=2))
        for _ in range(3):
            await client.subscribe(ALL)

        refused, again, accepted, _ = await client.frames(4)
        assert (refused["code"], again["code"], accepted["event"]) == ("60014", "60014", "subscribe")


async def test_connections_can_be_refused():
    async with an_exchange() as exchange:
        exchange.faults.refused = 1

        with pytest.raises(InvalidStatus) as refused:
            async with connected(exchange):
                pass
        async with connected(exchange):
            pass
        assert refused.value.response.status_code == 503


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (RestFault("market/trades", 429, "50011", "Too Many Requests"), 429, "50011"),
        (RestFault("market/trades", 500, "50026", "System error"), 500, "50026"),
        (RestFault("market/trades", 200, "50001", "Service temporarily unavailable"), 200, "50001"),
    ],
)
async def test_rest_can_fail_for_a_path(fault, status, code):
    async with an_exchange() as exchange, rest(exchange) as api:
        exchange.faults.rest.append(fault)
        other = await data(api, "public/time")
        failed = await api.get("market/trades", params={"instId": BTC})

        assert other
        assert (failed.status_code, failed.json()["code"]) == (status, code)
        assert await data(api, "market/trades", instId=BTC)


async def test_rest_can_be_slow():
    async with an_exchange() as exchange, rest(exchange) as api:
        exchange.faults.rest.append(RestFault("market/trades", delay=0.2))

        with pytest.raises(TimeoutException):
            await api.get("market/trades", params={"instId": BTC}, timeout=0.1)
        assert await data(api, "market/trades", instId=BTC)


async def test_rest_can_answer_half_a_document():
    async with an_exchange() as exchange, rest(exchange) as api:
        exchange.faults.rest.append(RestFault("market/trades", truncated=True))

        half = await api.get("market/trades", params={"instId": BTC})
        whole = await api.get("market/trades", params={"instId": BTC})
        assert whole.content.startswith(half.content)
        assert len(half.content) == len(whole.content) // 2


async def test_a_request_under_way_does_not_outlive_the_exchange_and_is_no_failure_of_it(caplog):
    async with AsyncClient() as client:
        async with an_exchange() as exchange:
            fault = RestFault("public/time", delay=60)
            exchange.faults.rest.append(fault)
            request = asyncio.create_task(client.get(f"{exchange.rest_url}/api/v5/public/time"))
            while fault.times:
                await asyncio.sleep(0.001)

        with pytest.raises(TransportError):
            await request
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_the_same_seed_errs_the_same_way():
    runs = []
    for _ in range(2):
        async with an_exchange() as exchange, connected(exchange) as client:
            await subscribed(client)
            exchange.faults.skip_every = exchange.faults.reorder_window = exchange.faults.duplicate_every = 4
            exchange.clock.advance(MINUTE)
            runs.append([trade_ids(frame) for frame in await client.frames(40)])

    assert runs[0] == runs[1]


async def test_an_exception_of_the_callers_is_not_wrapped():
    with pytest.raises(KeyError):
        async with an_exchange() as exchange:
            exchange.ledger("NONE", NOON, NOON)
