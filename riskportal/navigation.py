"""The admin's side bar: what is there, for those who may see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse_lazy


def _may_see(app: str, model: str) -> Callable[[HttpRequest], bool]:
    """Return the question whether somebody may see a list, which the page itself answers: there is no second rule."""

    def may_see(request: HttpRequest) -> bool:
        page = admin.site.get_model_admin(apps.get_model(app, model))
        return page.has_view_or_change_permission(request)

    return may_see


def _link(title: str, icon: str, app: str, model: str) -> dict[str, Any]:
    """Return the link to a model's list; icons by their name in Material Symbols."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
        "permission": _may_see(app, model),
    }


def _may_look(request: HttpRequest) -> bool:
    """Return whether somebody may see live pages."""
    from audit.rights import acting_of  # these need the settings
    from dashboard.rights import may_look

    return may_look(acting_of(request.user))


_LIVE: dict[str, Any] = {
    "title": "Live pages",
    "icon": "monitoring",
    "link": reverse_lazy("dashboard:overview"),
    "permission": _may_look,
}


def _may_have_reports(request: HttpRequest) -> bool:
    """Return whether somebody may see the page of reports."""
    from audit.rights import acting_of  # these need the settings
    from reports.views import ReportsPage

    return any(map(acting_of(request.user).may, ReportsPage.needs))


_REPORTS: dict[str, Any] = {
    "title": "Reports",
    "icon": "download",
    "link": reverse_lazy("reports:list"),
    "permission": _may_have_reports,
}

SIDEBAR: dict[str, Any] = {
    "navigation": [
        {
            "title": "Now",
            "items": [
                _LIVE,
                _link("Emergency stops", "front_hand", "emergency", "emergencystop"),
                _link("Alerts", "notifications", "violations", "alert"),
                _link("Violations", "warning", "violations", "violation"),
                _link("Circuit breaker trips", "power_off", "violations", "breakertrip"),
            ],
        },
        {
            "title": "Limits",
            "separator": True,
            "items": [
                _link("Change requests", "rate_review", "policies", "changerequest"),
                _link("Policies", "rule", "policies", "policy"),
                _link("Capital profiles", "tune", "policies", "capitalprofile"),
                _link("Accounts", "account_balance", "policies", "account"),
                _link("Restricted symbols", "block", "policies", "restrictedsymbol"),
                _link("Overrides", "key_vertical", "policies", "override"),
                _link("Instruments", "straighten", "policies", "instrument"),
                _link("Books", "menu_book", "policies", "book"),
            ],
        },
        {
            "title": "Evidence",
            "separator": True,
            "items": [
                _REPORTS,
                _link("Reports made", "description", "reports", "report"),
                _link("Report schedules", "schedule", "reports", "schedule"),
                _link("Decisions", "gavel", "audit", "orderdecision"),
                _link("Audit log", "history", "audit", "auditevent"),
                _link("Ended reservations", "event_busy", "audit", "reservationend"),
                _link("Journal rejects", "report", "audit", "journalreject"),
                _link("Sealed batches", "link", "audit", "evidencebatch"),
                _link("Archives", "inventory_2", "audit", "evidencearchive"),
                _link("Dead letters", "unsubscribe", "feeds", "deadletter"),
            ],
        },
        {
            "title": "Access",
            "separator": True,
            "items": [
                _link("API keys", "key", "api", "apikey"),
                _link("Users", "person", "auth", "user"),
                _link("Groups", "group", "auth", "group"),
            ],
        },
    ],
}
