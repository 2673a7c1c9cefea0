from dataclasses import replace
from decimal import Decimal

import pytest

from repos.domain import Instrument, InvalidValue
from repos.operations import DatabaseOperations

pytestmark = pytest.mark.anyio

SPOT = Instrument("okx", "BTC-USDT", Decimal("0.1"), Decimal("0.00000001"), None, "live")
SWAP = Instrument("okx", "BTC-USDT-SWAP", Decimal("0.1"), Decimal("0.01"), Decimal("0.01"), "live")
ETH = replace(SPOT, symbol="ETH-USDT")
SOL = replace(SPOT, symbol="SOL-USDT")
ELSEWHERE = replace(SPOT, exchange="okx-eu")


async def test_an_instrument_is_found_as_it_was_stored(db: DatabaseOperations) -> None:
    assert await db.instruments.upsert([SPOT, SWAP]) == 2

    found = await db.instruments.get_many([("okx", "BTC-USDT"), ("okx", "BTC-USDT-SWAP"), ("okx", "NONE")])

    assert found == {("okx", "BTC-USDT"): SPOT, ("okx", "BTC-USDT-SWAP"): SWAP}


async def test_only_what_differs_is_written(db: DatabaseOperations) -> None:
    await db.instruments.upsert([SPOT, SWAP])
    suspended = replace(SWAP, state="suspend")

    assert await db.instruments.upsert([SPOT, SWAP]) == 0
    assert await db.instruments.upsert([SPOT, suspended]) == 1

    assert await db.instruments.get_many([("okx", "BTC-USDT-SWAP")]) == {("okx", "BTC-USDT-SWAP"): suspended}


async def test_of_an_instrument_given_twice_the_last_wins(db: DatabaseOperations) -> None:
    assert await db.instruments.upsert([SPOT, replace(SPOT, state="suspend")]) == 1

    [stored] = (await db.instruments.get_many([("okx", "BTC-USDT")])).values()

    assert stored.state == "suspend"


async def test_nothing_is_a_batch_too(db: DatabaseOperations) -> None:
    assert await db.instruments.upsert([]) == 0
    assert await db.instruments.get_many([]) == {}


async def test_pages_hold_an_exchange_s_instruments_by_symbol(db: DatabaseOperations) -> None:
    await db.instruments.upsert([SOL, SWAP, ELSEWHERE, ETH, SPOT])

    first = await db.instruments.page("okx", first=3)
    second = await db.instruments.page("okx", first=3, after=first.rows[-1].symbol)

    assert first.rows == [SPOT, SWAP, ETH]
    assert (first.has_previous, first.has_next) == (False, True)
    assert second.rows == [SOL]
    assert (second.has_previous, second.has_next) == (True, False)
    assert (await db.instruments.page("okx")).rows == [SPOT, SWAP, ETH, SOL]


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        pytest.param("btc", [SPOT, SWAP], id="any case"),
        pytest.param("SWAP", [SWAP], id="any part"),
        pytest.param("btcusdt", [SPOT, SWAP], id="without dashes"),
        pytest.param("BTC/USDT", [SPOT, SWAP], id="with a slash"),
        pytest.param("%", [], id="no pattern"),
        pytest.param("BTC_USDT", [], id="no wildcard"),
    ],
)
async def test_a_search_matches_parts_of_symbols(
    db: DatabaseOperations, search: str, expected: list[Instrument]
) -> None:
    await db.instruments.upsert([SPOT, SWAP, ETH])

    assert (await db.instruments.page("okx", search)).rows == expected


async def test_a_page_has_a_bound(db: DatabaseOperations) -> None:
    with pytest.raises(InvalidValue, match="first: 10001 is not between 0 and 10000"):
        await db.instruments.page("okx", first=10_001)
