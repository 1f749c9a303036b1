"""The page of reports: what can be taken away, what was asked for, and what is made by the clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from msgspec import Struct

from api.rest.lists import find_page, one_of
from api.rest.queries import identifier
from audit.acting import Acting, NotAllowed
from audit.roles import READING
from dashboard.views.lists import SINCE, UNTIL, Filter, ListPage
from dashboard.views.page import Page
from reports import asking, rights, schedules
from reports.datasets import DATASETS
from reports.downloads import take_away
from reports.errors import ReportError
from reports.models import UNFINISHED, Report, Schedule, State
from reports.question import PERMISSIONS as QUESTION
from reports.schedules import do_remove_schedule, do_switch_schedule, rhythm_of
from reports.services import do_cancel_report

# What may be told of progress at once.
_MOST_TOLD = 50


class Shown(Struct, frozen=True, kw_only=True):
    """A row as the page shows it: which report, about what, whether it is the reader's own, and how often it is due."""

    row: Report | Schedule
    title: str
    about: tuple[tuple[str, str], ...]
    own: bool
    often: str = ""


class ReportsPage(ListPage):
    """Reports, the newest first, under what there is to take away."""

    template_name = "reports/list.html"
    needs = READING
    moment_name = "created_at"
    filters: ClassVar = (
        Filter(
            name="report",
            label="Report",
            parse=identifier,
            lookup="name",
            choices=tuple((each.name, each.title) for each in DATASETS.values()),
        ),
        Filter(name="state", label="State", parse=one_of(State), choices=tuple(State.choices)),
        *(SINCE, UNTIL),
    )

    def rows(self) -> QuerySet[Any]:
        return rights.of_those(self.acting).select_related("person", "mail")

    def _find(self, asked: Mapping[str, Any]) -> tuple[list[Any], str | None]:
        lookups = {"report": "name", "state": "state"}
        found, following = find_page(self.rows(), (), asked, lookups, self.moment_name)
        return [_shown_report(self.acting, row) for row in found if rights.may_see(self.acting, row)], following

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        acting = self.acting
        return super().get_context_data(**kwargs) | {
            "kinds": rights.datasets_for(acting),
            "may_question": all(map(acting.may, QUESTION)),
            "schedules": [_shown_schedule(acting, row) for row in schedules.of_those(acting)],
        }


def _shown_report(acting: Acting, row: Report) -> Shown:
    about = _in_words(row.filters, frozenset(row.accounts))
    return Shown(row=row, title=_title(row.name), about=about, own=rights.is_own(acting, row))


def _shown_schedule(acting: Acting, row: Schedule) -> Shown:
    own = row.owner is not None and row.owner.get_username() == acting.person
    about, often = _in_words(row.filters, frozenset()), rhythm_of(row).in_words()
    return Shown(row=row, title=_title(row.name), about=about, own=own, often=often)


def _title(name: str) -> str:
    return DATASETS[name].title if name in DATASETS else name


def _in_words(filters: Mapping[str, Any], accounts: frozenset[str]) -> tuple[tuple[str, str], ...]:
    try:
        return asking.in_words(asking.read(filters), accounts)
    except msgspec.ValidationError:  # of another version
        return tuple((name, str(value)) for name, value in filters.items())


class ProgressView(Page):
    """How far those reports are that are still to come, as far as the reader may see them."""

    needs = READING
    http_method_names = ("get",)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        rows = rights.of_those(self.acting).filter(state__in=UNFINISHED).select_related("person")[:_MOST_TOLD]
        seen = [row for row in rows if rights.may_see(self.acting, row)]
        return JsonResponse({str(row.pk): {"state": row.state, "done": row.done, "total": row.total} for row in seen})


class PartView(Page):
    """The file of a report, its manifest, or both."""

    needs = READING
    http_method_names = ("get",)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        try:
            return take_away(self.acting, kwargs["report_id"], kwargs["part"])
        except ReportError as error:
            return _back(request, error)


class CancelView(Page):
    """The end of a report that is still to come."""

    needs = READING
    http_method_names = ("post",)

    def post(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        """Cancel it, and go back to the page."""
        try:
            do_cancel_report(acting=self.acting, report_id=report_id)
        except (ReportError, NotAllowed) as error:
            return _back(request, error)
        return redirect("reports:list")


class ScheduleView(Page):
    """What is done to a schedule."""

    needs = READING
    http_method_names = ("post",)

    def post(self, request: HttpRequest, schedule_id: UUID, verb: str) -> HttpResponse:
        """Have it rest or go on, or remove it, and go back to the page."""
        try:
            if verb == "remove":
                do_remove_schedule(acting=self.acting, schedule_id=schedule_id)
            else:
                do_switch_schedule(acting=self.acting, schedule_id=schedule_id, enabled=verb == "go-on")
        except (ReportError, NotAllowed) as error:
            return _back(request, error)
        return HttpResponseRedirect(f"{reverse('reports:list')}#schedules")


def _back(request: HttpRequest, error: Exception) -> HttpResponse:
    """Go back to the page, which says why something was not done."""
    messages.error(request, str(error))
    return redirect("reports:list")
