"""One account, or the firm, at one moment: how much of its limits is used, and which of them do not hold.

`picture.readings_of` says of every limit what was found. This says the same of those that matter, for looking at many
accounts each second, and is as exact: a cap on each symbol is held against the leg that has most of it, and where that
breaks it against all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from operator import itemgetter

from msgspec import Struct

from riskcore.answer import risk_level, risk_score
from riskcore.book import Parameters, Policy, Scope
from riskcore.decimals import INFINITY, MINUS_ONE
from riskcore.limit_set import LimitSet, Placed
from riskcore.limits import Bound, Finding, Limit, evaluate
from riskcore.metrics import Subject
from riskcore.part import Part
from riskcore.picture import Reading
from riskcore.types import RiskLevel


class Glance(Struct, frozen=True):
    """An account as it stands; `account_id` is empty for the firm.

    `whole` None: it cannot be valued, so its `level` is UNKNOWN and its `score` None. `score` is the utilisation of
    the binding limit from 0 to 100. `broken` are the readings of the limits that do not hold, in the order of the book.
    """

    account_id: str
    whole: Subject | None
    level: RiskLevel
    score: Decimal | None
    broken: tuple[Reading, ...] = ()


def unknown(account_id: str) -> Glance:
    """Return an account that cannot be valued."""
    return Glance(account_id, None, RiskLevel.UNKNOWN, None)


def glance(account_id: str, part: Part, limits: LimitSet, parameters: Parameters) -> Glance:
    """Return an account, or the firm, with its limits held against it."""
    tally = _Tally()
    _hold_all(part, limits, "", tally)
    for exchange, there in limits.on_exchange:
        _hold_all(part.on(exchange, tail=bool(there.of_tail)), there, exchange, tally)
    level = risk_level(tally.binding, parameters.warning_utilisation, parameters.critical_utilisation)
    return Glance(account_id, part.whole, level, risk_score(tally.binding), tally.readings())


class _Tally:
    """What was found until now: the hard or emergency limit with the most utilisation, and what is broken."""

    __slots__ = ("_broken", "_most", "binding")

    def __init__(self) -> None:
        self.binding: Finding | None = None
        self._most = MINUS_ONE
        self._broken: list[tuple[int, Reading]] = []

    def hold(
        self, placed: Placed, value: Decimal | None, subject: Subject, symbol: str = "", exchange: str = ""
    ) -> None:
        """Hold a limit against a value, which is the subject's."""
        place, limit = placed
        if value is not None and limit.compare(value, limit.threshold):
            if limit.blocking:
                self._use(limit, value, limit.share(value, limit.threshold), holds=True)
            return
        finding = evaluate(limit, value, subject)
        self._broken.append((place, Reading(limit, symbol, exchange, finding)))
        if limit.blocking:
            self._use(limit, value, finding.utilisation, holds=False)

    def _use(self, limit: Limit, value: Decimal | None, used: Decimal | None, *, holds: bool) -> None:
        most = INFINITY if used is None else used
        if most > self._most:
            self.binding, self._most = Finding(limit, value, holds, used), most

    def readings(self) -> tuple[Reading, ...]:
        """Return what is broken, in the order of the limits."""
        return tuple(reading for _, reading in sorted(self._broken, key=itemgetter(0)))


def _hold_all(part: Part, limits: LimitSet, exchange: str, tally: _Tally) -> None:
    whole = part.whole
    for value_of, of_figure in limits.of_account:
        value = value_of(whole)
        for placed in of_figure:
            tally.hold(placed, value, whole, "", exchange)
    for placed in limits.of_tail:
        tally.hold(placed, placed[1].value(whole), whole, "", exchange)
    for placed in limits.of_symbol:
        _hold_symbols(part, placed, exchange, tally)


def _hold_symbols(part: Part, placed: Placed, exchange: str, tally: _Tally) -> None:
    """Hold a limit on a figure of each symbol against every leg that it covers."""
    limit = placed[1]
    places = _covered(limit.policy, part)
    if not _worst_holds(part, placed, places, tally):
        for place in places:
            subject = part.subject(place)
            tally.hold(placed, limit.value(subject), subject, part.symbols[place], exchange or part.exchanges[place])
    if not exchange:
        _hold_without_leg(part, placed, places, tally)


def _worst_holds(part: Part, placed: Placed, places: Sequence[int], tally: _Tally) -> bool:
    """Hold a cap against the leg that has most; return whether it holds: so do all others then, and use less."""
    limit = placed[1]
    if limit.bound is not Bound.CAP or not places:
        return False
    subject = part.subject(part.worst(limit.value, places))
    value = limit.value(subject)
    if value is None or not limit.compare(value, limit.threshold):
        return False
    tally.hold(placed, value, subject)
    return True


def _covered(policy: Policy, part: Part) -> Sequence[int]:
    if policy.scope is not Scope.SYMBOL:
        return range(len(part.symbols))
    return [place for place, symbol in enumerate(part.symbols) if symbol in policy.scope_ids]


def _hold_without_leg(part: Part, placed: Placed, places: Sequence[int], tally: _Tally) -> None:
    """Hold a limit against a symbol that it names and of which there is nothing, or where there is nothing at all."""
    limit, whole = placed[1], part.whole
    if limit.policy.scope is Scope.SYMBOL:
        for symbol in sorted(set(limit.policy.scope_ids).difference(part.symbols)):
            tally.hold(placed, limit.value(whole), whole, symbol)
    elif not places:
        tally.hold(placed, limit.value(whole), whole)
