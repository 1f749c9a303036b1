"""The OpenAPI document of the doors, and the page to read it: /api/schema and /api/docs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from threading import Lock
from typing import Any

from django.templatetags.static import static
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from drf_spectacular.utils import OpenApiExample
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from api.rest import accounts, alerts, decisions, feeding, firm, lean, system
from api.rest.base import RiskView
from api.rest.book_documentation import document_books
from api.rest.documenting import (
    ACCOUNT,
    ANY,
    BLOCK,
    PAGE,
    READ,
    TIMES,
    check_replies,
    document_view,
    json_of,
    ok,
    problems,
    query,
)
from api.rest.policy_documentation import document_policies
from api.rest.schemas import ORDER_EXAMPLE, components, page, ref
from api.rest.stop_documentation import document_leases, document_stops
from riskcore.book import PolicyType
from riskcore.reasons import Reason
from violations.models import AlertState, Kind, Level

_DESCRIPTION = """
Pre-trade risk control: may this order go?

Every request carries an API key as `Authorization: Bearer KEY`. Amounts are exact decimals: send them as numbers or as
text, they come back as text. Fields that are not known are refused. Errors are problem details (RFC 9457) that name
every wrong field. What cannot be decided is blocked: a 503 of a check carries the block as well.
"""

document_view(
    lean.CheckView,
    "Checks",
    post={
        "operation_id": "check_order",
        "request": json_of(ref("Order")),
        "responses": check_replies(ref("CheckReply"), BLOCK),
        "examples": [OpenApiExample("A limit order", ORDER_EXAMPLE, request_only=True)],
    },
)
document_view(
    lean.BatchView,
    "Checks",
    post={
        "operation_id": "check_batch",
        "request": json_of(ref("OrderBatch")),
        "responses": check_replies(ref("BatchReply"), {"allOf": [ref("Problem"), ref("BatchReply")]}),
    },
)
document_view(
    feeding.StateView,
    "Feeds",
    put={
        "operation_id": "put_account_state",
        "request": json_of(ref("AccountReport")),
        "responses": {
            **ok(ANY, "`applied` is false where the report was not newer than what is known."),
            **problems(400, 401, 403, 404, 413, 415, 429, 503),
        },
    },
)
document_view(
    feeding.PricesView,
    "Feeds",
    put={
        "operation_id": "put_prices",
        "request": json_of(ref("PriceReports")),
        "responses": {
            **ok(ANY, "`applied` counts the prices that were not older than what is known."),
            **problems(400, 401, 403, 413, 415, 429, 503),
        },
    },
)
document_view(
    accounts.MetricsView,
    "Accounts",
    get={
        "operation_id": "get_metrics",
        "responses": {**ok(ref("AccountMetrics"), "Worked out now."), **problems(*READ, 404)},
    },
)
document_view(
    firm.GlobalView,
    "Firm",
    get={
        "operation_id": "get_global_risk",
        "responses": {**ok(ref("GlobalSignal"), "Not more than a second old."), **problems(*READ)},
    },
)
document_view(
    firm.PortfolioView,
    "Firm",
    get={
        "operation_id": "get_portfolio",
        "parameters": [query("account_id", "One account; without it, the sums over all.")],
        "responses": {**ok(ref("Portfolio"), "An account's, or the firm's."), **problems(*READ, 404)},
    },
)
document_view(
    accounts.LimitsView,
    "Accounts",
    get={
        "operation_id": "list_limits",
        "parameters": [ACCOUNT, *PAGE],
        "responses": {**ok(page(ref("AccountLimits")), "The limits of each account."), **problems(*READ, 404)},
    },
)
document_view(
    accounts.ReservationsView,
    "Reservations",
    get={
        "operation_id": "list_reservations",
        "parameters": [ACCOUNT, *PAGE],
        "responses": {**ok(page(ANY), "A page has the reservations of some accounts."), **problems(*READ, 404)},
    },
)
document_view(
    accounts.ReservationView,
    "Reservations",
    delete={
        "operation_id": "release_reservation",
        "parameters": [ACCOUNT, query("reason", "Why, for the record.")],
        "responses": {**ok(ANY, "What was released."), **problems(*READ, 404)},
    },
)
document_view(
    decisions.DecisionsView,
    "Decisions",
    get={
        "operation_id": "list_decisions",
        "parameters": [
            ACCOUNT,
            query("symbol", "One symbol only."),
            query("order_id", "One order only."),
            query("approved", "Approvals or blocks only.", type="boolean"),
            query("reason", "One reason only.", enum=list(Reason)),
            *TIMES,
            *PAGE,
        ],
        "responses": {**ok(page(ANY), "The newest first."), **problems(*READ)},
    },
)
document_view(
    decisions.DecisionView,
    "Decisions",
    get={
        "operation_id": "get_decision",
        "responses": {**ok(ANY, "The decision, with all it was worked out from."), **problems(*READ, 404)},
    },
)
_ALERT_LISTS = (ACCOUNT, query("account", "The same as account_id."), query("symbol", "One symbol only."))
_ACT_PROBLEMS = problems(400, 401, 403, 404, 409, 413, 415, 503)
document_view(
    alerts.AlertsView,
    "Alerts",
    get={
        "operation_id": "list_alerts",
        "parameters": [
            *_ALERT_LISTS,
            query("level", "One level only.", enum=list(Level)),
            query("state", "One state only.", enum=list(AlertState)),
            *TIMES,
            *PAGE,
        ],
        "responses": {**ok(page(ref("Alert")), "The newest first."), **problems(*READ)},
    },
)
document_view(
    alerts.AcknowledgeView,
    "Alerts",
    post={
        "operation_id": "acknowledge_alert",
        "request": json_of(ref("Acknowledgement")),
        "responses": {**ok(ref("Alert"), "The alert as it is now."), **_ACT_PROBLEMS},
    },
)
document_view(
    alerts.SilenceView,
    "Alerts",
    post={
        "operation_id": "silence_alert",
        "request": json_of(ref("Silence")),
        "responses": {**ok(ref("Alert"), "The alert as it is now."), **_ACT_PROBLEMS},
    },
)
document_view(
    alerts.ViolationsView,
    "Alerts",
    get={
        "operation_id": "list_violations",
        "parameters": [
            *_ALERT_LISTS,
            query("kind", "Seen by the monitor, orders blocked, or a fault of the system.", enum=list(Kind)),
            query("policy_id", "One policy only."),
            query("policy_type", "One type only.", enum=list(PolicyType)),
            query("metric", "One metric only."),
            query("open", "Those that are not over, or those that are.", type="boolean"),
            *TIMES,
            *PAGE,
        ],
        "responses": {**ok(page(ref("Violation")), "The newest first."), **problems(*READ)},
    },
)
document_stops()
document_leases()
document_policies()
document_books()
document_view(
    system.HealthView, "Service", get={"operation_id": "health", "auth": [], "responses": ok(ANY, "It is alive.")}
)
document_view(
    system.ReadyView,
    "Service",
    get={
        "operation_id": "ready",
        "auth": [],
        "responses": {**ok(ANY, "Orders may be approved."), **ok(ANY, "Nothing is approved now.", code=503)},
    },
)
document_view(
    system.StatsView,
    "Service",
    get={"operation_id": "stats", "responses": {**ok(ANY, "Counts over all processes."), **problems(*READ)}},
)


class _BearerKey(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the document about API keys."""

    target_class = "api.rest.base.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key, from create_api_key or the admin."}


class _Session(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the document about people who are signed in."""

    target_class = "api.rest.base.StaffAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "Signed in: as roles let."}


_SETTINGS = {
    "TITLE": "riskportal",
    "DESCRIPTION": _DESCRIPTION,
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": [],
}

_building = Lock()

# The doors of packages above this one, with the schemas that they refer to.
_others: list[tuple[Sequence[Any], Mapping[str, Any]]] = []


def document_doors(patterns: Sequence[Any], schemas: Mapping[str, Any]) -> None:
    """Have the document tell of more doors, by their addresses. Call it while Django starts."""
    _others.append((patterns, schemas))


def document() -> bytes:
    """Return the OpenAPI document as JSON. It is made once: what it tells of does not change while we run."""
    # The settings are patched for the whole process meanwhile: one at a time.
    with _building:
        return _document_once()


@lru_cache
def _document_once() -> bytes:
    from api.urls import doors  # which is above: the addresses know their views

    everything = [*doors, *(pattern for patterns, _ in _others for pattern in patterns)]
    with patched_settings(_SETTINGS):
        generator: Any = SchemaGenerator(patterns=everything)  # type: ignore[no-untyped-call]
        found = generator.get_schema(request=None, public=True)
    found["components"].setdefault("schemas", {}).update(components())
    for _, schemas in _others:
        found["components"]["schemas"].update(schemas)
    return json.dumps(found, default=str).encode()


class SchemaView(RiskView):
    """The OpenAPI document."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        """Return it."""
        return Response(document(), content_type="application/vnd.oai.openapi+json")


class DocsView(SpectacularSwaggerSplitView):
    """The document as a page, its scripts from this server."""

    authentication_classes = []
    permission_classes = []
    title = "riskportal"

    @staticmethod
    def _swagger_ui_resource(filename: str) -> str:
        return static(f"drf_spectacular_sidecar/swagger-ui-dist/{filename}")

    @staticmethod
    def _swagger_ui_favicon() -> str:
        return static("drf_spectacular_sidecar/swagger-ui-dist/favicon-32x32.png")
