"""One account: how it stands, what limits it, what it has open, and what was answered to its orders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from django.http import Http404
from msgspec import Struct

from api.desk import desk
from api.grants import CHECK_ORDERS, RELEASE, VIEW_ACCOUNT, VIEW_DECISION, VIEW_OVERRIDE, VIEW_RESTRICTION
from api.reading import InForce, in_force_now, overviews
from api.rest.accounts import open_reservations
from api.rest.base import Person
from api.rest.stops import stops_in_force
from audit.acting import Acting
from audit.models import OrderDecision
from dashboard.views.live import LivePage
from riskcore.book import Override, Restriction
from riskcore.ledger import decode_ledger
from riskcore.overrides import use_of
from riskcore.overview import AccountOverview, LimitOverview
from riskcore.ports import AccountQuery, Load, StopScope
from riskcore.types import Ledger, OverrideUse
from state.store import Store

_DECISIONS = 20
# The metrics that are always in view, in their order.
_FIGURES = (
    *("gross_exposure", "net_exposure", "leverage", "margin_ratio", "margin_available", "daily_pnl", "weekly_pnl"),
    *("unrealized_pnl", "drawdown_daily", "drawdown_max", "var_95", "es_95"),
)
# A limit that is broken beyond measure comes before every other.
_BEYOND = 10**9

VIEW_PROFILE = "policies.view_capitalprofile"


class OverrideInForce(Struct, frozen=True):
    """An override that is in force, and what the account has used of it."""

    of: Override
    used: OverrideUse

    @property
    def is_used_up(self) -> bool:
        """Return whether it has no order left."""
        return self.used.orders >= self.of.max_orders


class AccountPage(LivePage):
    """The account as it stands now; its figures go on live."""

    template_name = "dashboard/account.html"
    needs = (VIEW_ACCOUNT,)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        who, store, account_id = self.acting, desk().store, kwargs["account_id"]
        of = in_force_now(store)
        found = _overview(store, of, account_id, who)
        loaded = store.load(Load(accounts=(AccountQuery(account_id=account_id),)))
        book, now_us = of.book, loaded.now_us
        overrides, in_force = book.overrides.get(account_id, ()), stops_in_force(store, Person(who))
        return super().get_context_data(**kwargs) | {
            "account": found,
            "figures": [(name, found.metrics[name]) for name in _FIGURES if name in found.metrics],
            "limits": sorted(found.limits, key=_most_used),
            "reservations": open_reservations(store, account_id),
            "stops": _concerning(in_force, account_id, book.accounts[account_id].exchange),
            "stop_ids": sorted(stop["stop_id"] for stop in in_force),
            "restrictions": _restrictions(account_id, book.restrictions.values(), now_us),
            "overrides": _overrides(overrides, _ledger(loaded.accounts[0].ledger), now_us),
            "profile": book.profiles.get(found.profile),
            "decisions": _decisions(account_id) if who.may(VIEW_DECISION) else None,
            "may_release": who.may(RELEASE) or who.may(CHECK_ORDERS),
            "may_see_restrictions": who.may(VIEW_RESTRICTION),
            "may_see_overrides": who.may(VIEW_OVERRIDE),
            "may_see_profile": who.may(VIEW_PROFILE),
        }


def _overview(store: Store, of: InForce, account_id: str, who: Acting) -> AccountOverview:
    """Return an account as it stands. Raises Http404 where there is none, or none that they may see."""
    found = next(iter(overviews(store, of, (account_id,), tail=True)), None) if who.may_see(account_id) else None
    if found is None:
        raise Http404
    return found


def _most_used(limit: LimitOverview) -> tuple[bool, Any, str]:
    """Return what limits are sorted by: the worst first, those without a value last."""
    if limit.holds is None:
        return True, 0, limit.name
    return False, -_BEYOND if limit.utilisation is None else -limit.utilisation, limit.name


# ------------------------------------------------------------------------------------------------- stops
def _concerning(stops: Iterable[dict[str, Any]], account_id: str, exchange: str) -> list[dict[str, Any]]:
    """Return the stops that cover all of an account's orders, or some; `whole` says which."""
    found = []
    for stop in stops:
        scope, scope_id = stop["scope"]["type"], stop["scope"]["id"]
        whole = scope is StopScope.GLOBAL or (scope, scope_id) in (
            (StopScope.ACCOUNT, account_id),
            (StopScope.EXCHANGE, exchange),
        )
        if whole or scope in (StopScope.SYMBOL, StopScope.STRATEGY, StopScope.EXCHANGE):
            found.append({**stop, "whole": whole})
    return sorted(found, key=lambda stop: not stop["whole"])


# ------------------------------------------------------------------------------- what officers have published
def _restrictions(account_id: str, restrictions: Iterable[Iterable[Restriction]], now_us: int) -> list[Restriction]:
    every = (each for of_symbol in restrictions for each in of_symbol)
    return [
        each for each in every if each.account_id in ("", account_id) and (not each.until_us or now_us < each.until_us)
    ]


def _overrides(overrides: Iterable[Override], ledger: Ledger, now_us: int) -> list[OverrideInForce]:
    """Return the overrides that are in force, those that run out first in front."""
    in_force = (each for each in overrides if each.from_us <= now_us < each.until_us)
    return [OverrideInForce(each, use_of(ledger, each)) for each in in_force]


def _ledger(content: bytes | None) -> Ledger:
    """Return what is remembered of an account, nothing where nobody can read it: then no order of it is approved."""
    try:
        return decode_ledger(content)
    except (msgspec.MsgspecError, ValueError, ArithmeticError):
        return Ledger()


# --------------------------------------------------------------------------------------------- decisions
class _Told(Struct, frozen=True):
    message: str


_told = msgspec.json.Decoder(_Told)


def _decisions(account_id: str) -> list[tuple[OrderDecision, str]]:
    """Return the last decisions, each with what it said."""
    rows = OrderDecision.objects.defer("inputs").filter(account_id=account_id)
    newest = rows.order_by("-decided_at", "-decision_id")[:_DECISIONS]
    return [(row, _message(row)) for row in newest]


def _message(row: OrderDecision) -> str:
    try:
        return _told.decode(row.answer).message
    except msgspec.MsgspecError:
        return row.reason
