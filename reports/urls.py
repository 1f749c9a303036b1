"""The addresses of reports: the doors (SPEC 8) and the pages (SPEC 9)."""

from __future__ import annotations

from django.urls import path

from reports.rest import ReportPartView, ReportsView, ReportView
from reports.views_question import QuestionPage

app_name = "reports"

doors = [
    path("risk/reports", ReportsView.as_view(), name="door"),
    path("risk/reports/<str:report_id>", ReportView.as_view(), name="report-door"),
    path("risk/reports/<str:report_id>/<str:part>", ReportPartView.as_view(), name="part-door"),
]

urlpatterns = [
    *doors,
    path("reports/limit/", QuestionPage.as_view(), name="limit"),
]
