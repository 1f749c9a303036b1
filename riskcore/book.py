"""The policy book: the immutable, numbered set of everything officers publish that a check needs."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from riskcore.calendar import DAY_US
from riskcore.decimals import ZERO
from riskcore.schedule import ActiveWindow
from riskcore.types import OrderType, Side


class PolicyType(StrEnum):
    """What happens on a breach: hard blocks, soft warns, emergency blocks and makes the monitor stop trading."""

    HARD = "hard"
    SOFT = "soft"
    EMERGENCY = "emergency"


class Operator(StrEnum):
    """The condition that must HOLD between the metric's value (left) and the threshold (right)."""

    AT_MOST = "<="
    BELOW = "<"
    AT_LEAST = ">="
    ABOVE = ">"
    EQUAL = "=="
    NOT_EQUAL = "!="


class Scope(StrEnum):
    GLOBAL = "global"
    EXCHANGE = "exchange"
    ACCOUNT = "account"
    STRATEGY = "strategy"
    SYMBOL = "symbol"
    PROFILE = "profile"


class OnBreach(StrEnum):
    BLOCK = "block"
    SCALE_DOWN = "scale_down"


class Mode(StrEnum):
    """Whether a policy is enforced, or evaluated and recorded without any effect."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


class VolatilityScale(Struct, frozen=True, kw_only=True, gc=False):
    """How a threshold follows the volatility of a symbol: it is multiplied by reference / current volatility.

    `reference` is the annualised volatility (0.5 is 50 %) at which the threshold is as it is written. The factor is
    never below `least` nor above `most`, and `least` where the volatility is not known.
    """

    symbol: str
    reference: Decimal
    least: Decimal = Decimal("0.5")
    most: Decimal = Decimal(1)


class Policy(Struct, frozen=True, kw_only=True, gc=False):
    """A published limit. `scope_ids` names what it covers (empty for global scope).

    `window_s` is the window of a counting metric in seconds, 0 for all others. `priority`: lower is
    reported first. It is in force from `effective_from_us` until `effective_until_us` (0: no bound), and then in its
    `active` windows (none: always). It is enforced on `rollout_percent` of the accounts, and in shadow on the others
    (riskcore.rollout); policies of one `test_group` take the same accounts. `volatility` None: the threshold stays.
    """

    id: str
    name: str
    type: PolicyType
    metric: str
    operator: Operator
    threshold: Decimal
    scope: Scope = Scope.GLOBAL
    scope_ids: tuple[str, ...] = ()
    priority: int = 100
    on_breach: OnBreach = OnBreach.BLOCK
    window_s: int = 0
    mode: Mode = Mode.ENFORCE
    active: tuple[ActiveWindow, ...] = ()
    effective_from_us: int = 0
    effective_until_us: int = 0
    rollout_percent: int = 100
    test_group: str = ""
    volatility: VolatilityScale | None = None
    version: int = 1


class Profile(Struct, frozen=True, kw_only=True, gc=False):
    """A capital profile. Risk and losses are fractions of equity (0.01 = 1 %), `allowed_leverage` is x.

    `strategies` lists those allowed; empty allows all.
    """

    name: str
    allowed_leverage: Decimal
    max_single_trade_risk: Decimal
    max_daily_loss: Decimal
    max_weekly_loss: Decimal
    max_open_positions: int
    strategies: tuple[str, ...] = ()


class Account(Struct, frozen=True, kw_only=True, gc=False):
    """An account as officers know it. `exchange` is where its orders go that name none.

    `reservation_ttl_us` is the life of its reservations, 0 for the book's default.
    """

    id: str
    profile: str
    exchange: str = ""
    enabled: bool = True
    reservation_ttl_us: int = 0


class Restriction(Struct, frozen=True, kw_only=True, gc=False):
    """A restricted symbol. Empty `side` or `account_id` means every one; `until_us` 0 means until lifted.

    `close_only` still lets orders through that strictly reduce a position.
    """

    symbol: str
    reason: str
    side: Side | None = None
    account_id: str = ""
    close_only: bool = False
    until_us: int = 0


class Override(Struct, frozen=True, kw_only=True, gc=False):
    """What officers let an account do in spite of its limits, until it is used up or `until_us`.

    Empty `symbol` or `side` None means every one. `max_orders` is at least 1; `max_quantity` and `max_notional`
    (currency) are for all of its orders together, 0: no bound. `liquidation`: it also lets orders that strictly reduce
    a position through a stop.
    """

    id: str
    account_id: str
    reason: str
    until_us: int
    symbol: str = ""
    side: Side | None = None
    from_us: int = 0
    max_orders: int = 1
    max_quantity: Decimal = ZERO
    max_notional: Decimal = ZERO
    liquidation: bool = False


class Instrument(Struct, frozen=True, kw_only=True, gc=False):
    """The trading rules of a symbol; zero means that the rule is not known and not checked.

    `margin_rate` is the initial margin as a fraction of notional (0: the book's default). `average_daily_volume` is the
    quantity that trades on a usual day, above 0, and left out where it is not known: so a book that says nothing of it
    is written as it always was.
    """

    symbol: str
    tick_size: Decimal = ZERO
    lot_size: Decimal = ZERO
    min_quantity: Decimal = ZERO
    max_quantity: Decimal = ZERO
    margin_rate: Decimal = ZERO
    order_types: tuple[OrderType, ...] = ()
    average_daily_volume: Decimal | UnsetType = UNSET


class Parameters(Struct, frozen=True, kw_only=True, gc=False):
    """The settings that a decision depends on. They are part of the book, so that it can be re-evaluated.

    Ages and lives in microseconds. `sender_clock_tolerance_us`: how far behind ours a sender's clock may
    be before its stamp counts as the age. `market_slippage`: fraction added to the mark as the reference
    price of an order without a price. Utilisations are fractions of a limit. `day_roll_minute`: minutes
    after midnight in `day_zone` (an IANA name) at which the trading day starts; the week starts with
    Monday's. `returns_max_age_us`: how long after its last day a history of prices still says anything.
    `monitor_max_age_us`: after so long without its signal the monitor is silent; `silence_blocks`: then nothing is
    approved but what reduces. `rapid_window_us`: within how long a fall of equity is rapid.
    """

    state_max_age_us: int = 5_000_000
    price_max_age_us: int = 5_000_000
    sender_clock_tolerance_us: int = 2_000_000
    reservation_ttl_us: int = 60_000_000
    default_margin_rate: Decimal = Decimal("0.1")
    market_slippage: Decimal = Decimal("0.001")
    warning_utilisation: Decimal = Decimal("0.75")
    critical_utilisation: Decimal = Decimal("0.90")
    day_zone: str = "UTC"
    day_roll_minute: int = 0
    returns_max_age_us: int = 10 * DAY_US
    rapid_window_us: int = 300_000_000
    monitor_max_age_us: int = 5_000_000
    silence_blocks: bool = False


class Returns(Struct, frozen=True, kw_only=True, gc=False):
    """Daily returns of some symbols on days that all of them have, for value at risk (`scenarios`).

    `version` is a hash that names the content. `since` and `until` are the dates of the first and the last return.
    `values` has one little-endian double for each symbol and day, a symbol's together, the oldest day first:
    statistics, not money.
    """

    version: str
    symbols: tuple[str, ...]
    days: int
    since: str
    until: str
    values: bytes


class Book(Struct, frozen=True, kw_only=True, gc=False):
    """One published version of everything officers manage, and of what else a check goes by.

    Only enabled policies are in it. `returns` is left out where there is no history of prices.
    """

    version: int
    parameters: Parameters
    policies: tuple[Policy, ...] = ()
    profiles: tuple[Profile, ...] = ()
    accounts: tuple[Account, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    instruments: tuple[Instrument, ...] = ()
    overrides: tuple[Override, ...] = ()
    returns: Returns | UnsetType = UNSET


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Book)


def encode_book(book: Book) -> bytes:
    """Return the book's canonical JSON: the same content always gives the same bytes."""
    return _encoder.encode(book)


def decode_book(content: bytes) -> Book:
    """Return the book in `content`. Raises msgspec.DecodeError where it is not one."""
    return _decoder.decode(content)


def content_hash(content: bytes) -> str:
    """Return the SHA-256 (hex) of all that a book's JSON says, its number apart: equal rules, equal hash.

    It is of the JSON and not of what this version of the program reads in it. Raises msgspec.DecodeError.
    """
    said = msgspec.json.decode(content, type=dict[str, Any])
    return hashlib.sha256(_encoder.encode({**said, "version": 0})).hexdigest()
