"""An account as it stands without an order, and every limit that may be on it held against that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from riskcore.book import Account, Parameters, Policy, Scope
from riskcore.case import FOR_EVER_US, decode_state
from riskcore.compiled import CompiledBook
from riskcore.decimals import ZERO
from riskcore.figures import value_legs
from riskcore.ledger import OF_THE_DAY, decode_ledger, messages_in, release
from riskcore.limits import Finding, Limit, evaluate, limit_on
from riskcore.metrics import Kind, Subject
from riskcore.ports import AccountView
from riskcore.simulate import Leg, exposure_of
from riskcore.tail import Tail
from riskcore.types import AccountState, Ledger, Price, Reservation


class Picture(Struct, frozen=True, kw_only=True, gc=False):
    """What an overview is worked out from. `legs` and `whole` None: the account cannot be valued.

    `worst` is the worst-case value of each symbol over its legs, in currency.
    """

    account: Account
    book: CompiledBook
    now_us: int
    state: AccountState | None
    ledger: Ledger
    prices: dict[str, Price]
    legs: dict[str, Leg] | None
    worst: dict[str, Decimal]
    whole: Subject | None

    def subject(self, leg: Leg | None) -> Subject | None:
        """Return the account, looked at by way of one of its legs where there is one."""
        if leg is None or self.whole is None or self.legs is None:
            return self.whole
        whole = self.whole
        beside = self.worst[leg.symbol] - leg.worst_value
        return Subject(state=whole.state, exposure=whole.exposure, leg=leg, beside=beside, tail=whole.tail)

    def on(self, exchange: str) -> Picture:
        """Return what of the account is on an exchange: legs that name none may be there."""
        if self.legs is None or self.state is None:
            return self
        legs = {key: leg for key, leg in self.legs.items() if leg.may_be_on(exchange)}
        whole = _whole(self.state, legs, self.book, self.now_us)
        return replace(self, legs=legs, worst=worst_by_symbol(legs.values()), whole=whole)


class Reading(Struct, frozen=True, gc=False):
    """A limit, the leg it was held against if it is on one symbol, and what was found, None where nothing was."""

    limit: Limit
    symbol: str
    exchange: str
    finding: Finding | None


def take_picture(view: AccountView, book: CompiledBook, now_us: int, expired: tuple[Reservation, ...]) -> Picture:
    """Return the account of a view, without its `expired` reservations. One that cannot be read has no state.

    Raises KeyError where the book does not have the account, ValueError where `expired` are not in the sums.
    """
    try:
        state = None if view.state is None else decode_state(view.state)
        ledger = decode_ledger(view.ledger)
    except msgspec.MsgspecError:
        state, ledger, expired = None, Ledger(), ()
    ledger = release(ledger, expired)
    book = book.at(now_us)
    legs = None if state is None else _patient_legs(state, ledger, view.prices, book.parameters, now_us)
    return Picture(
        account=book.accounts[view.account_id],
        book=book,
        now_us=now_us,
        state=state,
        ledger=ledger,
        prices=view.prices,
        legs=legs,
        worst={} if legs is None else worst_by_symbol(legs.values()),
        whole=None if state is None or legs is None else _whole(state, legs, book, now_us),
    )


def worst_by_symbol(legs: Iterable[Leg]) -> dict[str, Decimal]:
    """Return the worst-case value of each symbol over its legs, in currency."""
    found: dict[str, Decimal] = {}
    for leg in legs:
        found[leg.symbol] = found.get(leg.symbol, ZERO) + leg.worst_value
    return found


def _whole(state: AccountState, legs: dict[str, Leg], book: CompiledBook, now_us: int) -> Subject:
    tail = Tail(book.returns, list(legs.values()), state.equity, old=book.has_old_returns(now_us))
    return Subject(state=state, exposure=exposure_of(legs.values()), tail=tail)


def _patient_legs(
    state: AccountState, ledger: Ledger, prices: dict[str, Price], parameters: Parameters, now_us: int
) -> dict[str, Leg] | None:
    """Value the legs: for a picture, which says so, an old price is better than none."""
    legs = value_legs(state, ledger, prices, now_us, replace(parameters, price_max_age_us=FOR_EVER_US))
    return None if isinstance(legs, str) else legs


def readings_of(picture: Picture) -> Iterator[Reading]:
    """Hold every enforced limit that may be on the account against it; one on a symbol's figure for each symbol."""
    account, book = picture.account, picture.book
    scoped = (limit_on(limit, account.id) for limit in book.limits if is_on(limit.policy, account))
    for limit in (*(limit for limit in scoped if not limit.shadow), *book.limits_of_profile(account.profile)):
        if limit.by_exchange:
            yield from _exchange_readings(limit, picture)
        elif limit.metric.kind is Kind.SYMBOL:
            yield from _symbol_readings(limit, picture)
        else:
            yield Reading(limit, "", "", _find(limit, picture, None))


def is_on(policy: Policy, account: Account) -> bool:
    """Return whether the policy may be on an order of the account. Its strategies are not known beforehand."""
    match policy.scope:
        case Scope.ACCOUNT:
            return account.id in policy.scope_ids
        case Scope.PROFILE:
            return account.profile in policy.scope_ids
        case _:
            return True


def _exchange_readings(limit: Limit, picture: Picture) -> Iterator[Reading]:
    """Hold a limit against what the account has on each exchange of its scope."""
    for exchange in limit.policy.scope_ids:
        there = picture.on(exchange)
        if limit.metric.kind is Kind.SYMBOL:
            for leg in (there.legs or {}).values():
                yield Reading(limit, leg.symbol, exchange, _find(limit, there, leg))
        else:
            yield Reading(limit, "", exchange, _find(limit, there, None))


def _symbol_readings(limit: Limit, picture: Picture) -> Iterator[Reading]:
    policy = limit.policy
    legs = [leg for leg in (picture.legs or {}).values() if _covers(policy, leg)]
    for leg in legs:
        yield Reading(limit, leg.symbol, leg.exchange, _find(limit, picture, leg))
    if policy.scope is Scope.SYMBOL:
        for symbol in sorted(set(policy.scope_ids) - {leg.symbol for leg in legs}):
            yield Reading(limit, symbol, "", _find(limit, picture, None))
    elif not legs:
        yield Reading(limit, "", "", _find(limit, picture, None))


def _covers(policy: Policy, leg: Leg) -> bool:
    match policy.scope:
        case Scope.SYMBOL:
            return leg.symbol in policy.scope_ids
        case _:
            return True


def _find(limit: Limit, picture: Picture, leg: Leg | None) -> Finding | None:
    """Evaluate a limit as far as that goes without an order."""
    subject = picture.subject(leg)
    match limit.metric.kind:
        case Kind.COUNTED:
            return evaluate(limit, Decimal(_counted(limit, picture)))
        case Kind.ORDER:
            of_today = OF_THE_DAY.get(limit.metric.name)
            return None if of_today is None else evaluate(limit, of_today(picture.ledger, picture.now_us))
        case _:
            return None if subject is None else evaluate(limit, limit.value(subject), subject)


def _counted(limit: Limit, picture: Picture) -> int:
    """Return what a counting limit has in its window now; of several windows (one a strategy) the fullest."""
    ledger, now_us, name = picture.ledger, picture.now_us, limit.policy.id
    if limit.metric.name == "consecutive_rejects":
        recent = now_us - ledger.last_reject_us <= limit.policy.window_s * 1_000_000
        return ledger.consecutive_rejects if recent else 0
    windows = [window for key, window in ledger.rates.items() if key == name or key.startswith(f"{name}:")]
    return max((messages_in(window, now_us) for window in windows), default=0)
