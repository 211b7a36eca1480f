"""The venue against an exchange that answers what a test says: submits, reads, doorbells."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve

from btcbot.btcturk.submit import Waits
from btcbot.btcturk.venue import BtcturkVenue
from btcbot.domain.ids import OrderId
from btcbot.domain.messages import Message
from btcbot.domain.venue import (
    AllOrdersRead,
    Cancel,
    CancelAnswered,
    ConnectionsIdle,
    Doorbell,
    FillsRead,
    OpenOrdersRead,
    OrderRead,
    Outcome,
    ReadAllOrders,
    ReadBalances,
    ReadFailed,
    ReadFills,
    ReadOpenOrders,
    ReadOrder,
    ReadTime,
    Submitted,
    TimeRead,
)
from tests.btcturk.servers import RawExchange, Wire, raw_exchange, until
from tests.btcturk.test_private_frames import ORDER, TRADE
from tests.btcturk.venues import (
    CLIENT,
    CLOCK,
    INTENT,
    PAIR,
    Answers,
    Asked,
    SteppedClock,
    Venue,
    accepted,
    always,
    good,
    rest_exchange,
    row,
    submit,
)

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]


# --- submits ----------------------------------------------------------------------------------


async def test_a_submit_is_one_signed_post_and_its_answer(tmp_path: Path) -> None:
    async with (
        rest_exchange(always(200, accepted())) as exchange,
        Venue(exchange, tmp_path) as here,
    ):
        asked = submit()
        outcome = await here.asked(asked, Submitted)

        assert outcome == Submitted(
            intent_id=INTENT, outcome=Outcome.ACKED, order_id=OrderId(26_947_521_557)
        )
        [post] = exchange.posts
        assert f"X-Stamp: {asked.stamp_ms}".encode() in post
        assert json.loads(post.partition(b"\r\n\r\n")[2])["newOrderClientId"] == CLIENT
        assert [m.count for m in here.of(ConnectionsIdle)] == [1, 2, 3, 4, 3, 4]


@pytest.mark.parametrize(
    ("age_ms", "words"), [(1_600, "ms old"), (3_600_000, "ms old"), (-1_600, "ms ahead")]
)
async def test_a_stamp_from_another_time_is_not_sent(
    tmp_path: Path, age_ms: int, words: str
) -> None:
    async with (
        rest_exchange(always(200, accepted())) as exchange,
        Venue(exchange, tmp_path) as here,
    ):
        outcome = await here.asked(submit(CLOCK.now_ns() // 10**6 - age_ms), Submitted)

        assert outcome.outcome is Outcome.NOT_SENT
        assert words in outcome.detail
        assert exchange.requests == []


async def test_the_kill_file_is_looked_for_at_the_last_moment(tmp_path: Path) -> None:
    async with (
        rest_exchange(always(200, accepted())) as exchange,
        Venue(exchange, tmp_path) as here,
    ):
        here.kill_file.touch()
        outcome = await here.asked(submit(), Submitted)

        assert (outcome.outcome, outcome.detail) == (Outcome.NOT_SENT, "run/KILL exists")
        assert exchange.requests == []


async def test_an_outcome_is_there_when_start_returns_if_nothing_was_sent(tmp_path: Path) -> None:
    async with (
        rest_exchange(always(200, accepted())) as exchange,
        Venue(exchange, tmp_path) as here,
    ):
        here.btcturk.start(submit(0))

        assert here.of(Submitted)[0].outcome is Outcome.NOT_SENT


async def test_a_late_reply_follows_the_doubt(tmp_path: Path) -> None:
    async def late(wire: Wire) -> None:
        await wire.request()
        await until(lambda: bool(here.of(Submitted)))
        await wire.answer(200, json.dumps(accepted()))

    async with (
        raw_exchange(late) as exchange,
        Venue(exchange, tmp_path, waits=Waits(doubt_s=0.1, late_s=20)) as here,
    ):
        here.btcturk.start(submit())
        await until(lambda: len(here.of(Submitted)) == 2)

        assert [m.outcome for m in here.of(Submitted)] == [Outcome.UNKNOWN, Outcome.ACKED]
        assert here.of(Submitted)[0].detail == "no answer in 0.1 s"
        assert len(exchange.posts) == 1


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, accepted("b1-abcde-another"), Outcome.UNKNOWN),
        (200, b"", Outcome.UNKNOWN),
        (504, b"<html>", Outcome.UNKNOWN),
        (307, b"", Outcome.UNKNOWN),
        (400, {"success": False, "message": "BALANCE_NOT_ENOUGH", "code": 1055}, Outcome.REJECTED),
        (401, {"success": True, "message": "Unauthorized - X", "code": 1037}, Outcome.REJECTED),
    ],
)
async def test_answers_are_judged_by_the_outcome_table(
    tmp_path: Path, status: int, body: Any, outcome: Outcome
) -> None:
    async with rest_exchange(always(status, body)) as exchange, Venue(exchange, tmp_path) as here:
        judged = await here.asked(submit(), Submitted)

        assert judged.outcome is outcome
        assert judged.is_unauthorised == (status == 401)
        assert len(exchange.posts) == 1


async def test_more_than_our_half_of_the_rate_is_not_sent(tmp_path: Path) -> None:
    async with (
        rest_exchange(always(200, accepted())) as exchange,
        Venue(exchange, tmp_path) as here,
    ):
        outcomes = [(await here.asked(submit(), Submitted)).outcome for _ in range(6)]

        assert outcomes == [Outcome.ACKED] * 5 + [Outcome.NOT_SENT]
        assert len(exchange.posts) == 5


async def test_a_429_closes_submits_and_leaves_cancels_open(tmp_path: Path) -> None:
    def answers(asked: Asked) -> tuple[int, Any]:
        if asked.method == "POST":
            return 429, {"success": False, "message": "TOO_MANY_REQUESTS", "code": 429}
        return 200, good(None)

    async with rest_exchange(answers) as exchange, Venue(exchange, tmp_path) as here:
        first = await here.asked(submit(), Submitted)
        second = await here.asked(submit(), Submitted)
        answered = await here.asked(Cancel(OrderId(7)), CancelAnswered)

        assert (first.outcome, first.code) == (Outcome.REJECTED, "429")
        assert second.outcome is Outcome.NOT_SENT
        assert "60.0 s" in second.detail
        assert answered.is_accepted
        assert len(exchange.posts) == 1


async def test_without_a_connection_the_reason_is_told(tmp_path: Path) -> None:
    here = Venue(RawExchange(lambda _: until(lambda: True), url="http://127.0.0.1:1"), tmp_path)
    try:
        await until(lambda: "127.0.0.1:1" in here.btcturk._pool.trouble)
        here.measure()
        outcome = await here.asked(submit(), Submitted)

        assert outcome.outcome is Outcome.NOT_SENT
        assert "no usable connection: nothing listens at 127.0.0.1:1" in outcome.detail
    finally:
        await here.btcturk.close()


@pytest.mark.parametrize("credentials", [("", "AAEC"), ("key", "not base64!"), ("key", "")])
async def test_a_key_that_cannot_be_one_is_refused_at_the_start(
    tmp_path: Path, credentials: tuple[str, str]
) -> None:
    with pytest.raises(ValueError, match="the API"):
        BtcturkVenue(
            addresses=("http://127.0.0.1:1", "ws://127.0.0.1:1"),
            credentials=credentials,
            deliver=lambda _: None,
            kill_file=tmp_path / "KILL",
            clock=CLOCK,
        )


# --- reads ------------------------------------------------------------------------------------


async def test_reads_ask_what_the_exchange_documents(tmp_path: Path) -> None:
    seen: list[tuple[str, dict[str, str]]] = []

    def answers(asked: Asked) -> tuple[int, Any]:
        seen.append((f"{asked.method} {asked.path}", asked.query))
        if asked.path.endswith("openOrders"):
            return 200, good({"asks": [], "bids": [row(7)]})
        return 200, good([])

    async with rest_exchange(answers) as exchange, Venue(exchange, tmp_path) as here:
        before_ns = CLOCK.now_ns()
        listed = await here.asked(ReadOpenOrders(PAIR), OpenOrdersRead)
        await here.asked(ReadFills(1_700_000_000_000), FillsRead)
        alone = await here.asked(ReadFills(1_700_000_000_000, OrderId(7)), FillsRead)

        assert [one.order_id for one in listed.orders] == [7]
        assert before_ns <= listed.asked_ns <= CLOCK.now_ns()
        assert alone.order_id == 7
        trades = "GET /api/v1/users/transactions/trade"
        assert seen == [
            ("GET /api/v1/openOrders", {"pairSymbol": "BTCTRY"}),
            (trades, {"startDate": "1700000000000"}),
            (trades, {"orderId": "7"}),
        ]


@pytest.mark.parametrize(
    ("status", "body", "is_absent"),
    [
        (400, {"success": False, "message": "Order not found", "code": 1152}, True),
        (400, {"success": False, "message": "Order not found", "code": 9_999}, True),
        (400, {"success": False, "message": None, "code": 1152}, True),
        (400, {"success": False, "message": "Something else", "code": 1152}, False),
        (400, {"success": True, "message": "Order not found", "code": 1152}, False),
        (404, b"", False),
        (200, good(row(8)), False),
        (200, good(None), False),
    ],
)
async def test_only_the_exchange_itself_can_say_that_it_knows_no_order(
    tmp_path: Path, status: int, body: Any, is_absent: bool
) -> None:
    async with rest_exchange(always(status, body)) as exchange, Venue(exchange, tmp_path) as here:
        kind: type[Message] = OrderRead if is_absent else ReadFailed
        outcome = await here.asked(ReadOrder(OrderId(7)), kind)

        if isinstance(outcome, OrderRead):
            assert outcome == OrderRead(order_id=OrderId(7), order=None)
        else:
            assert isinstance(outcome, ReadFailed)
            assert outcome.what == "order 7"


def pages(*listed: list[int], unnumbered: list[int] | None = None) -> Answers:
    """Return answers that give page 1, 2, …; without a number the first, or `unnumbered`."""

    def answers(asked: Asked) -> tuple[int, Any]:
        number = int(asked.query.get("page", 1))
        found = listed[number - 1] if number <= len(listed) else []
        if "page" not in asked.query and unnumbered is not None:
            found = unnumbered
        return 200, good([row(order_id) for order_id in found])

    return answers


@pytest.mark.parametrize(
    ("answers", "from_id", "is_complete"),
    [
        (pages([9, 8, 7]), 7, True),
        (pages([]), 0, True),
        (pages([9, 8]), 0, True),
        (pages([9, 8], [7, 6], [5]), 5, True),
        (pages([9, 8], [7, 6]), 6, True),
        (pages([9, 8, 7]), 6, False),  # The history is capped above what we know of.
        (pages([]), 5, False),
        (pages([9, 8], [7], [6, 5]), 5, False),  # A short page amid full ones.
        (pages([9], [8, 7]), 7, False),
        (pages([9, 8], [8, 7]), 7, False),  # Something moved from one page to the next.
        (pages([10, 9, 8], unnumbered=[9, 8, 7]), 7, False),  # The first page moved.
        (pages([6, 5], unnumbered=[9, 8]), 8, False),  # Pages are counted from 0.
        (pages([9, 8, 7], [6, 5], [4]), 4, False),
        (pages(*[[100 - n] for n in range(60)]), 51, False),  # More pages than we read.
    ],
)
async def test_a_history_is_complete_only_if_nothing_speaks_against_it(
    tmp_path: Path, answers: Answers, from_id: int, is_complete: bool
) -> None:
    async with rest_exchange(answers) as exchange, Venue(exchange, tmp_path) as here:
        history = await here.asked(ReadAllOrders(PAIR, OrderId(from_id)), AllOrdersRead)

        assert history.is_complete == is_complete
        found = [one.order_id for one in history.orders]
        assert found == sorted(set(found))


async def test_the_measured_offset_moves_the_stamps_that_follow(tmp_path: Path) -> None:
    stamps: list[int] = []

    def answers(asked: Asked) -> tuple[int, Any]:
        if asked.path.endswith("time"):
            return 200, {"serverTime": CLOCK.now_ns() // 10**6}
        return 200, good([])

    async with (
        rest_exchange(answers) as exchange,
        Venue(exchange, tmp_path, clock=SteppedClock(wrong_s=40)) as here,
    ):
        measured = await here.asked(ReadTime(), TimeRead)
        for _ in range(3):
            await here.asked(ReadFills(0), FillsRead)

        assert abs(measured.offset_ns + 40 * 10**9) <= measured.error_ns + 1_000_000
        for request in exchange.requests[1:]:
            [line] = [one for one in request.split(b"\r\n") if one.lower().startswith(b"x-stamp")]
            stamps.append(int(line.split()[1]))
        assert stamps == sorted(set(stamps))
        assert abs(stamps[-1] - CLOCK.now_ns() // 10**6) < 1_000
        sent = await here.asked(submit(), Submitted)
        assert sent.outcome is Outcome.UNKNOWN  # It went: the reply holds no order.


async def test_a_read_that_fails_says_what_and_whether_the_key_is_at_fault(tmp_path: Path) -> None:
    body = {"success": True, "message": "Unauthorized - Invalid Signature", "code": 1037}
    async with rest_exchange(always(401, body)) as exchange, Venue(exchange, tmp_path) as here:
        failed = await here.asked(ReadBalances(), ReadFailed)

        assert failed.what == "balances"
        assert failed.is_unauthorised
        assert failed.detail == (
            "HTTP 401, code 1037: Unauthorized - Invalid Signature; "
            "the secret is not this key's: check exchange.api_secret_file"
        )
        assert len(exchange.requests) == 1


async def test_new_words_of_the_exchange_are_counted_and_change_nothing(tmp_path: Path) -> None:
    body = good({"asks": [], "bids": [row(7, status="Suspended", novelty=1)]})
    async with rest_exchange(always(200, body)) as exchange, Venue(exchange, tmp_path) as here:
        listed = await here.asked(ReadOpenOrders(PAIR), OpenOrdersRead)

        assert listed.orders[0].status == "Suspended"
        assert set(here.btcturk.drift) == {
            "order status 'Suspended'",
            "open_orders: field 'novelty'",
        }


# --- the private socket -----------------------------------------------------------------------


async def test_the_private_socket_logs_in_and_rings(tmp_path: Path) -> None:
    heard: list[Any] = []

    async def session(connection: ServerConnection) -> None:
        await connection.send('[991,{"type":991,"current":"6.0.0","min":"2.3.0"}]')
        heard.append(json.loads(await connection.recv()))
        await connection.send('[114,{"type":114,"ok":true,"message":""}]')
        await connection.send(json.dumps([451, {"type": 451, **ORDER}]))
        await connection.send('[441,{"type":441,"id":"bad"}]')
        await connection.send("garbage")
        await connection.send(json.dumps([423, TRADE]))
        await connection.wait_closed()

    async with serve(session, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with (
            rest_exchange(always(200, good([]))) as exchange,
            Venue(exchange, tmp_path, f"ws://127.0.0.1:{port}/") as here,
        ):
            await until(lambda: len(here.of(Doorbell)) == 2)

            assert [one.order_id for one in here.of(Doorbell)] == [26947521557, 25327923517]
            [[kind, login]] = heard
            assert kind == 114
            assert (login["publicKey"], login["nonce"]) == ("test-public-key", 3000)
            assert login["signature"] == "uLpuzhycwQqE+aC+WnmBoPSIyBrCPo4I0pyJyq6uF98="
            assert abs(login["timestamp"] - CLOCK.now_ns() // 10**6) < 5_000


async def test_every_outcome_can_be_journaled(tmp_path: Path) -> None:
    """Ids and texts of the exchange fit the codec, whatever it sends."""

    def answers(_: Asked) -> tuple[int, Any]:
        return 400, {"success": False, "message": "\u0000ğ\U0001f600" * 500, "code": 10**18}

    async with rest_exchange(answers) as exchange, Venue(exchange, tmp_path) as here:
        await here.asked(submit(), Submitted)
        await here.asked(ReadBalances(), ReadFailed)
        await here.asked(Cancel(OrderId(7)), CancelAnswered)

        for message in here.said:
            encoded = msgspec.msgpack.encode(message)
            assert len(encoded) < 2_000
            assert msgspec.msgpack.decode(encoded, type=type(message)) == message
