"""An account as it stands, without an order: its metrics, and every limit that is on it, with what is used of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, localcontext
from itertools import repeat

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from riskcore.answer import binding_finding, risk_level, state_at
from riskcore.book import Account, Parameters, Policy, Scope
from riskcore.case import age_us, current_mark, decode_state
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT, shown_ratio, tidy
from riskcore.figures import value_beside, value_legs
from riskcore.ledger import decode_ledger, messages_in, release, turnover_today
from riskcore.limits import Bound, Finding, Limit, evaluate, make_limit, profile_limits
from riskcore.metrics import METRICS, Kind, Subject, concentration, position_loss
from riskcore.ports import AccountView, Stop, StopScope
from riskcore.simulate import Leg, exposure_of
from riskcore.types import AccountState, Ledger, Position, Price, Reservation, RiskLevel, TradingState

_OF_ACCOUNT = tuple(metric for metric in METRICS.values() if metric.kind is Kind.ACCOUNT)
_FOR_EVER_US = 2**62
_SEVERITY = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


class PositionOverview(Struct, frozen=True, kw_only=True):
    """One symbol on one exchange. Amounts in currency, the value with all open orders at worst."""

    symbol: str
    exchange: str
    quantity: Decimal
    entry_price: Decimal
    mark: Decimal
    value: Decimal
    unrealized_pnl: Decimal
    open_buy_quantity: Decimal
    open_sell_quantity: Decimal
    concentration: Decimal | None
    position_loss: Decimal | None


class LimitOverview(Struct, frozen=True, kw_only=True):
    """One limit on an account, or on one of its symbols.

    `value` None: not known, not defined (a ratio on equity <= 0), or it has one only with an order. `headroom`
    is how far the value may still go before the limit breaks, below zero where it has. `holds` None: there is
    nothing to hold it against.
    """

    policy_id: str
    name: str
    type: str
    metric: str
    operator: str
    threshold: Decimal
    window_s: int
    scope: str
    scope_ids: tuple[str, ...]
    symbol: str
    exchange: str
    value: Decimal | None
    utilisation: Decimal | None
    headroom: Decimal | None
    holds: bool | None


class AccountOverview(Struct, frozen=True, kw_only=True):
    """An account as it stands.

    `fresh`: a check would be decided on its state and prices. `stale_prices` and `missing_prices` are symbols;
    figures are worked out with a stale price, and not at all (empty `metrics`, `risk_level` UNKNOWN) where one
    is missing or no state was ever reported.
    """

    account_id: str
    enabled: bool
    profile: str
    fresh: bool
    state_at: datetime | None
    state_age_ms: int | None
    stale_prices: tuple[str, ...]
    missing_prices: tuple[str, ...]
    equity: Decimal | None
    balance: Decimal | None
    margin_used: Decimal | None
    peak_equity: Decimal | None
    daily_start_equity: Decimal | None
    weekly_start_equity: Decimal | None
    metrics: dict[str, Decimal | None]
    positions: tuple[PositionOverview, ...]
    limits: tuple[LimitOverview, ...]
    binding_limit: LimitOverview | None
    risk_level: RiskLevel
    trading_state: TradingState
    policy_book_version: int


class _Picture(Struct, frozen=True, kw_only=True):
    """What an overview is worked out from. `legs` and `whole` None: the account cannot be valued."""

    account: Account
    book: CompiledBook
    now_us: int
    state: AccountState | None
    ledger: Ledger
    prices: dict[str, Price]
    legs: dict[str, Leg] | None
    whole: Subject | None

    def subject(self, leg: Leg | None) -> Subject | None:
        """Return the account, looked at by way of one of its legs where there is one."""
        if leg is None or self.whole is None or self.legs is None:
            return self.whole
        return replace(self.whole, leg=leg, beside=value_beside(leg, self.legs.values()))

    def on(self, exchange: str) -> _Picture:
        """Return what of the account is on an exchange: legs that name none may be there."""
        if self.legs is None or self.state is None:
            return self
        legs = {key: leg for key, leg in self.legs.items() if leg.exchange in (exchange, "")}
        return replace(self, legs=legs, whole=Subject(state=self.state, exposure=exposure_of(legs.values())))


class _Reading(Struct, frozen=True):
    """A limit, the leg it was held against if it is on one symbol, and what was found, None where nothing was."""

    limit: Limit
    symbol: str
    exchange: str
    finding: Finding | None


def overview(
    view: AccountView,
    book: CompiledBook,
    now_us: int,
    *,
    stops: tuple[Stop, ...] = (),
    expired: tuple[Reservation, ...] | None = None,
) -> AccountOverview:
    """Return the account of a view as it stands at `now_us`.

    `expired` are the reservations that are over and still in the ledger's sums, by default those of the view.
    Raises KeyError where the book does not have the account, ValueError where `expired` are not in the sums.
    A record that cannot be read counts as none.
    """
    with localcontext(EXACT):
        picture = _picture(view, book, now_us, view.expired if expired is None else expired)
        readings = tuple(_readings(picture))
        found = [reading.finding for reading in readings if reading.finding is not None]
        binding = binding_finding(finding for finding in found if finding.limit.of_account)
        shown = tuple(map(_limit_overview, readings))
        bound = next((limit for limit, read in zip(shown, readings, strict=True) if read.finding is binding), None)
        return _account_overview(picture, stops, shown, binding, None if binding is None else bound)


def _picture(view: AccountView, book: CompiledBook, now_us: int, expired: tuple[Reservation, ...]) -> _Picture:
    try:
        state = None if view.state is None else decode_state(view.state)
        ledger = decode_ledger(view.ledger)
    except msgspec.MsgspecError:
        state, ledger, expired = None, Ledger(), ()
    ledger = release(ledger, expired)
    legs = None if state is None else _patient_legs(state, ledger, view.prices, book.parameters, now_us)
    return _Picture(
        account=book.accounts[view.account_id],
        book=book,
        now_us=now_us,
        state=state,
        ledger=ledger,
        prices=view.prices,
        legs=legs,
        whole=None if state is None or legs is None else Subject(state=state, exposure=exposure_of(legs.values())),
    )


def _patient_legs(
    state: AccountState, ledger: Ledger, prices: dict[str, Price], parameters: Parameters, now_us: int
) -> dict[str, Leg] | None:
    """Value the legs: for a picture, which says so, an old price is better than none."""
    legs = value_legs(state, ledger, prices, now_us, replace(parameters, price_max_age_us=_FOR_EVER_US))
    return None if isinstance(legs, str) else legs


def _account_overview(
    picture: _Picture,
    stops: tuple[Stop, ...],
    limits: tuple[LimitOverview, ...],
    binding: Finding | None,
    binding_limit: LimitOverview | None,
) -> AccountOverview:
    state, parameters = picture.state, picture.book.parameters
    stale, missing = _bad_prices(picture)
    age = None if state is None else age_us(state.received_at_us, state.sent_at_us, picture.now_us, parameters)
    known = picture.whole is not None
    return AccountOverview(
        account_id=picture.account.id,
        enabled=picture.account.enabled,
        profile=picture.account.profile,
        fresh=known and not stale and age is not None and age <= parameters.state_max_age_us,
        state_at=state_at(state),
        state_age_ms=None if age is None else age // 1000,
        stale_prices=stale,
        missing_prices=missing,
        equity=None if state is None else tidy(state.equity),
        balance=None if state is None else tidy(state.balance),
        margin_used=None if state is None else tidy(state.margin_used),
        peak_equity=None if state is None else tidy(state.peak_equity),
        daily_start_equity=None if state is None else tidy(state.daily_start_equity),
        weekly_start_equity=None if state is None else tidy(state.weekly_start_equity),
        metrics=_metrics(picture),
        positions=tuple(map(_position_overview, (picture.legs or {}).values(), repeat(picture))),
        limits=limits,
        binding_limit=binding_limit,
        risk_level=risk_level(binding, parameters.warning_utilisation, parameters.critical_utilisation)
        if known
        else RiskLevel.UNKNOWN,
        trading_state=trading_state_of(picture.account, stops),
        policy_book_version=picture.book.version,
    )


def trading_state_of(account: Account, stops: tuple[Stop, ...]) -> TradingState:
    """Return the most severe stop that covers all of an account's orders at its own exchange."""
    worst = TradingState.ACTIVE
    for stop in stops:
        covered = (
            stop.scope is StopScope.GLOBAL
            or (stop.scope is StopScope.ACCOUNT and stop.scope_id == account.id)
            or (stop.scope is StopScope.EXCHANGE and stop.scope_id == account.exchange)
        )
        if covered and _SEVERITY[stop.state] > _SEVERITY[worst]:
            worst = stop.state
    return worst


def _bad_prices(picture: _Picture) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the symbols of legs whose price is stale, and of those that have none."""
    state = picture.state
    stale: set[str] = set()
    missing: set[str] = set()
    if state is None:
        return (), ()
    parameters = picture.book.parameters
    patient = replace(parameters, price_max_age_us=_FOR_EVER_US)
    for symbol, held in _held_symbols(state, picture.ledger):
        price = picture.prices.get(symbol)
        if current_mark(held, state, price, picture.now_us, parameters) is None:
            none = current_mark(held, state, price, picture.now_us, patient) is None
            (missing if none else stale).add(symbol)
    return tuple(sorted(stale)), tuple(sorted(missing))


def _held_symbols(state: AccountState, ledger: Ledger) -> Iterator[tuple[str, Position | None]]:
    for position in state.positions.values():
        yield position.symbol, position
    for key, opened in ledger.open.items():
        if key not in state.positions:
            yield opened.symbol, None


def _metrics(picture: _Picture) -> dict[str, Decimal | None]:
    subject = picture.whole
    if subject is None:
        return {}
    values = {metric: metric.value(subject) for metric in _OF_ACCOUNT}
    return {metric.name: None if value is None else metric.show(value) for metric, value in values.items()}


def _position_overview(leg: Leg, picture: _Picture) -> PositionOverview:
    subject = picture.subject(leg)
    assert subject is not None  # there are legs
    share = concentration(subject)
    return PositionOverview(
        symbol=leg.symbol,
        exchange=leg.exchange,
        quantity=tidy(leg.quantity),
        entry_price=tidy(leg.entry_price),
        mark=tidy(leg.mark),
        value=tidy(leg.worst_value),
        unrealized_pnl=tidy(leg.quantity * (leg.mark - leg.entry_price)),
        open_buy_quantity=tidy(leg.opened.buy_quantity),
        open_sell_quantity=tidy(leg.opened.sell_quantity),
        concentration=None if share is None else shown_ratio(share),
        position_loss=shown_ratio(position_loss(subject)),
    )


# ------------------------------------------------------------------------------------------------ limits
def _readings(picture: _Picture) -> Iterator[_Reading]:
    """Hold every limit that may be on the account against it; one on a symbol's figure for each symbol."""
    account, book = picture.account, picture.book
    profile = book.profiles.get(account.profile)
    policies = [make_limit(policy) for policy in book.book.policies if _is_on(policy, account)]
    for limit in (*policies, *(profile_limits(profile) if profile is not None else ())):
        if limit.by_exchange:
            yield from _exchange_readings(limit, picture)
        elif limit.metric.kind is Kind.SYMBOL:
            yield from _symbol_readings(limit, picture)
        else:
            yield _Reading(limit, "", "", _find(limit, picture, None))


def _is_on(policy: Policy, account: Account) -> bool:
    """Return whether the policy may be on an order of the account. Its strategies are not known beforehand."""
    match policy.scope:
        case Scope.ACCOUNT:
            return account.id in policy.scope_ids
        case Scope.PROFILE:
            return account.profile in policy.scope_ids
        case _:
            return True


def _exchange_readings(limit: Limit, picture: _Picture) -> Iterator[_Reading]:
    """Hold a limit against what the account has on each exchange of its scope."""
    for exchange in limit.policy.scope_ids:
        there = picture.on(exchange)
        if limit.metric.kind is Kind.SYMBOL:
            for leg in (there.legs or {}).values():
                yield _Reading(limit, leg.symbol, exchange, _find(limit, there, leg))
        else:
            yield _Reading(limit, "", exchange, _find(limit, there, None))


def _symbol_readings(limit: Limit, picture: _Picture) -> Iterator[_Reading]:
    policy = limit.policy
    legs = [leg for leg in (picture.legs or {}).values() if _covers(policy, leg)]
    for leg in legs:
        yield _Reading(limit, leg.symbol, leg.exchange, _find(limit, picture, leg))
    if policy.scope is Scope.SYMBOL:
        for symbol in sorted(set(policy.scope_ids) - {leg.symbol for leg in legs}):
            yield _Reading(limit, symbol, "", _find(limit, picture, None))
    elif not legs:
        yield _Reading(limit, "", "", _find(limit, picture, None))


def _covers(policy: Policy, leg: Leg) -> bool:
    match policy.scope:
        case Scope.SYMBOL:
            return leg.symbol in policy.scope_ids
        case _:
            return True


def _find(limit: Limit, picture: _Picture, leg: Leg | None) -> Finding | None:
    """Evaluate a limit as far as that goes without an order."""
    subject = picture.subject(leg)
    match limit.metric.kind:
        case Kind.COUNTED:
            return evaluate(limit, Decimal(_counted(limit, picture)))
        case Kind.ORDER if limit.metric.name == "daily_notional":
            return evaluate(limit, turnover_today(picture.ledger, picture.now_us))
        case Kind.ORDER:
            return None
        case _:
            return None if subject is None else evaluate(limit, limit.value(subject))


def _counted(limit: Limit, picture: _Picture) -> int:
    """Return what a counting limit has in its window now; of several windows (one a strategy) the fullest."""
    ledger, now_us, name = picture.ledger, picture.now_us, limit.policy.id
    if limit.metric.name == "consecutive_rejects":
        recent = now_us - ledger.last_reject_us <= limit.policy.window_s * 1_000_000
        return ledger.consecutive_rejects if recent else 0
    windows = [window for key, window in ledger.rates.items() if key == name or key.startswith(f"{name}:")]
    return max((messages_in(window, now_us) for window in windows), default=0)


def _limit_overview(reading: _Reading) -> LimitOverview:
    limit, finding = reading.limit, reading.finding
    policy = limit.policy
    value = None if finding is None else finding.value
    used = None if finding is None else finding.utilisation
    return LimitOverview(
        policy_id=policy.id,
        name=policy.name,
        type=policy.type.value,
        metric=policy.metric,
        operator=policy.operator.value,
        threshold=tidy(policy.threshold),
        window_s=policy.window_s,
        scope=policy.scope.value,
        scope_ids=policy.scope_ids,
        symbol=reading.symbol,
        exchange=reading.exchange,
        value=None if value is None else limit.metric.show(value),
        utilisation=None if used is None else shown_ratio(used),
        headroom=None if value is None else _headroom(limit, value),
        holds=None if finding is None else finding.holds,
    )


def _headroom(limit: Limit, value: Decimal) -> Decimal | None:
    if limit.bound is Bound.NEITHER:
        return None
    return limit.metric.show(limit.threshold - value if limit.bound is Bound.CAP else value - limit.threshold)
