import json
from math import inf
from typing import Any

import pytest

from collector.okx.protocol import ARGS_PER_REQUEST, PING, Arg, Points, Refused, Subscribed, Trades
from collector.okx.session import ASK_AGAIN_AFTER, ASK_UNKNOWN_AFTER, PING_EVERY, PONG_WITHIN, Session

BITCOIN, ETHER, SOL = (Arg("trades-all", f"{coin}-USDT") for coin in ("BTC", "ETH", "SOL"))


def an_ack(arg: Arg, event: str = "subscribe") -> str:
    return json.dumps({"event": event, "arg": {"channel": arg.channel, "instId": arg.symbol}, "connId": "a1"})


def an_error(code: str, message: str = "Simulated", request_id: str | None = None) -> str:
    return json.dumps({"event": "error", "code": code, "msg": message} | ({"id": request_id} if request_id else {}))


def asked(frames: list[str]) -> list[tuple[str, list[Arg]]]:
    """What requests ask for: (op, args) each."""
    requests: list[dict[str, Any]] = [json.loads(frame) for frame in frames if frame != PING]
    return [(each["op"], [Arg(arg["channel"], arg["instId"]) for arg in each["args"]]) for each in requests]


def id_of(frame: str) -> str:
    request_id = json.loads(frame)["id"]
    assert isinstance(request_id, str)
    return request_id


def test_an_opened_connection_asks_for_everything_at_once():
    session = Session([BITCOIN, ETHER], 0.0)

    frames = session.frames(0.0)

    assert asked(frames) == [("subscribe", [BITCOIN, ETHER])]
    assert session.pending == {BITCOIN, ETHER}
    assert session.frames(0.0) == []


def test_many_args_are_split_over_requests_with_ids_of_their_own():
    args = [Arg("trades-all", f"COIN{number}-USDT") for number in range(ARGS_PER_REQUEST + 1)]

    frames = Session(args, 0.0).frames(0.0)

    assert asked(frames) == [("subscribe", args[:-1]), ("subscribe", args[-1:])]
    assert len({id_of(frame) for frame in frames}) == 2
    assert all(id_of(frame).isalnum() and len(id_of(frame)) <= 32 for frame in frames)


def test_an_acknowledged_arg_is_active():
    session = Session([BITCOIN, ETHER], 0.0)
    session.frames(0.0)

    events = session.received(an_ack(BITCOIN), 1.0)

    assert events == [Subscribed(BITCOIN, "a1")]
    assert (session.active, session.pending) == ({BITCOIN}, {ETHER})


def test_an_acknowledgement_of_something_unwanted_changes_nothing():
    session = Session([BITCOIN], 0.0)

    session.received(an_ack(ETHER), 1.0)

    assert (session.active, session.pending) == (set(), {BITCOIN})


def test_an_arg_without_answer_is_asked_for_again_after_a_minute():
    session = Session([BITCOIN, ETHER], 0.0)
    session.frames(0.0)
    session.received(an_ack(BITCOIN), 1.0)

    before = asked(session.frames(ASK_AGAIN_AFTER - 1))
    then = asked(session.frames(ASK_AGAIN_AFTER))

    assert (before, then) == ([], [("subscribe", [ETHER])])


def test_an_error_that_names_its_arg_refuses_it_alone():
    session = Session([BITCOIN, ETHER], 0.0)
    session.frames(0.0)

    (event,) = session.received(an_error("60018", "channel:trades-all,instId:BTC-USDT doesn't exist"), 1.0)

    assert isinstance(event, Refused)
    assert event.arg == BITCOIN
    assert (session.refused, session.pending) == ({BITCOIN: "60018"}, {ETHER})
    assert asked(session.frames(ASK_AGAIN_AFTER)) == [("subscribe", [ETHER])]


def test_what_the_exchange_does_not_know_is_asked_for_again_every_few_minutes_until_it_does():
    session = Session([BITCOIN, ETHER], 0.0)
    session.frames(0.0)
    session.received(an_ack(ETHER), 0.0)
    unknown = an_error("60018", "channel:trades-all,instId:BTC-USDT doesn't exist")

    session.received(unknown, 1.0)
    early = asked(session.frames(ASK_UNKNOWN_AFTER))
    again = asked(session.frames(1.0 + ASK_UNKNOWN_AFTER))
    session.received(unknown, 400.0)
    between = session.pending
    third = asked(session.frames(400.0 + ASK_UNKNOWN_AFTER))
    session.received(an_ack(BITCOIN), 701.0)

    assert (early, again, between, third) == ([], [("subscribe", [BITCOIN])], set(), [("subscribe", [BITCOIN])])
    assert (session.active, session.refused, asked(session.frames(5_000.0))) == ({BITCOIN, ETHER}, {}, [])


def test_what_the_exchange_does_not_know_can_be_asked_for_at_once_or_wanted_no_more():
    session = Session([BITCOIN], 0.0)
    session.frames(0.0)
    session.received(an_error("60018", "channel:trades-all,instId:BTC-USDT doesn't exist"), 1.0)
    session.ask_again()
    at_once = asked(session.frames(2.0))
    session.received(an_error("60018", "channel:trades-all,instId:BTC-USDT doesn't exist"), 3.0)
    session.unsubscribe([BITCOIN])

    assert at_once == [("subscribe", [BITCOIN])]
    assert asked(session.frames(5_000.0)) == []


@pytest.mark.parametrize("code", ["60018", "64001", "64002", "64003"])
def test_an_error_that_names_nothing_refuses_the_one_arg_of_its_request(code):
    session = Session([BITCOIN], 0.0)
    (first,) = session.frames(0.0)
    session.subscribe([ETHER])
    session.frames(0.0)

    (event,) = session.received(an_error(code, request_id=id_of(first)), 1.0)

    assert isinstance(event, Refused)
    assert (event.arg, session.pending) == (BITCOIN, {ETHER})


def test_an_error_that_names_nothing_makes_its_request_be_asked_again_arg_by_arg():
    session = Session([BITCOIN, ETHER, SOL], 0.0)
    (together,) = session.frames(0.0)
    session.received(an_ack(BITCOIN), 1.0)

    (event,) = session.received(an_error("64001", request_id=id_of(together)), 1.0)
    alone = session.frames(1.0)
    (answer,) = session.received(an_error("64001", request_id=id_of(alone[1])), 1.0)

    assert isinstance(event, Refused)
    assert event.arg is None
    assert asked(alone) == [("subscribe", [ETHER]), ("subscribe", [SOL])]
    assert isinstance(answer, Refused)
    assert answer.arg == SOL
    assert session.pending == {ETHER}


def test_what_was_asked_for_alone_and_in_vain_is_asked_for_together_the_next_time():
    session = Session([ETHER, SOL], 0.0)
    (together,) = session.frames(0.0)
    session.received(an_error("64001", request_id=id_of(together)), 1.0)

    alone = session.frames(1.0)
    later = session.frames(1.0 + ASK_AGAIN_AFTER)

    assert [args for _, args in asked(alone)] == [[ETHER], [SOL]]
    assert [args for _, args in asked(later)] == [[ETHER, SOL]]


def test_an_error_without_id_refuses_the_only_arg_that_it_can_mean():
    session = Session([BITCOIN, ETHER], 0.0)
    session.frames(0.0)

    (unclear,) = session.received(an_error("64001"), 1.0)
    session.received(an_ack(BITCOIN), 1.0)
    (clear,) = session.received(an_error("64001"), 1.0)

    assert isinstance(unclear, Refused)
    assert isinstance(clear, Refused)
    assert (unclear.arg, clear.arg) == (None, ETHER)
    assert session.active == {BITCOIN}


@pytest.mark.parametrize("code", ["60014", "64007"])
def test_a_passing_error_refuses_nothing(code):
    session = Session([BITCOIN], 0.0)
    (frame,) = session.frames(0.0)

    (event,) = session.received(an_error(code, request_id=id_of(frame)), 1.0)

    assert isinstance(event, Refused)
    assert event.arg is None
    assert asked(session.frames(1.0)) == []
    assert asked(session.frames(ASK_AGAIN_AFTER)) == [("subscribe", [BITCOIN])]


def test_a_refused_arg_can_be_wanted_again():
    session = Session([BITCOIN], 0.0)
    (frame,) = session.frames(0.0)
    session.received(an_error("60018", request_id=id_of(frame)), 1.0)

    session.subscribe([BITCOIN])

    assert asked(session.frames(2.0)) == [("subscribe", [BITCOIN])]
    assert session.refused == {}


def test_subscribing_again_asks_only_for_what_is_new():
    session = Session([BITCOIN], 0.0)
    session.frames(0.0)
    session.received(an_ack(BITCOIN), 1.0)

    session.subscribe([BITCOIN, ETHER])

    assert session.wake_at() == -inf
    assert asked(session.frames(2.0)) == [("subscribe", [ETHER])]


def test_unsubscribing_says_so_only_of_what_was_asked_for():
    session = Session([BITCOIN, ETHER], 0.0)
    session.frames(0.0)
    session.received(an_ack(BITCOIN), 1.0)
    session.subscribe([SOL])

    session.unsubscribe([BITCOIN, ETHER, SOL])

    assert asked(session.frames(2.0)) == [("unsubscribe", [BITCOIN, ETHER])]
    assert (session.active, session.pending) == (set(), set())


def test_an_unsubscribe_that_is_taken_back_in_time_is_never_sent():
    session = Session([BITCOIN], 0.0)
    session.frames(0.0)
    session.received(an_ack(BITCOIN), 1.0)

    session.unsubscribe([BITCOIN])
    session.subscribe([BITCOIN])

    assert asked(session.frames(2.0)) == [("subscribe", [BITCOIN])]


def test_an_arg_that_the_exchange_ends_by_itself_is_asked_for_again():
    session = Session([BITCOIN], 0.0)
    session.frames(0.0)
    session.received(an_ack(BITCOIN), 1.0)

    session.received(an_ack(BITCOIN, "unsubscribe"), 2.0)

    assert session.active == set()
    assert asked(session.frames(2.0)) == [("subscribe", [BITCOIN])]


def test_a_subscription_that_is_renewed_is_asked_for_when_its_end_is_acknowledged():
    session = Session([BITCOIN, ETHER], 0.0)
    session.frames(0.0)
    session.received(an_ack(BITCOIN), 1.0)

    session.resubscribe([BITCOIN, ETHER])  # the second is not active yet
    leaving = asked(session.frames(2.0))
    session.received(an_ack(BITCOIN, "unsubscribe"), 3.0)
    again = asked(session.frames(3.0))

    assert leaving == [("unsubscribe", [BITCOIN])]
    assert again == [("subscribe", [BITCOIN])]


def test_an_error_about_the_end_of_a_subscription_does_not_refuse_it():
    session = Session([BITCOIN], 0.0)
    session.frames(0.0)
    session.received(an_ack(BITCOIN), 1.0)
    session.resubscribe([BITCOIN])
    (leaving,) = session.frames(0.5)

    (event,) = session.received(an_error("60018", "channel:trades-all,instId:BTC-USDT", id_of(leaving)), 3.0)

    assert isinstance(event, Refused)
    assert event.arg is None
    assert (session.active, session.refused) == ({BITCOIN}, {})


def test_a_ping_is_due_every_second_whatever_arrives():
    session = Session([], 0.0)
    session.frames(0.0)

    assert session.wake_at() == PING_EVERY
    assert session.frames(PING_EVERY - 0.1) == []
    assert session.frames(PING_EVERY) == [PING]
    assert session.frames(PING_EVERY + 0.1) == []
    session.received("pong", PING_EVERY + 0.2)
    assert session.wake_at() == 2 * PING_EVERY
    assert session.frames(2 * PING_EVERY) == [PING]


def test_a_ping_without_pong_is_overdue_after_ten_seconds():
    session = Session([], 0.0)
    session.frames(PING_EVERY)

    assert session.wake_at() == PING_EVERY + PONG_WITHIN
    assert not session.is_overdue(PING_EVERY + PONG_WITHIN - 0.1)
    assert session.is_overdue(PING_EVERY + PONG_WITHIN)


def test_no_other_ping_is_sent_before_the_pong():
    session = Session([], 0.0)
    session.frames(PING_EVERY)

    assert session.frames(3 * PING_EVERY) == []
    session.received("pong", 3 * PING_EVERY)
    assert session.frames(3 * PING_EVERY) == [PING]


def test_a_connection_is_heard_until_the_last_ping_that_it_answered():
    session = Session([], 0.0)
    heard = [session.heard_until]

    for happening in (
        lambda: session.frames(PING_EVERY),
        lambda: session.received('{"event":"notice","code":"64000","msg":"other"}', PING_EVERY + 0.5),
        lambda: session.received("pong", PING_EVERY + 0.6),
        lambda: session.received("pong", PING_EVERY + 0.7),
    ):
        happening()
        heard.append(session.heard_until)

    assert heard == [0.0, 0.0, 0.0, PING_EVERY, PING_EVERY]


def test_a_pong_in_time_makes_nothing_overdue():
    session = Session([], 0.0)
    session.frames(PING_EVERY)

    session.received("pong", PING_EVERY + PONG_WITHIN - 0.1)

    assert not session.is_overdue(PING_EVERY + PONG_WITHIN)


def test_times_of_messages_and_of_data_are_kept_apart():
    session = Session([BITCOIN], 5.0)
    opened = session.last_message_at
    trade = {"tradeId": "1", "px": "1", "sz": "1", "side": "buy", "ts": "1772366400250"}
    ticker = {"last": "1", "ts": "1772366400250"}
    arg = {"channel": "trades-all", "instId": "BTC-USDT"}

    (trades,) = session.received(json.dumps({"arg": arg, "data": [trade]}), 6.0)
    (points,) = session.received(json.dumps({"arg": arg | {"channel": "tickers"}, "data": [ticker]}), 7.0)
    session.received("pong", 8.0)

    assert isinstance(trades, Trades)
    assert isinstance(points, Points)
    assert opened == 5.0
    assert session.last_message_at == 8.0
    assert session.last_data_at == {BITCOIN: 6.0, Arg("tickers", "BTC-USDT"): 7.0}
    assert [trade.trade_id for trade in session.newest.values()] == [1]


def test_an_announced_upgrade_ends_the_connection():
    session = Session([BITCOIN], 0.0)

    session.received('{"event":"notice","code":"64000","msg":"other"}', 1.0)
    other = session.is_ending
    session.received('{"event":"notice","code":"64008","msg":"upgrade"}', 1.0)

    assert (other, session.is_ending) == (False, True)
