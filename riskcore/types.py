"""The words of riskportal as frozen structs: orders, accounts, open orders, decisions.

Money and quantities are `Decimal`. Moments are integer microseconds since the epoch (`..._us`), on the one
clock of the store that decided. Optional text is the empty string, never None, so that it can be compared.

`gc=False`, here and in all of riskcore: what is made for orders and kept for accounts is part of no cycle, and Python's
collector, which stops everything while it looks, need not find that out anew.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import UNSET, Struct, UnsetType

from riskcore.decimals import ZERO
from riskcore.reasons import Reason


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"


class TradingState(StrEnum):
    """ACTIVE trades; REDUCING takes only orders that strictly reduce a position; HALTED takes none."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class Verdict(StrEnum):
    ALLOW = "allow"
    BLOCK = "block"
    SCALE_DOWN = "scale_down"


class RiskLevel(StrEnum):
    UNKNOWN = "UNKNOWN"
    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


class VarMethod(StrEnum):
    """How value at risk is worked out (`var`). HISTORICAL supposes no distribution; limits go by it."""

    HISTORICAL = "historical"
    PARAMETRIC = "parametric"
    CORNISH_FISHER = "cornish_fisher"
    EWMA = "ewma"


class Order(Struct, frozen=True, kw_only=True, gc=False):
    """One order that an OMS asks about.

    `quantity` > 0 in units of the instrument; `price` >= 0 in currency, 0 for an order without a price.
    `exchange` is the order's own or else its account's. `leverage` (x) is what the venue would apply, 0 if
    not said. `timestamp_us` is the sender's and only recorded. `ttl_us` is the life of the reservation, 0
    for the account's default. `stop_id` names the emergency stop for which it closes a position.
    """

    order_id: str
    account_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal = ZERO
    order_type: OrderType = OrderType.LIMIT
    strategy_id: str = ""
    exchange: str = ""
    reduce_only: bool = False
    leverage: Decimal = ZERO
    timestamp_us: int = 0
    ttl_us: int = 0
    what_if: bool = False
    stop_id: str = ""

    @property
    def only_reduces(self) -> bool:
        """Whether it must strictly reduce a position, or not go: it says so, or closes one for a stop."""
        return self.reduce_only or self.stop_id != ""


class Position(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What an account holds of one symbol on one exchange; `quantity` is signed, below zero is short.

    `mark_price` is the mark the state came with; 0 means that it came without one.
    """

    symbol: str
    quantity: Decimal
    entry_price: Decimal = ZERO
    mark_price: Decimal = ZERO
    margin: Decimal = ZERO
    exchange: str = ""


# Stands between symbol and exchange in a position's key; no symbol or exchange may contain it.
KEY_SEPARATOR = "|"


def position_key(symbol: str, exchange: str) -> str:
    """Return the key of a position or of open orders: the symbol, with its exchange where one is known."""
    return f"{symbol}{KEY_SEPARATOR}{exchange}" if exchange else symbol


class AccountState(Struct, frozen=True, kw_only=True, gc=False):
    """An account as its custodian last reported it. `positions` by `position_key`.

    `received_at_us` is the store's clock at receipt, `sent_at_us` the sender's own stamp (0: none),
    `sequence` the sender's number of this report (-1: none). `day_end_us` and `week_end_us` are the
    roll-overs at which the start equities are due to be replaced. `drawdown_rapid` is the largest fall of equity within
    the last minutes, as of this report, as a fraction (`track`); None: not defined.
    """

    account_id: str
    equity: Decimal
    balance: Decimal
    margin_used: Decimal
    peak_equity: Decimal
    daily_start_equity: Decimal
    weekly_start_equity: Decimal
    positions: dict[str, Position]
    received_at_us: int
    sent_at_us: int = 0
    sequence: int = -1
    day_end_us: int = 0
    week_end_us: int = 0
    drawdown_rapid: Decimal | None = ZERO


class OpenOrders(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The sums over an account's reservations in one symbol on one exchange, each side by itself.

    `..._margin` is the initial margin in currency if the whole side opened new exposure, `..._unit_margin` the
    most that one unit of any order needed since the side was last without one.
    As JSON an array, in this order: they are most of a ledger, which travels three times with every check.
    """

    symbol: str
    exchange: str = ""
    buy_count: int = 0
    sell_count: int = 0
    buy_quantity: Decimal = ZERO
    sell_quantity: Decimal = ZERO
    buy_notional: Decimal = ZERO
    sell_notional: Decimal = ZERO
    buy_margin: Decimal = ZERO
    sell_margin: Decimal = ZERO
    buy_unit_margin: Decimal = ZERO
    sell_unit_margin: Decimal = ZERO


class RateWindow(Struct, frozen=True, array_like=True, gc=False):
    """Message counts of the last slices of a window; `first_slice` is the number of the oldest kept.

    A slice is `slice_us` microseconds long, and its number is the time divided by that.
    """

    slice_us: int
    first_slice: int
    counts: tuple[int, ...]


class OverrideUse(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What an account has used of an override, which runs out at `until_us`; `notional` in currency."""

    orders: int = 0
    quantity: Decimal = ZERO
    notional: Decimal = ZERO
    until_us: int = 0


class Ledger(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What riskportal itself remembers of an account between two orders, as running sums.

    `open` by `position_key`. `rates` are the messages counted for each counting limit, `last_order` what
    made the last one identical to others. Since the day's roll-over, and until `day_end_us`: `daily_notional` is
    what was approved, in currency, `daily_orders` are the orders asked for and `daily_fills` the fills told of.
    `overrides` by their id. Rewritten whole, by one compare-and-set, with every decision.
    """

    open: dict[str, OpenOrders] = {}
    rates: dict[str, RateWindow] = {}
    consecutive_rejects: int = 0
    last_reject_us: int = 0
    last_order: str = ""
    day_end_us: int = 0
    daily_notional: Decimal = ZERO
    daily_orders: int = 0
    daily_fills: int = 0
    overrides: dict[str, OverrideUse] = {}


class Reservation(Struct, frozen=True, kw_only=True, gc=False):
    """The exposure held by one approval: `quantity` still open, until `expires_at_us`.

    `price` is what the order may trade at, or its reference price; `valued_at` what a unit of it counts as
    exposure, in currency, and `margin_rate` the fraction of that which is initial margin.
    """

    order_id: str
    account_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    valued_at: Decimal
    margin_rate: Decimal
    decision_id: str
    created_at_us: int
    expires_at_us: int
    exchange: str = ""
    strategy_id: str = ""

    @property
    def id(self) -> str:
        """The reservation's public name, which is its order's decision."""
        return self.decision_id

    @property
    def notional(self) -> Decimal:
        """What is held, in currency."""
        return self.quantity * self.valued_at

    @property
    def margin(self) -> Decimal:
        """The initial margin of it in currency, if all of it opened new exposure."""
        return self.notional * self.margin_rate


class OrderTail(Struct, frozen=True, array_like=True, gc=False):
    """What was told of an order before it was asked about: how much of it traded, and whether it was closed."""

    filled: Decimal = ZERO
    closed: bool = False


class Price(Struct, frozen=True, array_like=True, gc=False):
    """The last price of a symbol, when the store received it and the sender's own stamp (0: none)."""

    price: Decimal
    received_at_us: int
    sent_at_us: int = 0


class Breach(Struct, frozen=True, kw_only=True, gc=False):
    """One limit that does not hold. `value` None: not defined, as a ratio on equity <= 0; it counts as breached.

    `policy_id` None: a rule of the check itself, such as the available margin.
    """

    policy_id: str | None
    name: str
    type: str
    metric: str
    value: Decimal | None
    operator: str
    threshold: Decimal
    utilisation: Decimal | None
    message: str


class BindingLimit(Struct, frozen=True, kw_only=True, gc=False):
    """The limit with the most utilisation. `utilisation` None: breached beyond measure."""

    policy_id: str
    name: str
    metric: str
    value: Decimal | None
    threshold: Decimal
    utilisation: Decimal | None


class ReservationRef(Struct, frozen=True, kw_only=True, gc=False):
    """The reservation as a decision names it."""

    id: str
    expires_at: datetime


class OverrideRef(Struct, frozen=True, gc=False):
    """The override that let an order through, and why it was granted."""

    id: str
    reason: str


class Decision(Struct, frozen=True, kw_only=True, gc=False):
    """The answer to one order, as every door sends it and the journal keeps it (SPEC 3).

    `max_quantity` is the largest quantity that would pass at this moment; None where it was not worked out,
    because the order was stopped before its limits were looked at. Ratios are rounded to six decimals for
    show; they were compared exactly. `shadow_violations` are limits in shadow that would have stopped the order or
    warned, left out where there are none. `override` let the order through, with what it broke among the warnings; left
    out where nothing had to.
    """

    decision: Verdict
    approved: bool
    decision_id: str
    order_id: str
    account_id: str
    reason: Reason | None
    message: str
    violations: tuple[Breach, ...]
    warnings: tuple[Breach, ...]
    max_quantity: Decimal | None
    scale_factor: Decimal | None
    binding_limit: BindingLimit | None
    risk_level: RiskLevel
    trading_state: TradingState
    post_trade_metrics: dict[str, Decimal | None]
    limit_utilization: dict[str, Decimal | None]
    policy_book_version: int | None
    account_state_at: datetime | None
    reservation: ReservationRef | None
    what_if: bool
    timestamp: datetime
    shadow_violations: tuple[Breach, ...] | UnsetType = UNSET
    override: OverrideRef | UnsetType = UNSET
