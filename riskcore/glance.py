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
from riskcore.book import Parameters
from riskcore.decimals import INFINITY, MINUS_ONE
from riskcore.limit_set import LimitSet, Line
from riskcore.limits import Bound, Finding, Limit, evaluate
from riskcore.metrics import Subject
from riskcore.part import Part
from riskcore.picture import Reading
from riskcore.types import RiskLevel


class Glance(Struct, frozen=True, gc=False):
    """An account as it stands; `account_id` is empty for the firm.

    `whole` None: it cannot be valued, so its `level` is UNKNOWN and its `score` None. `score` is the utilisation of
    the binding limit from 0 to 100, and `binding` that limit, None where there is none. `broken` are the readings of
    the limits that do not hold, in the order of the book.
    """

    account_id: str
    whole: Subject | None
    level: RiskLevel
    score: Decimal | None
    broken: tuple[Reading, ...] = ()
    binding: Limit | None = None


def unknown(account_id: str) -> Glance:
    """Return an account that cannot be valued."""
    return Glance(account_id, None, RiskLevel.UNKNOWN, None)


def glance(account_id: str, part: Part, limits: LimitSet, parameters: Parameters) -> Glance:
    """Return an account, or the firm, with its limits held against it."""
    tally = _Tally()
    _hold_all(part, limits, "", tally)
    for exchange, there in limits.on_exchange:
        _hold_all(part.on(exchange, tail=bool(there.of_tail)), there, exchange, tally)
    found = tally.binding
    level = risk_level(found, parameters.warning_utilisation, parameters.critical_utilisation)
    binding = None if found is None else found.limit
    return Glance(account_id, part.whole, level, risk_score(found), tally.readings(), binding)


class _Tally:
    """What was found until now: the hard or emergency limit with the most utilisation, and what is broken."""

    __slots__ = ("_broken", "_most", "_used")

    def __init__(self) -> None:
        self._used: tuple[Limit, Decimal | None, bool] | None = None
        self._most = MINUS_ONE
        self._broken: list[tuple[int, Reading]] = []

    def hold(self, line: Line, value: Decimal | None, subject: Subject, symbol: str, exchange: str) -> None:
        """Hold limits against a value, which is the subject's."""
        if value is not None and line.compare(value, line.threshold):
            binding = line.binding
            if binding is not None:
                used = binding.share(value, binding.threshold)
                if used is None or used > self._most:
                    self._use(binding, value, used, holds=True)
            return
        for place, limit in line.limits:
            finding = evaluate(limit, value, subject)
            if not finding.holds:
                self._broken.append((place, Reading(limit, symbol, exchange, finding)))
            if limit.blocking:
                self._use(limit, value, finding.utilisation, holds=finding.holds)

    def _use(self, limit: Limit, value: Decimal | None, used: Decimal | None, *, holds: bool) -> None:
        most = INFINITY if used is None else used
        if most > self._most:
            self._used, self._most = (limit, value, holds), most

    @property
    def binding(self) -> Finding | None:
        """Return the limit that is used most."""
        if self._used is None:
            return None
        limit, value, holds = self._used
        return Finding(limit, value, holds, self._most if self._most < INFINITY else None)

    def readings(self) -> tuple[Reading, ...]:
        """Return what is broken, in the order of the limits."""
        return tuple([reading for _, reading in sorted(self._broken, key=itemgetter(0))])


def _hold_all(part: Part, limits: LimitSet, exchange: str, tally: _Tally) -> None:
    whole = part.whole
    for line in limits.of_account:
        tally.hold(line, line.value(whole), whole, "", exchange)
    for line in limits.of_tail:
        tally.hold(line, line.value(whole), whole, "", exchange)
    for line in limits.of_symbol:
        _hold_symbols(part, line, exchange, tally)


def _hold_symbols(part: Part, line: Line, exchange: str, tally: _Tally) -> None:
    """Hold limits on a figure of each symbol against every leg that they cover."""
    places: Sequence[int] = range(len(part.symbols))
    if line.symbols is not None:
        places = [place for place in places if part.symbols[place] in line.symbols]
    if not _worst_holds(part, line, places, tally):
        for place in places:
            subject = part.subject(place)
            tally.hold(line, line.value(subject), subject, part.symbols[place], exchange or part.exchanges[place])
    if not exchange and (line.symbols is not None or not places):
        _hold_without_leg(part, line, tally)


def _worst_holds(part: Part, line: Line, places: Sequence[int], tally: _Tally) -> bool:
    """Hold caps against the leg that has most; return whether they hold: so do all others then, and use less."""
    if line.bound is not Bound.CAP or not places:
        return False
    subject = part.subject(part.worst(line.value, places))
    value = line.value(subject)
    if value is None or not line.compare(value, line.threshold):
        return False
    tally.hold(line, value, subject, "", "")
    return True


def _hold_without_leg(part: Part, line: Line, tally: _Tally) -> None:
    """Hold limits against symbols that they name and of which there is nothing, or where there is nothing at all."""
    whole = part.whole
    missing = [""] if line.symbols is None else sorted(line.symbols.difference(part.symbols))
    for symbol in missing:
        tally.hold(line, line.value(whole), whole, symbol, "")
