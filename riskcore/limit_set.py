"""The limits on an account, or on the firm, put together by what they are about: for looking at many accounts.

Only those whose metric has a value without an order.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from riskcore.book import Account, Scope
from riskcore.compiled import CompiledBook
from riskcore.firm import is_of_firm
from riskcore.limits import Limit
from riskcore.metrics import Kind, Value
from riskcore.picture import is_on

# A limit and its place among all: what is found broken is told in that order.
Placed = tuple[int, Limit]


class LimitSet(Struct, frozen=True):
    """Limits by what they are about.

    `of_account` are on a figure of the account each, `of_tail` on its value at risk, `of_symbol` on a figure of each
    symbol; `on_exchange` on what it has on one exchange.
    """

    of_account: tuple[tuple[Value, tuple[Placed, ...]], ...]
    of_tail: tuple[Placed, ...]
    of_symbol: tuple[Placed, ...]
    on_exchange: tuple[tuple[str, LimitSet], ...] = ()


class LimitSets:
    """The limits on every account of a book, and on the firm. Accounts with the same limits share a set."""

    def __init__(self, book: CompiledBook) -> None:
        self._book = book
        self._general: list[Placed] = []
        self._narrow: dict[str, list[Placed]] = {}
        for place, limit in enumerate(book.limits):
            if limit.policy.scope is not Scope.ACCOUNT:
                self._general.append((place, limit))
            for account_id in limit.policy.scope_ids if limit.policy.scope is Scope.ACCOUNT else ():
                self._narrow.setdefault(account_id, []).append((place, limit))
        self._known: dict[tuple[str, tuple[int, ...]], LimitSet] = {}
        self.of_firm = limit_set([placed for placed in self._general if is_of_firm(placed[1])])

    def of(self, account: Account) -> LimitSet:
        """Return the limits on an account."""
        narrow = self._narrow.get(account.id, [])
        key = account.profile, tuple([place for place, _ in narrow])
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = limit_set(self._on(account, narrow))
        return found

    def _on(self, account: Account, narrow: list[Placed]) -> list[Placed]:
        general = [placed for placed in self._general if is_on(placed[1].policy, account)]
        of_profile = enumerate(self._book.limits_of_profile(account.profile), len(self._book.limits))
        return [*general, *narrow, *of_profile]


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
    of_account: dict[Value, list[Placed]] = {}
    others: dict[Kind, list[Placed]] = {Kind.TAIL: [], Kind.SYMBOL: []}
    for placed in limits:
        limit = placed[1]
        if limit.metric.kind is Kind.ACCOUNT:
            of_account.setdefault(limit.value, []).append(placed)
        elif limit.of_account:
            others[limit.metric.kind].append(placed)
    figures = tuple((value, tuple(placed)) for value, placed in of_account.items())
    return LimitSet(figures, tuple(others[Kind.TAIL]), tuple(others[Kind.SYMBOL]), on_exchange)
