"""Reports and their schedules in the admin, to read: they are asked for and taken away on the page of reports."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.admin import ReadOnlyAdmin, pretty
from audit.rights import acting_of
from audit.unfold import display
from reports import rights, schedules
from reports.models import Report, Schedule
from reports.schedules import rhythm_of

_STATES = {"done": "success", "failed": "danger", "running": "info", "waiting": "info", "cancelled": "warning"}


class _OfReports(ReadOnlyAdmin):
    """Rows about reports, of which each is for whoever may have the report."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_active and request.user.is_staff and bool(rights.datasets_for(acting_of(request.user)))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


@admin.register(Report)
class ReportAdmin(_OfReports):
    list_display = ("created_at", "name", "format", "asked_by", "shown_state", "rows", "bytes")
    list_filter = ("state", "name", "format", "created_at")
    search_fields = ("asked_by", "sha256")
    fields = (
        *("id", "name", "format", "shown_filters", "accounts", "asked_by", "schedule", "due_at", "shown_state"),
        *("problem", "attempt", "done", "total", "created_at", "finished_at", "expires_at", "file_name", "rows"),
        *("bytes", "sha256", "manifest", "page"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        # What a row is about may be of accounts that whoever looks is not for: the page of reports asks for each.
        acting = acting_of(request.user)
        rows = rights.of_those(acting)
        return rows.filter(accounts=sorted(acting.accounts)) if acting.accounts else rows

    @display(description="State", label=_STATES)
    def shown_state(self, report: Report) -> str:
        return report.state

    @display(description="About")
    def shown_filters(self, report: Report) -> SafeString:
        return pretty(report.filters)

    @display(description="Take it away")
    def page(self, report: Report) -> SafeString:
        return format_html('<a href="{}#report-{}">On the page of reports</a>', reverse("reports:list"), report.pk)


@admin.register(Schedule)
class ScheduleAdmin(_OfReports):
    list_display = ("name", "format", "how_often", "owner_name", "enabled", "last_at", "next_at", "problem")
    list_filter = ("enabled", "cadence", "name")
    search_fields = ("owner_name",)
    fields = (
        *("id", "name", "format", "shown_filters", "how_often", "recipients", "owner_name", "enabled"),
        *("created_at", "last_at", "next_at", "problem"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Schedule]:
        return schedules.of_those(acting_of(request.user))

    @display(description="How often")
    def how_often(self, schedule: Schedule) -> str:
        return rhythm_of(schedule).in_words()

    @display(description="About")
    def shown_filters(self, schedule: Schedule) -> SafeString:
        return pretty(schedule.filters)
