"""The addresses of the doors (SPEC 8)."""

from __future__ import annotations

from django.templatetags.static import static
from django.urls import path
from django.views.generic import RedirectView

from api.rest import alerts
from api.rest.accounts import LimitsView, MetricsView, ReservationsView, ReservationView
from api.rest.books import BooksView, BookView
from api.rest.decisions import DecisionsView, DecisionView
from api.rest.documentation import DocsView, SchemaView
from api.rest.feeding import PricesView, StateView
from api.rest.firm import GlobalView, PortfolioView
from api.rest.lean import BatchView, CheckView
from api.rest.leases import LeasesView, LeaseView
from api.rest.overrides import OverridesView
from api.rest.policies import PoliciesView
from api.rest.requests import RequestStepView, RequestsView, RequestView
from api.rest.stops import GiveUpView, GoOnView, ReEnableView, StopHistoryView, StopView
from api.rest.symbols import BlockView, SymbolsView
from api.rest.system import HealthView, ReadyView, StatsView, prometheus

doors = [
    path("risk/check", CheckView.as_view(), name="check"),
    path("risk/check/batch", BatchView.as_view(), name="check-batch"),
    path("risk/accounts/<str:account_id>/state", StateView.as_view(), name="account-state"),
    path("risk/prices", PricesView.as_view(), name="prices"),
    path("risk/global", GlobalView.as_view(), name="global"),
    path("risk/portfolio", PortfolioView.as_view(), name="portfolio"),
    path("risk/limits", LimitsView.as_view(), name="limits"),
    path("risk/metrics/<str:account_id>", MetricsView.as_view(), name="metrics"),
    path("risk/policies", PoliciesView.as_view(), name="policies"),
    path("risk/books", BooksView.as_view(), name="books"),
    path("risk/books/<str:version>", BookView.as_view(), name="book"),
    path("risk/requests", RequestsView.as_view(), name="requests"),
    path("risk/requests/<str:number>", RequestView.as_view(), name="request"),
    path("risk/requests/<str:number>/<str:step>", RequestStepView.as_view(), name="request-step"),
    path("risk/overrides", OverridesView.as_view(), name="overrides"),
    path("risk/alerts", alerts.AlertsView.as_view(), name="alerts"),
    path("risk/alerts/<str:alert_id>/acknowledge", alerts.AcknowledgeView.as_view(), name="alert-acknowledge"),
    path("risk/alerts/<str:alert_id>/silence", alerts.SilenceView.as_view(), name="alert-silence"),
    path("risk/violations", alerts.ViolationsView.as_view(), name="violations"),
    path("risk/emergency-stop", StopView.as_view(), name="emergency-stop"),
    path("risk/emergency-stop/re-enable", ReEnableView.as_view(), name="re-enable"),
    path("risk/emergency-stop/give-up", GiveUpView.as_view(), name="give-up"),
    path("risk/emergency-stop/go-on", GoOnView.as_view(), name="go-on"),
    path("risk/emergency-stop/history", StopHistoryView.as_view(), name="emergency-stop-history"),
    path("risk/lease", LeasesView.as_view(), name="leases"),
    path("risk/lease/<path:holder>", LeaseView.as_view(), name="lease"),
    path("risk/decisions", DecisionsView.as_view(), name="decisions"),
    path("risk/decisions/<str:decision_id>", DecisionView.as_view(), name="decision"),
    path("risk/reservations", ReservationsView.as_view(), name="reservations"),
    path("risk/reservations/<path:order_id>", ReservationView.as_view(), name="reservation"),
    path("risk/symbol/<path:symbol>/block", BlockView.as_view(), name="symbol-block"),
    path("risk/symbols", SymbolsView.as_view(), name="symbols"),
    path("health", HealthView.as_view(), name="health"),
    path("ready", ReadyView.as_view(), name="ready"),
    path("stats", StatsView.as_view(), name="stats"),
]

urlpatterns = [
    *doors,
    path("metrics", prometheus, name="prometheus"),
    path("favicon.ico", RedirectView.as_view(url=static("riskportal/favicon.svg")), name="favicon"),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view(url_name="schema"), name="docs"),
]
