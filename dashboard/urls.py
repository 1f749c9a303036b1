"""The addresses of the pages (SPEC 9)."""

from __future__ import annotations

from django.urls import path

from dashboard.history import HistoryView
from dashboard.views.account import AccountPage
from dashboard.views.decisions import DecisionPage, DecisionsPage
from dashboard.views.emergency import EmergencyPage, StopPage
from dashboard.views.overview import OverviewView
from dashboard.views.violations import AlertsPage, ViolationsPage

app_name = "dashboard"

urlpatterns = [
    path("", OverviewView.as_view(), name="overview"),
    path("history/", HistoryView.as_view(), name="history"),
    path("accounts/<path:account_id>/", AccountPage.as_view(), name="account"),
    path("decisions/", DecisionsPage.as_view(), name="decisions"),
    path("decisions/<uuid:decision_id>/", DecisionPage.as_view(), name="decision"),
    path("emergency/", EmergencyPage.as_view(), name="emergency"),
    path("emergency/<uuid:stop_id>/", StopPage.as_view(), name="stop"),
    path("alerts/", AlertsPage.as_view(), name="alerts"),
    path("violations/", ViolationsPage.as_view(), name="violations"),
]
