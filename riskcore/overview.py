"""An account as it stands, without an order: its metrics, and every limit that is on it, with what is used of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal, localcontext
from functools import partial
from itertools import repeat

from msgspec import Struct
from msgspec.structs import replace

from riskcore.answer import binding_finding, risk_level, risk_score, state_at
from riskcore.book import Account
from riskcore.case import age_of, current_mark
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT, shown_ratio, tidy
from riskcore.limits import Finding, headroom
from riskcore.metrics import METRICS, Kind, Subject, concentration, position_loss
from riskcore.picture import Picture, Reading, readings_of, take_picture
from riskcore.ports import AccountView, Stop, StopScope
from riskcore.simulate import Leg
from riskcore.tail import ValueAtRisk
from riskcore.types import AccountState, Ledger, Position, Reservation, RiskLevel, TradingState

_OF_ACCOUNT = tuple(metric for metric in METRICS.values() if metric.kind is Kind.ACCOUNT)
_WITH_TAIL = tuple(metric for metric in METRICS.values() if metric.kind in (Kind.ACCOUNT, Kind.TAIL))
_FOR_EVER_US = 2**62
_SEVERITY = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


class PositionOverview(Struct, frozen=True, kw_only=True, gc=False):
    """One symbol on one exchange. Amounts in currency, the value with all open orders at worst.

    `volatility` is that of a year, as a fraction, from the history of the book: a statistic, None where there is none.
    """

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
    volatility: Decimal | None


class LimitOverview(Struct, frozen=True, kw_only=True, gc=False):
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


class AccountOverview(Struct, frozen=True, kw_only=True, gc=False):
    """An account as it stands.

    `fresh`: a check would be decided on its state and prices. `stale_prices` and `missing_prices` are symbols;
    figures are worked out with a stale price, and not at all (empty `metrics`, `risk_level` UNKNOWN) where one
    is missing or no state was ever reported. `value_at_risk` None: as then, or where it was
    not asked for. `risk_score` is the
    utilisation of the binding limit from 0 to 100.
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
    value_at_risk: ValueAtRisk | None
    positions: tuple[PositionOverview, ...]
    limits: tuple[LimitOverview, ...]
    binding_limit: LimitOverview | None
    risk_level: RiskLevel
    risk_score: Decimal | None
    trading_state: TradingState
    policy_book_version: int


def overview(
    view: AccountView,
    book: CompiledBook,
    now_us: int,
    *,
    stops: tuple[Stop, ...] = (),
    expired: tuple[Reservation, ...] | None = None,
    tail: bool = False,
) -> AccountOverview:
    """Return the account of a view as it stands at `now_us`.

    `tail`: with value at risk, which takes ten times as long; without it, only limits on it are worked out.
    `expired` are the reservations that are over and still in the ledger's sums, by default those of the view.
    Raises KeyError where the book does not have the account, ValueError where `expired` are not in the sums.
    A record that cannot be read counts as none.
    """
    with localcontext(EXACT):
        picture = take_picture(view, book, now_us, view.expired if expired is None else expired)
        return overview_of(picture, readings_of(picture), stops, tail=tail)


def overview_of(
    picture: Picture, readings: Iterable[Reading], stops: tuple[Stop, ...], *, tail: bool
) -> AccountOverview:
    """Return a picture's account with these readings of its limits, and `tail`: with value at risk."""
    kept = tuple(readings)
    found = [reading.finding for reading in kept if reading.finding is not None]
    binding = binding_finding(finding for finding in found if finding.limit.of_account)
    shown = tuple(map(_limit_overview, kept))
    bound = next((limit for limit, read in zip(shown, kept, strict=True) if read.finding is binding), None)
    return _account_overview(picture, stops, shown, binding, None if binding is None else bound, tail=tail)


def _account_overview(
    picture: Picture,
    stops: tuple[Stop, ...],
    limits: tuple[LimitOverview, ...],
    binding: Finding | None,
    binding_limit: LimitOverview | None,
    *,
    tail: bool,
) -> AccountOverview:
    state, parameters = picture.state, picture.book.parameters
    stale, missing = _bad_prices(picture)
    age = None if state is None else age_of(state, picture.now_us, parameters)
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
        metrics=shown_metrics(picture.whole, tail=tail),
        value_at_risk=_value_at_risk(picture) if tail else None,
        positions=tuple(map(_position_overview, (picture.legs or {}).values(), repeat(picture))),
        limits=limits,
        binding_limit=binding_limit,
        risk_level=risk_level(binding, parameters.warning_utilisation, parameters.critical_utilisation)
        if known
        else RiskLevel.UNKNOWN,
        risk_score=risk_score(binding) if known else None,
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


def _bad_prices(picture: Picture) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the symbols of legs whose price is stale, and of those that have none."""
    state = picture.state
    stale: set[str] = set()
    missing: set[str] = set()
    if state is None:
        return (), ()
    parameters = picture.book.parameters
    patient = replace(parameters, price_max_age_us=_FOR_EVER_US)
    mark = partial(current_mark, state_age_us=age_of(state, picture.now_us, parameters), now_us=picture.now_us)
    for symbol, held in _held_symbols(state, picture.ledger):
        price = picture.prices.get(symbol)
        if mark(held, price, parameters=parameters) is None:
            (missing if mark(held, price, parameters=patient) is None else stale).add(symbol)
    return tuple(sorted(stale)), tuple(sorted(missing))


def _held_symbols(state: AccountState, ledger: Ledger) -> Iterator[tuple[str, Position | None]]:
    for position in state.positions.values():
        yield position.symbol, position
    for key, opened in ledger.open.items():
        if key not in state.positions:
            yield opened.symbol, None


def shown_metrics(subject: Subject | None, *, tail: bool) -> dict[str, Decimal | None]:
    """Return an account's metrics as they are shown, empty where it cannot be valued; `tail`: with value at risk."""
    if subject is None:
        return {}
    return {
        metric.name: None if (value := metric.value(subject)) is None else metric.show(value)
        for metric in (_WITH_TAIL if tail else _OF_ACCOUNT)
    }


def _value_at_risk(picture: Picture) -> ValueAtRisk | None:
    if picture.whole is None:
        return None
    assert picture.whole.tail is not None  # every picture has one
    return picture.whole.tail.shown()


def _position_overview(leg: Leg, picture: Picture) -> PositionOverview:
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
        volatility=_volatility(leg.symbol, picture.book),
    )


def _volatility(symbol: str, book: CompiledBook) -> Decimal | None:
    found = None if book.returns is None else book.returns.volatility_of(symbol)
    return None if found is None else shown_ratio(Decimal(found))


# ------------------------------------------------------------------------------------------------ limits
def _limit_overview(reading: Reading) -> LimitOverview:
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
        headroom=None if value is None else headroom(limit, value),
        holds=None if finding is None else finding.holds,
    )
