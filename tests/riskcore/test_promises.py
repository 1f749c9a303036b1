"""The promises of SPEC 1 that riskcore keeps by itself, each attacked at random: 2, 3 and 6, and what they rest on.

Promise 4 is in test_journal, promise 8 in test_types, promise 1 (as far as one process goes) in test_engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from riskcore.book import Book, Parameters, Restriction
from riskcore.compiled import CompiledBook
from riskcore.decide import decide
from riskcore.decimals import EXACT
from riskcore.journal import Inputs
from riskcore.ledger import encode_ledger
from riskcore.release import NotReleased, release_steps
from riskcore.report import AccountReport
from riskcore.types import (
    AccountState,
    OpenOrders,
    Order,
    OrderType,
    Price,
    Reservation,
    Side,
    TradingState,
    position_key,
)
from tests.riskcore import oracle
from tests.riskcore.builders import (
    BUY,
    DAY,
    NOW,
    SECOND,
    SELL,
    account,
    as_raw,
    book,
    check,
    compiled,
    holding,
    inputs,
    instrument,
    marks,
    number,
    order,
    policy,
    position,
    price,
    reservation,
    restriction,
    state,
    stop,
    without_history,
)
from tests.riskcore.store import DictStore
from tests.riskcore.test_oracle import number_of_orders
from tests.riskcore.worlds import Scene, with_quantity
from tests.support.properties import examples

# Coverage is what the tests of one fact each reach; see test_oracle.
pytestmark = pytest.mark.no_cover

REDUCING = TradingState.REDUCING

# --------------------------------------------- promise 2: no shared headroom is spent twice, whatever happens

CAPS = (
    ("gross_exposure", "<=", 1_500),
    ("leverage", "<", 2),
    ("position_value", "<=", 900),
    ("concentration", "<=", 1),
    ("net_exposure", "<=", 1_000),
    ("net_exposure", ">", -1_000),
    ("open_positions", "<=", 2),
)
MARKS = {"AAA": 10, "BBB": 25, "CCC": 100}
EQUITY = 1_000
MOST_OPEN = 8  # the oracle tries every set of them


class Desk:
    """An account whose orders are asked for, filled, released and forgotten at random, now and then in a race."""

    def __init__(self, random: Random) -> None:
        self.random = random
        chosen = random.sample(CAPS, random.choice((1, 2, 4)))
        self.rules = tuple(oracle.Rule(f"{cap[0]} {cap[1]}", cap[0], cap[1], Fraction(cap[2])) for cap in chosen)
        limits = (policy(*cap, id=f"{cap[0]} {cap[1]}") for cap in chosen)
        patient = Parameters(price_max_age_us=10 * DAY, state_max_age_us=10 * DAY)
        self.exchanges = random.choice((("",), ("ONE", "TWO")))
        self.positions = {
            (symbol, exchange): number(random.choice((-20, -5, 5, 20)))
            for symbol in MARKS
            for exchange in self.exchanges
            if random.random() < 0.3
        }
        self.store = DictStore(book(*limits, parameters=patient), self._state())
        self.store.prices = {symbol: Price(number(mark), NOW) for symbol, mark in MARKS.items()}
        self.sent: list[Order] = []
        self.filled: set[str] = set()
        self.unbroken = self.caps_that_hold()

    def _state(self) -> AccountState:
        return state(*self._held(), equity=EQUITY, received_at_us=NOW)

    def _held(self):
        return [
            position(quantity, symbol, entry_price=1, exchange=exchange)
            for (symbol, exchange), quantity in self.positions.items()
            if quantity
        ]

    # ------------------------------------------------------------------------------------ what may happen

    def step(self) -> None:
        """Let one thing happen. No cap that held before may be broken after it.

        But for net exposure: selling what is held may take a short account below its floor, and no limit
        stops an order that strictly reduces a position.
        """
        journaled = len(self.store.journal)
        action = self.random.choice((self.ask,) * 6 + (self.fill, self.release, self.wait, self.repeat))
        action()
        self.check_sums()
        before, self.unbroken = self.unbroken, self.caps_that_hold()
        reduced = any(b"strictly reduces" in entry for entry in self.store.journal[journaled:])
        broken = {name for name in before - self.unbroken if not (reduced and name.startswith("net_exposure"))}
        assert not broken, f"{action.__name__} broke {broken}"

    def ask(self) -> None:
        if self.random.random() < 0.2:
            self.store.before_commit = self._race
        self.send(self._order())

    def _race(self, _commit: object) -> None:
        """Another order of the account, or its custodian, comes first."""
        self.store.before_commit = lambda _commit: None
        self.random.choice((lambda: self.send(self._order()), self.fill, self.release))()

    def _order(self) -> Order:
        symbol = self.random.choice(tuple(MARKS))
        kind = self.random.choice((OrderType.LIMIT, OrderType.LIMIT, OrderType.MARKET))
        return order(
            self.random.choice((1, 3, 8, 20, 35)),
            self.random.choice((BUY, SELL)),
            symbol=symbol,
            order_type=kind,
            # Far enough apart not to match each other.
            price=0 if kind is OrderType.MARKET else MARKS[symbol],
            leverage=self.random.choice((0, 0, 3, 7)),
            ttl_us=self.random.choice((SECOND, DAY)),
            exchange=self.random.choice(self.exchanges),
            order_id=f"o{len(self.sent)}-{self.random.random()}",
        )

    def send(self, of: Order) -> None:
        if len(self.store.held()) < MOST_OPEN:
            self.sent.append(of)
            self.store.ask(of)

    def repeat(self) -> None:
        if self.sent:
            self.store.ask(self.random.choice(self.sent))

    def fill(self) -> None:
        """The custodian reports an order filled; then the order is closed. In between, another is asked for."""
        live = [one for one in self.live() if one.order_id not in self.filled]
        if not live:
            return
        one = self.random.choice(live)
        self.filled.add(one.order_id)
        signed = one.quantity if one.side is BUY else -one.quantity
        leg = (one.symbol, one.exchange)
        self.positions[leg] = self.positions.get(leg, Decimal(0)) + signed
        self.store.report(
            AccountReport(
                account_id="A",
                equity=Decimal(EQUITY),
                margin_used=Decimal(0),
                positions={position_key(held.symbol, held.exchange): held for held in self._held()},
                sequence=len(self.filled),
            )
        )
        if self.random.random() < 0.5:
            self.send(self._order())
        self._release(one)

    def release(self) -> None:
        live = self.live()
        if live:
            self._release(self.random.choice(live))

    def _release(self, one: Reservation) -> None:
        try:
            self.store.drive(release_steps("A", one.order_id, actor="test", reason="done"))
        except NotReleased:
            assert one.order_id not in self.store.held()

    def wait(self) -> None:
        """Time runs out for some; the store brings those to the next check."""
        self.store.now_us += self.random.choice((SECOND // 2, 2 * SECOND))

    # ---------------------------------------------------------------------------------- what must be true

    def live(self) -> list[Reservation]:
        return [one for one in self.store.held().values() if one.expires_at_us > self.store.now_us]

    def check_sums(self) -> None:
        with localcontext(EXACT):
            assert without_history(self.store.ledger().open) == without_history(
                holding(*self.store.held().values()).open
            )

    def caps_that_hold(self) -> set[str]:
        """The caps that hold with every live order at its worst, as the oracle sees it."""
        live = self.live()
        world = oracle.World(
            equity=Fraction(EQUITY),
            margin_used=Fraction(0),
            peak=Fraction(1),
            rapid=Fraction(0),
            day_start=Fraction(1),
            week_start=Fraction(1),
            holdings={
                position_key(*leg): oracle.Holding(Fraction(held), Fraction(1)) for leg, held in self.positions.items()
            },
            working=(),
            marks={symbol: Fraction(mark) for symbol, mark in MARKS.items()},
        )
        for one in live:
            world = world.with_order(as_working(one))
        pictures = [oracle.picture(world, leg) for leg in world.legs() or {"AAA"}]
        return {
            rule.name for rule in self.rules if all(oracle.holds(rule, oracle.value_for(rule, one)) for one in pictures)
        }


def as_working(held: Reservation) -> oracle.Working:
    return oracle.Working(
        name=held.order_id,
        leg=position_key(held.symbol, held.exchange),
        buys=held.side is BUY,
        quantity=Fraction(held.quantity),
        price=Fraction(held.price),
        value=Fraction(held.valued_at),
        rate=Fraction(held.margin_rate),
    )


def spend_a_day(random: Random, steps: int) -> Desk:
    desk = Desk(random)
    for _ in range(steps):
        desk.step()
    while desk.store.held():
        desk._release(next(iter(desk.store.held().values())))
        desk.check_sums()
    assert desk.store.ledger().open == {}
    return desk


def test_no_interleaving_of_orders_fills_releases_and_expiries_breaks_a_cap() -> None:
    approved = blocked = 0
    for seed in range(200):
        for entry in spend_a_day(Random(seed), 25).store.decisions():
            passed = msgspec.json.decode(entry.decision)["approved"]
            approved, blocked = approved + passed, blocked + (not passed)
    assert approved > 1_000
    assert blocked > 1_000


@given(st.randoms(use_true_random=False))
@examples(150)
def test_no_interleaving_that_can_be_shrunk_breaks_a_cap_either(random: Random) -> None:
    spend_a_day(random, 12)


def test_no_fill_makes_the_margin_of_what_is_left_grow() -> None:
    """Ten are held and two sells of ten are open; the one that needs little margin fills, and only closes."""
    cheap, dear = (reservation(10, SELL, price=10, margin_rate=each) for each in ("0.1", 1))
    other = order(1, symbol="ETHUSDT")
    before = check(other, at=state(position(10)), ledger=holding(cheap, dear)).post_trade_metrics["margin_available"]
    after = check(other, at=state(), ledger=holding(dear)).post_trade_metrics["margin_available"]
    assert before is not None
    assert after is not None
    assert after >= before


# ------------------------------------------------ promise 3: no approval on made-up, old or unreadable data

GOOD_STATE = state(position(2), position(-5, "ETHUSDT", exchange="x"), sequence=3, sent_at_us=NOW)
GOOD_LEDGER = holding(reservation(1), last_order="x")
CALM = compiled(policy("leverage", "<=", 100))


def decided(**what: Any):
    given = inputs(order(1, price=40_000), **{"at": GOOD_STATE, "ledger": GOOD_LEDGER, **what})
    return decide(given, CALM).decision


def test_the_data_that_are_spoilt_below_are_good() -> None:
    assert decided().approved


def changed(record: Any, path: list[Any], value: Any) -> Raw:
    """The JSON of a record with one value in it put in the place of another, or taken out (...)."""
    fields = json.loads(bytes(as_raw(record)))
    inner = fields
    for name in path[:-1]:
        inner = inner[name]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return as_raw(fields)


NO_AMOUNTS: list[Any] = ["NaN", "Infinity", "-Infinity", "sNaN", "", "many", None, True, [], {}, ...]
AMOUNTS = ["equity", "balance", "margin_used", "peak_equity", "daily_start_equity", "weekly_start_equity"]


@pytest.mark.parametrize("value", NO_AMOUNTS)
@pytest.mark.parametrize("field", [*AMOUNTS, "account_id", "positions", "received_at_us"])
def test_a_state_with_a_field_spoilt_or_missing_approves_nothing(field: str, value: Any) -> None:
    if field == "account_id" and isinstance(value, str):
        return  # any text is an account's name
    if field == "positions" and value == {}:
        return
    decision = decided(state=changed(GOOD_STATE, [field], value))
    assert (decision.approved, decision.reason) == (False, "stale_account_state")


@pytest.mark.parametrize("value", NO_AMOUNTS)
@pytest.mark.parametrize("field", ["symbol", "quantity"])
def test_a_position_with_a_field_spoilt_or_missing_approves_nothing(field: str, value: Any) -> None:
    if field == "symbol" and isinstance(value, str):
        return
    decision = decided(state=changed(GOOD_STATE, ["positions", "BTCUSDT", field], value))
    assert (decision.approved, decision.reason) == (False, "stale_account_state")


@pytest.mark.parametrize("value", [one for one in NO_AMOUNTS if one is not ...])
@pytest.mark.parametrize("field", ["buy_count", "buy_quantity", "buy_notional", "buy_margin"])
def test_a_ledger_with_a_sum_spoilt_approves_nothing(field: str, value: Any) -> None:
    assert not decided_on(
        changed(GOOD_LEDGER, ["open", "BTCUSDT", OpenOrders.__struct_fields__.index(field)], value)
    ).approved


def decided_on(ledger: Raw):
    given = msgspec.structs.replace(inputs(order(1, price=40_000), at=GOOD_STATE), ledger=ledger)
    return decide(given, CALM).decision


@given(st.sampled_from(["state", "ledger"]), st.integers(0, 10**6))
@examples(200)
def test_a_record_that_breaks_off_approves_nothing(which: str, at: int) -> None:
    whole = bytes(as_raw(GOOD_STATE)) if which == "state" else encode_ledger(GOOD_LEDGER)
    cut = Raw(whole[: at % len(whole)])
    decision = decided(state=cut) if which == "state" else decided_on(cut)
    assert (decision.approved, decision.reason) == (False, "stale_account_state")


@given(
    st.sampled_from(["state", "ledger"]), st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=3)), max_size=3)
)
@examples(600)
def test_a_record_with_bytes_changed_is_read_whole_or_approves_nothing(which: str, changes) -> None:
    content = bytearray(bytes(as_raw(GOOD_STATE)) if which == "state" else encode_ledger(GOOD_LEDGER))
    for at, new in changes:
        place = at % len(content)
        content[place : place + len(new)] = new
    raw = Raw(bytes(content))
    decision = decided(state=raw) if which == "state" else decided_on(raw)
    if decision.approved and which == "state":
        read = msgspec.json.decode(raw, type=AccountState)
        assert read.equity.is_finite()
        assert NOW - read.received_at_us <= 5 * SECOND


@given(
    st.integers(0, 10**10),
    st.integers(-(10**10), 10**10),
    st.integers(0, 10**10),
    st.sampled_from(["50000", "0", "-1", "NaN", "Infinity", "-Infinity", None]),
)
@examples(600)
def test_an_approval_has_a_fresh_state_and_a_fresh_price_of_everything_held(
    state_age: int, sent_ago: int, price_age: int, value: str | None
) -> None:
    prices = marks()
    if value is None:
        del prices["BTCUSDT"]
    else:
        prices["BTCUSDT"] = price(value, age_us=price_age)
    known = msgspec.structs.replace(GOOD_STATE, received_at_us=NOW - state_age, sent_at_us=NOW - sent_ago)
    decision = decided(at=known, prices=prices)
    tolerated = 2 * SECOND
    fresh = state_age <= 5 * SECOND and sent_ago - tolerated <= 5 * SECOND
    priced = value == "50000" and price_age <= 5 * SECOND
    assert decision.approved is (fresh and priced)
    if not decision.approved:
        assert decision.reason in ("stale_account_state", "price_unavailable")


PIECES: list[Callable[[DictStore], Any]] = [
    lambda store: setattr(store, "control", None),
    lambda store: store.accounts.clear(),
    lambda store: setattr(store.accounts["A"], "state", None),
    lambda store: setattr(store.accounts["A"], "state", b""),
    lambda store: setattr(store.accounts["A"], "ledger", b"\x00"),
    lambda store: store.prices.clear(),
    lambda store: store.publish(book(version=2, accounts=())),
    lambda store: store.publish(book(version=2, profiles=())),
    lambda store: setattr(store, "now_us", NOW + DAY),
]


@given(st.sets(st.sampled_from(range(len(PIECES))), min_size=1), st.booleans())
@examples(150)
def test_a_check_that_misses_any_piece_approves_nothing_and_says_why(missing: set[int], at_commit: bool) -> None:
    store = DictStore(book(), GOOD_STATE)

    def lose(_commit: object = None) -> None:
        store.before_commit = lambda _commit: None
        for piece in sorted(missing, reverse=True):
            PIECES[piece](store)
        if "A" in store.accounts:
            store.accounts["A"].version += 1

    if at_commit:
        store.before_commit = lose
    else:
        lose()
    answer = store.ask(order(1, price=40_000))
    # What is lost only after everything was loaded and fresh is noticed by what the commit compares.
    assert not answer.approved
    assert answer.reason is not None
    assert not store.accounts["A"].reservations if "A" in store.accounts else True


# ---------------------------------------------------------------- promise 6: risk can always be reduced


NOTHING_PASSES = (
    *("gross_exposure", "leverage", "order_quantity", "open_orders", "daily_notional", "drawdown_max"),
    *("order_adv_share", "order_to_trade"),
)


def hostile(scene: Scene, *, close_only: bool) -> CompiledBook:
    """A book whose every limit is broken and that takes no order of these types."""
    nothing_passes = [policy(metric, "<=", -1) for metric in NOTHING_PASSES]
    return CompiledBook(
        Book(
            version=1,
            parameters=Parameters(),
            policies=tuple(nothing_passes),
            profiles=scene.book.book.profiles,
            accounts=scene.book.book.accounts,
            restrictions=tuple(closing(symbol) for symbol in ("AAA", "BBB", "CCC")) if close_only else (),
            instruments=tuple(instrument(symbol, order_types=(OrderType.STOP,)) for symbol in ("AAA", "BBB", "CCC")),
        )
    )


def closing(symbol: str) -> Restriction:
    return restriction(symbol, close_only=True)


@given(st.randoms(use_true_random=False), st.booleans(), st.booleans())
@examples(400)
def test_an_order_that_strictly_reduces_passes_whatever_limits_say_and_no_other_does_under_reducing(
    random: Random, close_only: bool, self_match: bool
) -> None:
    scene = Scene(random)
    against = hostile(scene, close_only=close_only)
    for step in scene.orders(number_of_orders(random)):
        given = msgspec.structs.replace(step.inputs, stops=(stop(REDUCING),), own_price="50" if self_match else None)
        decision = decide(given, against).decision
        assert decision.approved is oracle.strictly_reduces(step.world, step.working)


@given(st.randoms(use_true_random=False))
@examples(300)
def test_orders_let_through_as_reducing_never_open_or_flip_a_position_however_they_fill(random: Random) -> None:
    """Whatever was open before, in whatever order and to whatever part all of one side fills."""
    scene = Scene(random)
    for _step in scene.orders(random.choice((0, 1, 3))):
        pass
    reduced: set[tuple[str, Side]] = set()
    for place in range(8):
        of = msgspec.structs.replace(scene._order(100 + place), reduce_only=True)
        step = scene.ask(of, [])
        if step.decision.approved:
            reduced.add((step.working.leg, of.side))
    for leg, side in reduced:
        orders = [one for one in scene.world.working if one.leg == leg and one.buys is (side is BUY)]
        random.shuffle(orders)
        held = start = scene.world.quantity(leg)
        for one in orders:
            part = one.quantity * Fraction(random.choice((0, 1, 1, 1)), random.choice((1, 1, 3)))
            after = held + part if one.buys else held - part
            assert after * start >= 0, "the position was flipped"
            assert abs(after) <= abs(held), "the position was enlarged"
            held = after


@given(st.randoms(use_true_random=False))
@examples(300)
def test_whoever_names_which_exchange_no_more_is_closed_than_is_held(random: Random) -> None:
    """Reports and orders name exchanges or do not; in REDUCING the approved orders of a side fit into what is held."""
    held = {name: number(random.choice((-5, 3, 10))) for name in ("", "ONE", "TWO") if random.random() < 0.5}
    rules = book(accounts=(account(exchange=random.choice(("", "ONE"))),))
    store = DictStore(rules, state(*(position(quantity, exchange=name) for name, quantity in held.items())))

    def ask(most: int) -> None:
        quantity, side = random.choice((1, 2, 3, most)), random.choice((BUY, SELL))
        at = random.choice((49_000, 50_000, 51_000))
        store.ask(order(quantity, side, price=at, exchange=random.choice(("", "ONE", "TWO"))))

    for _ in range(random.choice((0, 2))):
        ask(2)
    earlier = set(store.held())
    store.set_stops(stop(REDUCING))
    for _ in range(6):
        ask(5)
    approved = [one for name, one in store.held().items() if name not in earlier]
    for side in (BUY, SELL):
        closable = {name: abs(quantity) for name, quantity in held.items() if (quantity > 0) is (side is SELL)}
        for name in {one.exchange for one in approved if one.side is side}:
            closing = sum(one.quantity for one in approved if (one.side, one.exchange) == (side, name))
            assert closing <= closable[name]


@pytest.mark.parametrize("limit", ["gross_exposure", "leverage", "margin_ratio", "drawdown_max", "open_orders"])
def test_no_single_limit_stops_an_order_that_closes(limit: str) -> None:
    operator, bound = (">=", 10**6) if limit == "margin_ratio" else ("<=", -1)
    for held, side in ((5, SELL), (-5, BUY)):
        poor = state(position(held), equity=-1, margin_used=10**6)
        assert check(order(5, side), policy(limit, operator, bound), at=poor).approved
        assert not check(order(6, side), policy(limit, operator, bound), at=poor).approved


# ------------------------------------------------------------------------------ what the promises rest on


@given(st.randoms(use_true_random=False))
@examples(200)
def test_a_larger_order_never_needs_less_margin_nor_leaves_less_exposure(random: Random) -> None:
    scene = Scene(random)
    for step in scene.orders(number_of_orders(random)):
        small, large = sorted(random.choices((1, 2, 5, 8, 13, 40), k=2))
        less, more = (with_quantity(step, Decimal(quantity)).post_trade_metrics for quantity in (small, large))
        assert less["margin_available"] >= more["margin_available"]  # type: ignore[operator]
        for metric in ("gross_exposure", "position_value", "pending_notional", "open_positions"):
            assert less[metric] <= more[metric]  # type: ignore[operator]


@given(st.randoms(use_true_random=False))
@examples(150)
def test_an_order_is_decided_and_reserved_once_however_often_it_is_sent(random: Random) -> None:
    store = DictStore(book(policy("gross_exposure", "<=", 200_000)))
    orders = [order(random.choice((1, 2)), symbol=random.choice(("BTCUSDT", "ETHUSDT"))) for _ in range(5)]
    first: dict[str, bytes] = {}
    for _ in range(20):
        some = random.sample(orders, random.choice((1, 2)))
        for answer in store.check(*some):
            name = answer.order.order_id
            assert answer.replayed is (name in first)
            assert first.setdefault(name, answer.decision) == answer.decision
    approved = {name for name, decision in first.items() if b'"approved":true' in decision}
    assert set(store.held()) == approved
    assert len(store.journal) == len(first)


@given(st.randoms(use_true_random=False))
@examples(100)
def test_a_what_if_says_what_the_order_would_be_told(random: Random) -> None:
    scene = Scene(random)
    for step in scene.orders(number_of_orders(random)):
        asked = msgspec.structs.replace(step.inputs.order, what_if=True)
        supposed = decide(msgspec.structs.replace(step.inputs, order=asked), scene.book)
        assert (supposed.ledger, supposed.reservation) == (None, None)
        said, real = supposed.decision, step.decision
        assert (said.decision, said.reason, said.violations) == (real.decision, real.reason, real.violations)
        assert (said.max_quantity, said.post_trade_metrics) == (real.max_quantity, real.post_trade_metrics)


def test_inputs_are_all_that_a_decision_depends_on() -> None:
    """No clock and no chance: the same inputs, the same decision, ten thousand microseconds later too."""
    given: Inputs = inputs(order(1), at=GOOD_STATE, decision_id="d", now_us=NOW)
    assert decide(given, CALM) == decide(given, CALM)
