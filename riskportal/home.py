"""The admin's first page: what waits for whoever looks, what is wrong now, and what they may do about it."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from msgspec import Struct

from audit.rights import acting_of
from policies.admin.request import waiting_for, words_of_rank
from policies.models import CHANGE_LIMITS, ChangeRequest

# More than this is in the list.
_MOST_WAITING = 8


class Waiting(Struct, frozen=True):
    """A change request that waits for somebody, and for what."""

    request: ChangeRequest
    waits_for: str
    url: str


class Count(Struct, frozen=True):
    """How much of something there is now; `bad`: somebody has to look."""

    number: int
    words: str
    url: str

    @property
    def bad(self) -> bool:
        return self.number > 0


class Task(Struct, frozen=True):
    """Something that officers do, and where."""

    title: str
    words: str
    icon: str
    url: str


def home_of(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the first page, for whoever looks at it."""
    waiting = _waiting(request)
    shown = {
        "title": "Home",
        "waiting": waiting[:_MOST_WAITING],
        "more_waiting": len(waiting) > _MOST_WAITING,
        "sees_requests": _sees(request, "policies", "changerequest"),
        "counts": _counts(request),
        "tasks": _tasks(request),
    }
    return {**context, **shown}


def _waiting(request: HttpRequest) -> list[Waiting]:
    if not _sees(request, "policies", "changerequest"):
        return []
    return [
        Waiting(row, words_of_rank(row), reverse("admin:policies_changerequest_change", args=(row.pk,)))
        for row in waiting_for(acting_of(request.user))[: _MOST_WAITING + 1]
    ]


def _counts(request: HttpRequest) -> list[Count]:
    """Return what is wrong now, of what somebody may see."""
    kinds = (
        ("emergency", "emergencystop", {"lifted_at": None}, "emergency stops in force", "lifted_at__isempty=1"),
        ("violations", "alert", {"state": "firing"}, "alerts firing", "state__exact=firing"),
        (
            "violations",
            "violation",
            {"closed_at": None, "kind": "episode"},
            "limits broken now",
            "closed_at__isempty=1&kind__exact=episode",
        ),
    )
    return [
        Count(
            admin.site.get_model_admin(apps.get_model(app, model)).get_queryset(request).filter(**such).count(),
            words,
            f"{reverse(f'admin:{app}_{model}_changelist')}?{query}",
        )
        for app, model, such, words, query in kinds
        if _sees(request, app, model)
    ]


def _tasks(request: HttpRequest) -> list[Task]:
    """Return what somebody may do, what is done most in front."""
    changes = acting_of(request.user).may(CHANGE_LIMITS)
    found = [
        _task(
            changes, "Change a limit", "Tighten it yourself, or ask to loosen it", "rule", "policies_policy_changelist"
        ),
        _task(changes, "Restrict a symbol", "Live as soon as you publish it", "block", "policies_restrictedsymbol_add"),
        _task(changes, "Grant an override", "Once, or within a budget", "key_vertical", "policies_override_add"),
        _task(changes, "Import limits", "YAML, XLSX or CSV, compared first", "upload_file", "policies_book_import"),
        _task(
            _sees(request, "policies", "book"),
            "Look at past limits",
            "As of any moment; compare, restore, export",
            "menu_book",
            "policies_book_changelist",
        ),
        _task(
            admin.site.get_model_admin(apps.get_model("emergency", "emergencystop")).has_add_permission(request),
            "Stop trading",
            "Everywhere, or in one account, symbol, strategy or exchange",
            "front_hand",
            "emergency_emergencystop_add",
        ),
    ]
    return [task for task in found if task is not None]


def _task(may: bool, title: str, words: str, icon: str, page: str) -> Task | None:
    return Task(title, words, icon, reverse(f"admin:{page}")) if may else None


def _sees(request: HttpRequest, app: str, model: str) -> bool:
    return bool(admin.site.get_model_admin(apps.get_model(app, model)).has_view_or_change_permission(request))
