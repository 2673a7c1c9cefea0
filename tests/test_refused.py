"""Rows that the database never takes: each is left out alone, and told."""

import pytest
import structlog

from repos.domain import DataType, TradeRecord
from repos.errors import DataRefused
from repos.operations import DatabaseOperations
from tests.builders import NOON
from tests.market import Market
from tests.trades import SECOND, a_trade, records

pytestmark = pytest.mark.anyio

TOO_SMALL = '"extra":-1e-16384'


def poisoned(record: TradeRecord) -> TradeRecord:
    """`record` with a field that jsonb's numeric can't hold."""
    return record._replace(raw="{" + TOO_SMALL + "," + record.raw.removeprefix("{"))


async def test_a_value_that_the_database_refuses_is_no_outage(db: DatabaseOperations) -> None:
    (record,) = records(a_trade(10, 1))

    with pytest.raises(DataRefused) as caught:
        await db.tape.insert([poisoned(record)])

    assert caught.value.code == "INTERNAL_SERVER_ERROR"
    assert "storing 1 trades" in str(caught.value)


@pytest.mark.parametrize("places", [{0}, {6}, {2, 3}, {0, 3, 6}, set(range(7))])
async def test_rows_that_the_database_refuses_are_left_out_alone_and_told(
    db: DatabaseOperations, places: set[int]
) -> None:
    market = Market(db)
    given = records(*(a_trade(10 + i, i) for i in range(7)))
    batch = [poisoned(record) if i in places else record for i, record in enumerate(given)]

    with structlog.testing.capture_logs() as logs:
        new = await market.pipeline.add(batch)

    good = [record.trade for i, record in enumerate(given) if i not in places]
    assert new == good
    stored = await db.raw_trades.get_raw_trades("BTC-USDT", DataType.TRADE.value, NOON, NOON + 60 * SECOND)
    assert [row.trade for row in stored] == good
    assert market.pipeline.malformed == len(places)
    told = [entry["text"] for entry in logs if entry["event"].startswith("Malformed trade")]
    assert told == [batch[i].raw for i in sorted(places)]


async def test_a_refused_row_of_one_symbol_does_not_keep_another_from_being_stored(db: DatabaseOperations) -> None:
    market = Market(db)
    (bad,) = records(a_trade(10, 1))
    good = records(a_trade(7, 1, symbol="ETH-USDT"))

    assert await market.pipeline.add([poisoned(bad), *good]) == [good[0].trade]
    await market.add(a_trade(11, 2))

    assert market.pipeline.malformed == 1
