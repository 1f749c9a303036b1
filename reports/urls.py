"""The addresses of reports: the doors (SPEC 8) and the pages (SPEC 9)."""

from __future__ import annotations

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from reports.downloads import PARTS
from reports.rest import ReportPartView, ReportsView, ReportView
from reports.views import CancelView, PartView, ProgressView, ReportsPage, ScheduleView
from reports.views_new import NewReportPage, PreviewPage
from reports.views_question import QuestionPage

app_name = "reports"


class _Part(StringConverter):
    regex = "|".join(PARTS)


class _Verb(StringConverter):
    regex = "rest|go-on|remove"


register_converter(_Part, "report_part")
register_converter(_Verb, "schedule_verb")

doors = [
    path("risk/reports", ReportsView.as_view(), name="door"),
    path("risk/reports/<str:report_id>", ReportView.as_view(), name="report-door"),
    path("risk/reports/<str:report_id>/<str:part>", ReportPartView.as_view(), name="part-door"),
]

urlpatterns = [
    *doors,
    path("reports/", ReportsPage.as_view(), name="list"),
    path("reports/new", NewReportPage.as_view(), name="new"),
    path("reports/preview", PreviewPage.as_view(), name="preview"),
    path("reports/progress", ProgressView.as_view(), name="progress"),
    path("reports/<uuid:report_id>/cancel", CancelView.as_view(), name="cancel"),
    path("reports/<uuid:report_id>/<report_part:part>", PartView.as_view(), name="part"),
    path("reports/schedules/<uuid:schedule_id>/<schedule_verb:verb>", ScheduleView.as_view(), name="schedule"),
    path("reports/limit/", QuestionPage.as_view(), name="limit"),
]
