"""The limits on an account, or on the firm, put together by what they are about: for looking at many accounts.

Only those whose metric has a value without an order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from msgspec import Struct

from riskcore.book import Account, Scope
from riskcore.compiled import CompiledBook
from riskcore.firm import is_of_firm
from riskcore.limits import Bound, Limit, Placed
from riskcore.metrics import Kind, Value
from riskcore.picture import is_on
from riskcore.rollout import holds_for, is_partial


class Line(Struct, frozen=True, gc=False):
    """Limits on one figure that bound it the same way.

    They all hold where the tightest does, of which `compare` and `threshold` are. `binding` is the tightest that is
    hard or emergency, None where none is: of those that hold it is used most. `symbols` are those that the limits are
    on where they are on some only.
    """

    value: Value
    bound: Bound
    symbols: frozenset[str] | None
    compare: Callable[[Decimal, Decimal], bool]
    threshold: Decimal
    binding: Limit | None
    limits: tuple[Placed, ...]


class LimitSet(Struct, frozen=True, gc=False):
    """Limits by what they are about.

    `of_account` are on figures of the account, `of_tail` on its value at risk, `of_symbol` on figures of each symbol;
    `on_exchange` on what it has on one exchange.
    """

    of_account: tuple[Line, ...]
    of_tail: tuple[Line, ...]
    of_symbol: tuple[Line, ...]
    on_exchange: tuple[tuple[str, LimitSet], ...] = ()


class LimitSets:
    """The limits on every account of a book, and on the firm. Accounts with the same limits share a set."""

    def __init__(self, book: CompiledBook) -> None:
        self._book = book
        self._general: list[Placed] = []
        self._narrow: dict[str, list[Placed]] = {}
        for place, limit in enumerate(book.limits):
            if limit.shadow:
                continue  # what breaks it has no effect
            if limit.policy.scope is not Scope.ACCOUNT:
                self._general.append((place, limit))
            for account_id in limit.policy.scope_ids if limit.policy.scope is Scope.ACCOUNT else ():
                self._narrow.setdefault(account_id, []).append((place, limit))
        # Those that hold for some accounts by their percentage, which is known of each account by itself.
        self._partial = [placed for placed in self._general if is_partial(placed[1].policy)]
        self._known: dict[tuple[str, tuple[int, ...]], LimitSet] = {}
        self.of_firm = limit_set([placed for placed in self._general if is_of_firm(placed[1])])

    def of(self, account: Account) -> LimitSet:
        """Return the limits on an account."""
        own = [*self._narrow.get(account.id, ()), *self._partial]
        reached = [placed for placed in own if holds_for(placed[1].policy, account.id)]
        key = account.profile, tuple([place for place, _ in reached])
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = limit_set(self._on(account, reached))
        return found

    def _on(self, account: Account, reached: list[Placed]) -> list[Placed]:
        whole = [*(placed for placed in self._general if not is_partial(placed[1].policy)), *reached]
        limits = [placed for placed in whole if is_on(placed[1].policy, account)]
        of_profile = enumerate(self._book.limits_of_profile(account.profile), len(self._book.limits))
        return [*limits, *of_profile]


def limit_set(limits: Iterable[Placed]) -> LimitSet:
    """Return the limits put together."""
    of_account: list[Placed] = []
    on_exchange: dict[str, list[Placed]] = {}
    for placed in limits:
        limit = placed[1]
        if not limit.by_exchange:
            of_account.append(placed)
        for exchange in limit.policy.scope_ids if limit.by_exchange else ():
            on_exchange.setdefault(exchange, []).append(placed)
    there = tuple((exchange, _together(placed)) for exchange, placed in on_exchange.items())
    return _together(of_account, there)


def _together(limits: Iterable[Placed], on_exchange: tuple[tuple[str, LimitSet], ...] = ()) -> LimitSet:
    lines: dict[tuple[Value, Bound, frozenset[str] | None, int], list[Placed]] = {}
    for placed in limits:
        place, limit = placed
        if limit.of_account:
            # An equality has no other that is tighter.
            alone = place if limit.bound is Bound.NEITHER else -1
            lines.setdefault((limit.value, limit.bound, _symbols(limit), alone), []).append(placed)
    by_kind: dict[Kind, list[Line]] = {Kind.ACCOUNT: [], Kind.TAIL: [], Kind.SYMBOL: []}
    for (value, bound, symbols, _), together in lines.items():
        by_kind[together[0][1].metric.kind].append(_line(value, bound, symbols, together))
    return LimitSet(tuple(by_kind[Kind.ACCOUNT]), tuple(by_kind[Kind.TAIL]), tuple(by_kind[Kind.SYMBOL]), on_exchange)


def _symbols(limit: Limit) -> frozenset[str] | None:
    of_some = limit.metric.kind is Kind.SYMBOL and limit.policy.scope is Scope.SYMBOL
    return frozenset(limit.policy.scope_ids) if of_some else None


def _line(value: Value, bound: Bound, symbols: frozenset[str] | None, limits: Sequence[Placed]) -> Line:
    ordered = sorted((limit for _, limit in limits), key=_looseness)
    binding = next((limit for limit in ordered if limit.blocking), None)
    tightest = ordered[0]
    return Line(value, bound, symbols, tightest.compare, tightest.threshold, binding, tuple(limits))


def _looseness(limit: Limit) -> tuple[Decimal, bool]:
    return -limit.threshold if limit.bound is Bound.FLOOR else limit.threshold, limit.inclusive
