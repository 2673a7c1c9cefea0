"""What goes over the bus as text, and what of it is read."""

from dataclasses import replace

import pytest

from repos.feed.codec import PIECE_BYTES, Decoder, encode
from repos.feed.news import Ask, CandleNews, Tape, TradeNews
from tests.builders import BTC_1M, MINUTE, NOON, a_trade
from tests.test_feed import minute


def test_news_of_any_length_fits_into_payloads_and_back():
    news = CandleNews(BTC_1M, 7, NOON, NOON + 500 * MINUTE, [minute(n) for n in range(501)])

    pieces = encode(news)
    decoder = Decoder(lambda _: True)
    decoded = [decoder.feed(piece) for piece in pieces]

    assert max(len(piece.encode()) for piece in pieces) <= PIECE_BYTES
    assert decoded == [*[None] * (len(pieces) - 1), news]


def test_rows_that_nobody_follows_are_not_read():
    candles = CandleNews(BTC_1M, 7, NOON, NOON + MINUTE, [minute(0), minute(1)])
    trades = TradeNews(Tape("okx", "BTC-USDT"), 4, 6, [a_trade(trade_id=2), a_trade(trade_id=3)])
    followed, ignored = Decoder(lambda _: True), Decoder(lambda _: False)

    for news, without in ((candles, replace(candles, candles=None)), (trades, replace(trades, trades=None))):
        (payload,) = encode(news)
        assert (followed.feed(payload), ignored.feed(payload)) == (news, without)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("2/2 x", id="a piece whose first was lost"),
        pytest.param("hello", id="no piece at all"),
        pytest.param('1/1 ["weather","rain"]', id="an unknown kind"),
        pytest.param("1/1 {", id="no JSON"),
    ],
)
def test_what_is_no_news_is_refused_and_the_next_is_read(payload):
    decoder = Decoder(lambda _: True)

    with pytest.raises(ValueError, match=r"."):
        decoder.feed(payload)

    assert decoder.feed(encode(Ask(BTC_1M))[0]) == Ask(BTC_1M)
