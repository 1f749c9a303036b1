"""The addresses of the pages (SPEC 9)."""

from __future__ import annotations

from django.urls import path

from dashboard.history import HistoryView
from dashboard.views.overview import OverviewView

app_name = "dashboard"

urlpatterns = [
    path("", OverviewView.as_view(), name="overview"),
    path("history/", HistoryView.as_view(), name="history"),
]
