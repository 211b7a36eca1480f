"""May this approved order be sent, now, by us? The second and last check before the one POST.

Independent of the risk gate: it reads only execution's own desk, in the same turn that journals
the order and reserves what it may cost, so limits hold under any interleaving of messages.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal

from msgspec.structs import replace

from btcbot.domain.facts import IntentRefused, OrderSubmitting, PauseChanged
from btcbot.domain.ids import Asset, CommandId, OrderId, Pair, client_order_id
from btcbot.domain.messages import ApprovedOrder, OrderIntent, RefuseIntent, Scope
from btcbot.domain.money import BPS_IN_ONE, Amount, Notional, part_of
from btcbot.domain.tightening import mode_at
from btcbot.domain.venue import OrderTerms, Submit
from btcbot.domain.words import OrderState, RiskMode, Rule, Side, TradingState
from btcbot.orders.state import MINUTE_NS, Desk, Order, Sent
from btcbot.orders.terms import as_sent, is_beyond, terms_of
from btcbot.orders.turn import Turn

ACCEPT_WITHIN_NS = 500_000_000
MARK_AGE_MAX_NS = 2_000_000_000
REPEAT_NS = 5_000_000_000

Refusal = tuple[Rule, str] | None


def take_refusal(turn: Turn, request: RefuseIntent) -> None:
    """Keep risk_gate's refusal and answer it, unless this intent has a verdict already."""
    intent = request.intent
    if intent.intent_id not in turn.desk.verdicts:
        turn.say(
            IntentRefused(
                intent=intent, rule=request.rule, detail=request.detail, at_ns=turn.now_ns
            )
        )
    turn.answer(turn.desk.verdicts[intent.intent_id])


def take_approval(turn: Turn, request: ApprovedOrder) -> None:
    """Journal, then send an approved order; or refuse it. A known intent gets its old verdict."""
    desk, intent = turn.desk, request.intent
    if intent.intent_id not in desk.verdicts:
        refusal = _refusal(desk, request, turn.now_ns)
        if refusal is None:
            _submit(turn, request)
        else:
            rule, detail = refusal
            turn.say(IntentRefused(intent=intent, rule=rule, detail=detail, at_ns=turn.now_ns))
            if rule is Rule.SLOT_RATE:
                _pause(turn, intent, detail)
    turn.answer(desk.verdicts[intent.intent_id])


def take_late(turn: Turn, request: ApprovedOrder) -> None:
    """Refuse an approval whose deadline passed on the way; a known intent gets its old verdict."""
    detail = "the approval came after its deadline"
    refused = RefuseIntent(intent=request.intent, rule=Rule.EXPIRED, detail=detail)
    take_refusal(turn, refused)


def reservation(desk: Desk, intent: OrderIntent) -> Amount:
    """Return the most an order can take: quote with the taker's fee for a buy, base for a sell."""
    if intent.side is Side.SELL:
        return Amount(intent.quantity)
    notional = Notional(intent.quantity * intent.limit_price)
    rate = desk.setup.fees[desk.rules[intent.pair].quote].taker_bps
    return Amount(notional + part_of(notional, rate))


def live_orders(desk: Desk, pair: Pair | None = None) -> Iterator[Order]:
    """Yield the orders that are not terminal, of one pair or of all."""
    for intent_id in desk.live:
        order = desk.orders[intent_id]
        if pair is None or order.intent.pair == pair:
            yield order


def _submit(turn: Turn, request: ApprovedOrder) -> None:
    desk = turn.desk
    intent = as_sent(request.intent, may_market=desk.setup.bounds.market_orders)
    assert desk.clock is not None, "accepted without a clock"
    stamp_ms = (turn.now_ns + desk.clock.offset_ns) // 1_000_000
    label = client_order_id(desk.setup.tag, intent.intent_id)
    turn.say(
        OrderSubmitting(
            intent=intent,
            client_order_id=label,
            approved_ns=request.approved_ns,
            stamp_ms=max(stamp_ms, desk.last_stamp_ms + 1),  # One stamp, one request.
            id_floor=desk.id_floor.get(intent.pair, OrderId(0)),
            reserved=reservation(desk, intent),
            at_ns=turn.now_ns,
        )
    )
    desk.idle_connections -= 1
    turn.ask(
        Submit(
            intent_id=intent.intent_id,
            client_order_id=label,
            pair=intent.pair,
            terms=_terms(desk, intent),
            stamp_ms=desk.last_stamp_ms,
        )
    )


def _pause(turn: Turn, intent: OrderIntent, detail: str) -> None:
    """Stop a strategy that repeats itself, until a person lets it go on."""
    turn.say(
        PauseChanged(
            scope=Scope(strategy=intent.strategy),
            is_paused=True,
            until_ns=None,
            by="execution",
            reason=detail,
            command_id=CommandId(""),
            at_ns=turn.now_ns,
        )
    )


def _terms(desk: Desk, intent: OrderIntent) -> OrderTerms:
    rules = desk.rules[intent.pair]
    taker = desk.setup.fees[rules.quote].taker_bps
    return terms_of(intent, desk.marks[intent.pair], rules.price_scale, taker)


def _refusal(desk: Desk, request: ApprovedOrder, now_ns: int) -> Refusal:
    """Return the first rule that forbids this order, with what was found; None: none does."""
    for rule in _RULES:
        refusal = rule(desk, request, now_ns)
        if refusal is not None:
            return refusal
    return None


def _in_time(_desk: Desk, request: ApprovedOrder, now_ns: int) -> Refusal:
    age_ns = now_ns - request.approved_ns
    # Far ahead of us: the clock was set back, and nobody knows how old the approval is.
    if abs(age_ns) > ACCEPT_WITHIN_NS or now_ns >= request.intent.expires_ns:
        age_ms = age_ns // 1_000_000
        return Rule.EXPIRED, f"approved {age_ms} ms ago; allowed are 500 ms, before it expires"
    return None


def _arming(desk: Desk, _request: ApprovedOrder, _now_ns: int) -> Refusal:
    """Hold each order to the gates as they were seen last; only live trading has any."""
    if desk.setup.mode != "live" or desk.shut_gates == ():
        return None
    if desk.shut_gates is None:
        return Rule.NOT_ARMED, "nobody has looked at the gates yet"
    return Rule.NOT_ARMED, f"shut: {', '.join(desk.shut_gates)}"


def _dry_run(desk: Desk, _request: ApprovedOrder, _now_ns: int) -> Refusal:
    """Let nothing go, last of all: what is refused by this is what would have been sent."""
    return (Rule.DRY_RUN, "it would be sent") if desk.setup.mode == "dry_run" else None


def _trading_state(desk: Desk, request: ApprovedOrder, now_ns: int) -> Refusal:
    if desk.trading not in (TradingState.LIVE, TradingState.REDUCE):
        return Rule.TRADING_STATE, f"{desk.trading}: {desk.trading_reason}"
    if desk.trading is TradingState.REDUCE and request.intent.side is Side.BUY:
        return Rule.TRADING_STATE, f"REDUCE ({desk.trading_reason}): only sells may go"
    mode = mode_at(desk.risk_mode, now_ns)
    if mode is RiskMode.OBSERVE or (mode is RiskMode.REDUCE and request.intent.side is Side.BUY):
        return Rule.OVERRIDE, f"the risk mode is held at {mode}"
    for scope, pause in desk.pauses.items():
        if scope.covers(request.intent) and (pause.until_ns is None or now_ns < pause.until_ns):
            return Rule.PAUSED_SCOPE, f"paused by {pause.by}: {pause.reason}"
    return None


def _readiness(desk: Desk, _request: ApprovedOrder, now_ns: int) -> Refusal:
    bounds = desk.setup.bounds
    if desk.first_reads:
        return Rule.ACCOUNT_UNKNOWN, f"still reading: {', '.join(desk.first_reads)}"
    if desk.setup.needs_risk_gate and not desk.risk_gate_is_heard:
        return Rule.PEER_LOST, "risk_gate is silent"
    if desk.is_blind:
        return Rule.ACCOUNT_UNKNOWN, "the exchange refuses our key"
    if desk.clock is None or now_ns - desk.clock_read_ns > 3 * bounds.clock_interval_s * 10**9:
        return Rule.CLOCK, "the exchange's clock was not read lately"
    if desk.clock.error_ns > bounds.clock_error_max_ms * 10**6:
        error_ms = desk.clock.error_ns // 10**6
        return Rule.CLOCK, f"may be {error_ms} ms wrong; allowed {bounds.clock_error_max_ms} ms"
    if desk.idle_connections <= 0:
        return Rule.NO_CONNECTION, "no idle connection for a POST"
    return None


def _instrument(desk: Desk, request: ApprovedOrder, _now_ns: int) -> Refusal:
    intent = request.intent
    rules = desk.rules.get(intent.pair)
    if rules is None or intent.pair not in desk.setup.pairs:
        return Rule.UNKNOWN_PAIR, f"{intent.pair}: not configured, or its rules are not known yet"
    if not rules.is_trading:
        return Rule.PAIR_NOT_TRADING, intent.pair
    if intent.quantity <= 0 or intent.quantity % rules.step:
        return Rule.NOT_ON_STEP, f"quantity {intent.quantity}; step {rules.step} {rules.base}"
    if intent.limit_price <= 0 or intent.limit_price % rules.tick:
        return Rule.NOT_ON_TICK, f"price {intent.limit_price}; tick {rules.tick} {rules.quote}"
    notional = intent.quantity * intent.limit_price
    if notional < rules.notional_min:
        return Rule.BELOW_MINIMUM, f"{notional} {rules.quote}; at least {rules.notional_min}"
    return None


def _slot_and_pair(desk: Desk, request: ApprovedOrder, _now_ns: int) -> Refusal:
    intent = request.intent
    live = list(live_orders(desk))
    for order in live:
        if order.intent.slot == intent.slot:
            return Rule.DUPLICATE_SLOT, f"{intent.slot}: {order.client_order_id} is {order.state}"
        if _is_frozen_by(order, intent):
            return Rule.PAIR_FROZEN, f"{order.client_order_id} is {order.state}"
        if _crosses(order.intent, intent):
            return Rule.SELF_CROSS, f"our own {order.client_order_id} rests at {_at(order)}"
    if len(live) >= desk.gate.open_orders_max:
        return Rule.OPEN_ORDERS, f"{len(live)} are live; allowed {desk.gate.open_orders_max}"
    return None


def _is_frozen_by(order: Order, intent: OrderIntent) -> bool:
    """Return whether the doubt about `order` forbids `intent`.

    A sale lowers the risk whether the doubtful order lives or not: `_funds` holds both in full,
    and `_crosses` keeps them apart.
    """
    if order.intent.pair != intent.pair:
        return False
    is_doubtful = order.state is OrderState.UNKNOWN and intent.side is Side.BUY
    return is_doubtful or order.state is OrderState.ZOMBIE


def _sweep(desk: Desk, request: ApprovedOrder, _now_ns: int) -> Refusal:
    """Keep money still for the moments in which balances are to witness that an order is absent."""
    rules = desk.rules[request.intent.pair]
    for pair, hunt in desk.hunts.items():
        if rules.base in hunt.holds or rules.quote in hunt.holds:
            return Rule.PAIR_FROZEN, f"a sweep of {pair} is counting {' and '.join(hunt.holds)}"
    return None


def _repeats(desk: Desk, request: ApprovedOrder, now_ns: int) -> Refusal:
    """Stop a slot that sends the same order again, or orders without end."""
    intent = request.intent
    shape = Sent.of(intent, 0)
    of_slot = [s for s in desk.sent if s.slot == intent.slot and now_ns - s.at_ns < MINUTE_NS]
    for sent in of_slot:
        if now_ns - sent.at_ns < REPEAT_NS and replace(sent, at_ns=0) == shape:
            age_ms = (now_ns - sent.at_ns) // 10**6
            return Rule.REPEATED, f"{intent.slot} sent the same order {age_ms} ms ago; wait 5000 ms"
    most = desk.setup.bounds.slot_orders_per_minute_max
    if len(of_slot) >= most:
        return Rule.SLOT_RATE, f"{intent.slot} sent {len(of_slot)} in a minute; allowed {most}"
    return None


def _crosses(resting: OrderIntent, intent: OrderIntent) -> bool:
    if resting.pair != intent.pair or resting.side is intent.side:
        return False
    buy, sell = (resting, intent) if resting.side is Side.BUY else (intent, resting)
    return buy.limit_price >= sell.limit_price


def _at(order: Order) -> str:
    return f"{order.intent.limit_price}"


def _price(desk: Desk, request: ApprovedOrder, now_ns: int) -> Refusal:
    intent, gate = request.intent, desk.gate
    mark = desk.marks.get(intent.pair)
    if mark is None or abs(now_ns - mark.confirmed_ns) > MARK_AGE_MAX_NS:
        age = "never seen" if mark is None else f"{(now_ns - mark.confirmed_ns) // 10**6} ms old"
        return Rule.STALE_BOOK, f"{intent.pair}: price {age}; allowed 2000 ms"
    middle = (mark.bid + mark.ask) / 2
    distance = abs(intent.limit_price - middle) / middle * BPS_IN_ONE
    # A price on the passive side cannot lose by being far, but it may not stay there either.
    worse = intent.limit_price > middle if intent.side is Side.BUY else intent.limit_price < middle
    if worse and distance > gate.price_collar_bps:
        return Rule.PRICE_COLLAR, f"{distance:.1f} bps past mid; allowed {gate.price_collar_bps}"
    if not worse and distance > (most := desk.setup.bounds.drift_max_bps):
        return Rule.TOO_FAR, f"{distance:.1f} bps short of mid; allowed {most}"
    is_market = intent.wants_market and desk.setup.bounds.market_orders
    if is_market and is_beyond(intent, mark):
        best = mark.ask if intent.side is Side.BUY else mark.bid
        return Rule.PRICE_COLLAR, f"the market is at {best}, past the limit {intent.limit_price}"
    return None


def _size(desk: Desk, request: ApprovedOrder, now_ns: int) -> Refusal:
    intent, gate = request.intent, desk.gate
    rate = _in_try(desk, intent.pair)
    if rate is None:
        return Rule.ACCOUNT_UNKNOWN, f"no price of {desk.rules[intent.pair].quote} in TRY"
    notional = intent.quantity * intent.limit_price * rate
    if notional > gate.order_notional_max_try:
        return Rule.ORDER_NOTIONAL, f"{notional:.2f} TRY; allowed {gate.order_notional_max_try}"
    held = _held_at_worst(desk, intent.pair) * desk.marks[intent.pair].ask * rate + notional
    if intent.side is Side.BUY and held > gate.position_notional_max_try:
        most = gate.position_notional_max_try
        return Rule.POSITION_NOTIONAL, f"{held:.2f} TRY of {intent.pair} at worst; allowed {most}"
    gross = _gross_at_worst(desk) if intent.side is Side.BUY else Decimal(0)
    if gross is None:
        return Rule.ACCOUNT_UNKNOWN, "a pair that is held has no price"
    if intent.side is Side.BUY and gross + notional > gate.gross_exposure_max_try:
        most = gate.gross_exposure_max_try
        return Rule.GROSS_EXPOSURE, f"{gross + notional:.2f} TRY at worst; allowed {most}"
    recent = sum(1 for sent in desk.sent if now_ns - sent.at_ns < MINUTE_NS)
    if recent >= gate.orders_per_minute_max:
        return Rule.ORDER_RATE, f"{recent} sent in a minute; allowed {gate.orders_per_minute_max}"
    return None


def _held_at_worst(desk: Desk, pair: Pair) -> Decimal:
    """Return what our fills would hold of `pair` if every live buy of it filled, in base."""
    buys = (o.left for o in live_orders(desk, pair) if o.intent.side is Side.BUY)
    return sum(buys, start=desk.positions.get(pair, Decimal(0)))


def _gross_at_worst(desk: Desk) -> Decimal | None:
    """Return what all pairs could come to hold, in TRY; None if one of them has no price."""
    total = Decimal(0)
    buying = {o.intent.pair: None for o in live_orders(desk) if o.intent.side is Side.BUY}
    for pair in {**desk.positions, **buying}:
        held = _held_at_worst(desk, pair)
        if not held:
            continue
        mark, rate = desk.marks.get(pair), _in_try(desk, pair) if pair in desk.rules else None
        if mark is None or rate is None:
            return None
        total += held * mark.ask * rate
    return total


def _funds(desk: Desk, request: ApprovedOrder, _now_ns: int) -> Refusal:
    """Hold the worst case of all live orders against our own books."""
    intent = request.intent
    # After a restart the exchange may list a pair no longer in which an order still lives.
    if strange := [o for o in live_orders(desk) if o.intent.pair not in desk.rules]:
        return Rule.ACCOUNT_UNKNOWN, f"what {strange[0].client_order_id} may take: no rules"
    asset = _asset(desk, intent)
    held = desk.ledger.get(asset, Decimal(0))
    taken = sum(
        (
            _still_reserved(order)
            for order in live_orders(desk)
            if _asset(desk, order.intent) == asset
        ),
        start=Decimal(0),
    )
    left = held - taken - reservation(desk, intent)
    if intent.side is Side.SELL:
        if left < 0:
            return Rule.NOT_ENOUGH_BASE, f"{left} {asset} would be missing"
        return None
    reserve = desk.gate.cash_reserve_min_try if asset == "TRY" else Decimal(0)
    if left < reserve:
        return Rule.CASH_RESERVE, f"{left:.2f} {asset} would be left; at least {reserve}"
    return None


def _still_reserved(order: Order) -> Decimal:
    """Return what an order may still take; exact in proportion to what is not filled."""
    return order.reserved * order.left / order.intent.quantity


def _asset(desk: Desk, intent: OrderIntent) -> Asset:
    """Return what an order of `intent` takes: the quote for a buy, the base for a sell."""
    rules = desk.rules[intent.pair]
    return rules.quote if intent.side is Side.BUY else rules.base


def _in_try(desk: Desk, pair: Pair) -> Decimal | None:
    """Return TRY per unit of the pair's quote, at the ask; None when there is no price."""
    quote = desk.rules[pair].quote
    if quote == "TRY":
        return Decimal(1)
    mark = desk.marks.get(Pair(f"{quote}TRY"))
    return mark.ask if mark else None


_RULES: tuple[Callable[[Desk, ApprovedOrder, int], Refusal], ...] = (
    _in_time,
    _arming,
    _trading_state,
    _readiness,
    _instrument,
    _slot_and_pair,
    _sweep,
    _repeats,
    _price,
    _size,
    _funds,
    _dry_run,
)
