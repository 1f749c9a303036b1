"""The parts of a picture, each read from where it is known best: sections of decision 0027."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from msgspec.structs import asdict, replace

from api.reading import in_force_now, monitor_age_s, overviews
from api.rest.accounts import open_reservations, shown_reservation
from api.rest.alerts import shown_alert, shown_violation
from api.rest.base import Person
from api.rest.stops import shown_in_force
from audit.acting import system
from bus.events import AccountFigures
from dashboard.counting import LastMinute
from dashboard.firm import Survey, survey
from dashboard.looking import Part, Sections
from dashboard.pictures import Row, Rows, Watched, rounded, row
from dashboard.telling import Told
from policies.models import Book
from riskcore.firm import FIRM
from riskcore.overview import trading_state_of
from riskcore.ports import Control, StopScope
from riskcore.types import RiskLevel, TradingState
from state.store import Store
from violations.models import Alert, Kind, Violation

# Of more accounts than these, those with the highest scores are shown.
MOST_ACCOUNTS = 500

_MOST_ROWS = 100
_RESOLVED_FOR = timedelta(hours=1)
_CLOSED_FOR = timedelta(days=1)

_EVERYBODY = Person(system("live pages"))
_NOW = "now"

# What is not the business of people who are for other accounts than those of a stop.
_INSIDE = {"progress": None, "residuals": None}


class Reader:
    """Reads the parts from a store, the database and what the monitor tells. For one thread.

    Parameters
    ----------
    store
        The live state.
    told
        What the monitor tells.
    """

    def __init__(self, store: Store, told: Told) -> None:
        self._store, self._told = store, told
        self._minute = LastMinute()
        self._survey: Survey | None = None

    def parts(self) -> tuple[Part, ...]:
        """Return what there is to be read, in its order."""
        return (
            Part(("trading", "stops"), self._trading),
            Part(("limits",), self._limits, every_s=0.9),
            Part(("firm", "accounts"), self._standing),
            Part(("health", "stale"), self._health),
            Part(("alerts", "violations"), self._record, every_s=0.9),
            Part(("book",), self._book),
            Part(("checks",), self._checks, every_s=1.9),
            Part(("watched",), self._watched),
        )

    # --------------------------------------------------------------------------------------------- what is stopped
    def _trading(self, _watched: Iterable[str]) -> Sections:
        control = self._store.control()
        if control is None:
            return {"trading": _only({"state": "RECOVERING", "stops": None}), "stops": Rows({})}
        worst = _state_of_firm(control)
        shown = shown_in_force(self._store, list(control.stops), _EVERYBODY)
        return {
            "trading": _only({"state": worst, "stops": len(control.stops)}),
            "stops": Rows({str(each["stop_id"]): _stop(each) for each in shown}),
        }

    # ---------------------------------------------------------------------------------------- accounts and the firm
    def _limits(self, _watched: Iterable[str]) -> Sections:
        """Look at every limit of every account, which takes long where they are many: less often then."""
        self._survey = survey(self._store)
        return {"limits": self._survey.limits}

    def _standing(self, _watched: Iterable[str]) -> Sections:
        of, figures = in_force_now(self._store), self._told.accounts()
        shown = {
            account_id: {**_account(each), "state": trading_state_of(account, of.stops)}
            for account_id, each in _most_at_risk(figures)
            if (account := of.book.accounts.get(account_id)) is not None
        }
        levels = Counter(each.risk_level for each in figures.values())
        firm = {**self._firm(), "accounts": len(of.book.accounts), "by_level": levels, "at": self._told.at}
        return {
            "firm": Rows({_NOW: row(firm, FIRM)}),
            "accounts": Rows({account_id: row(each, account_id) for account_id, each in shown.items()}),
        }

    def _firm(self) -> dict[str, Any]:
        """Return the firm as it was looked at last: in every detail, and what the monitor has said since."""
        found = _unknown_firm() if self._survey is None else self._survey.firm
        told = self._told.firm()
        if told is None:
            return found
        metrics = {**found["metrics"], **told.metrics}
        return {
            **found,
            "risk_level": told.risk_level,
            "risk_score": told.risk_score,
            "equity": told.equity,
            "metrics": metrics,
        }

    def _health(self, _watched: Iterable[str]) -> Sections:
        age_s = monitor_age_s(self._store)
        found = {
            "monitor_at": self._told.at,
            "monitor_age_ms": None if age_s is None else round(age_s * 1000),
            "journal_lag_s": self._minute.journal_lag_s,
        }
        stale = () if self._survey is None else self._survey.stale
        return {
            "health": _only(found),
            "stale": Rows({account_id: row({"state_at": at}, account_id) for account_id, at in stale}),
        }

    # ------------------------------------------------------------------------------------------------ what happened
    def _record(self, _watched: Iterable[str]) -> Sections:
        now = timezone.now()
        alerts = Alert.objects.filter(Q(resolved_at=None) | Q(resolved_at__gte=now - _RESOLVED_FOR))[:_MOST_ROWS]
        return {
            "alerts": Rows({str(each.pk): row(shown_alert(each), each.account_id) for each in alerts}),
            "violations": Rows(
                {str(each.pk): row(shown_violation(each), each.account_id) for each in _violations(now - _CLOSED_FOR)}
            ),
        }

    def _book(self, _watched: Iterable[str]) -> Sections:
        version = in_force_now(self._store).control.book_version
        found = Book.objects.filter(pk=version).values("version", "created_at", "actor", "reason").first()
        return {"book": _only(found or {"version": version, "created_at": None, "actor": None, "reason": None})}

    def _checks(self, _watched: Iterable[str]) -> Sections:
        return {"checks": _only(self._minute.look())}

    # ------------------------------------------------------------------------------------------------- one account
    def _watched(self, watched: Iterable[str]) -> Sections:
        found = overviews(self._store, in_force_now(self._store), watched, tail=True)
        shown = {
            each.account_id: {
                **asdict(each),
                "reservations": [shown_reservation(held) for held in open_reservations(self._store, each.account_id)],
            }
            for each in found
        }
        return {"watched": Watched({account_id: row(each, account_id) for account_id, each in shown.items()})}


def _violations(since: datetime) -> list[Violation]:
    """Return what is broken now, and then what else was since: blocked orders, of which there are many, come last."""
    broken = Q(kind=Kind.EPISODE, closed_at=None)
    now = list(Violation.objects.filter(broken)[:_MOST_ROWS])
    others = Violation.objects.exclude(broken).filter(Q(closed_at=None) | Q(closed_at__gte=since))
    return [*now, *others[: _MOST_ROWS - len(now)]]


def _only(value: Mapping[str, Any]) -> Rows:
    """Return a section of one row, which is everybody's."""
    return Rows({_NOW: row(value)})


def _state_of_firm(control: Control) -> TradingState:
    """Return what holds for every order: the most severe of the stops of everything."""
    states = [stop.state for stop in control.stops if stop.scope is StopScope.GLOBAL]
    if not states:
        return TradingState.ACTIVE
    return TradingState.HALTED if TradingState.HALTED in states else TradingState.REDUCING


def _stop(shown: dict[str, Any]) -> Row:
    scope = shown["scope"]
    if scope["type"] == StopScope.ACCOUNT:
        return row(shown, scope["id"])
    return replace(row(shown), outside=row({**shown, **_INSIDE}).raw)


def _most_at_risk(figures: Mapping[str, AccountFigures]) -> list[tuple[str, AccountFigures]]:
    """Return the accounts with the highest scores; those of which nothing is known come first."""
    ranked = sorted(figures.items(), key=lambda item: (item[1].risk_score is not None, -(item[1].risk_score or 0)))
    return ranked[:MOST_ACCOUNTS]


def _account(figures: AccountFigures) -> dict[str, Any]:
    metrics = figures.metrics
    return {
        "risk_level": figures.risk_level,
        "risk_score": rounded(figures.risk_score, 1),
        "binding": figures.binding_limit,
        "equity": rounded(figures.equity, 2),
        "gross_exposure": rounded(metrics.get("gross_exposure"), 2),
        "leverage": rounded(metrics.get("leverage"), 3),
        "daily_pnl": rounded(metrics.get("daily_pnl"), 2),
        "drawdown_daily": rounded(metrics.get("drawdown_daily"), 5),
        "open_positions": metrics.get("open_positions"),
    }


def _unknown_firm() -> dict[str, Any]:
    return {
        "risk_level": RiskLevel.UNKNOWN,
        "risk_score": None,
        "tier": None,
        "action_required": None,
        "critical_issues": (),
        "warnings": (),
        "equity": None,
        "metrics": {},
    }
