"""The OpenAPI document of the doors, and the page to read it: /api/schema and /api/docs."""

from __future__ import annotations

import json
from functools import lru_cache
from threading import Lock
from typing import Any

from django.templatetags.static import static
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.settings import patched_settings
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from api.rest import accounts, alerts, decisions, feeding, firm, lean, symbols, system
from api.rest.base import RiskView
from api.rest.schemas import ORDER_EXAMPLE, Schema, components, page, ref
from riskcore.book import PolicyType
from riskcore.reasons import Reason
from violations.models import AlertState, Kind, Level

_DESCRIPTION = """
Pre-trade risk control: may this order go?

Every request carries an API key as `Authorization: Bearer KEY`. Amounts are exact decimals: send them as numbers or as
text, they come back as text. Fields that are not known are refused. Errors are problem details (RFC 9457) that name
every wrong field. What cannot be decided is blocked: a 503 of a check carries the block as well.
"""

_PROBLEMS = {
    400: "The body or the query is not understood; every wrong field is named.",
    401: "No API key, or one that is not good.",
    403: "The key has not the permission, or is not for the account.",
    404: "There is no such thing.",
    409: "What is there is not as it would have to be; nothing was changed.",
    413: "The body is too long.",
    415: "The body is not said to be JSON.",
    429: "The key asks too often; see Retry-After.",
    503: "The live state cannot be reached, or is not restored yet.",
}


def _problems(*codes: int) -> dict[Any, Any]:
    return {
        (code, "application/problem+json"): OpenApiResponse(ref("Problem"), description=_PROBLEMS[code])
        for code in codes
    }


def _ok(schema: Schema, description: str, *examples: OpenApiExample, code: int = 200) -> dict[Any, Any]:
    return {(code, "application/json"): OpenApiResponse(schema, description=description, examples=list(examples))}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": schema}


def _query(name: str, description: str, **schema: Any) -> OpenApiParameter:
    return OpenApiParameter(name, {"type": "string", **schema}, OpenApiParameter.QUERY, description=description)


_ACCOUNT = _query("account_id", "One account only.")
_PAGE = (_query("cursor", "Where the page before ended."), _query("limit", "Rows a page.", type="integer", minimum=1))
_ANY: Schema = {"type": "object"}
_READ = (400, 401, 403, 503)
_BLOCK: Schema = {"allOf": [ref("Problem"), ref("CheckReply")]}


def _check_replies(schema: Schema, blocked: Schema) -> dict[Any, Any]:
    block = OpenApiResponse(blocked, description=f"{_PROBLEMS[503]} Nothing is approved.")
    return {
        **_ok(schema, "Decided. Idempotency-Replayed: true where it is the first answer to the order_id again."),
        **_problems(400, 401, 403, 413, 415, 429),
        (503, "application/problem+json"): block,
    }


def _document(view: type[RiskView], tag: str, **methods: dict[str, Any]) -> None:
    for method, said in methods.items():
        handler = getattr(view, method)
        handler.schema = AutoSchema  # what is said below extends it, whatever Django's settings name
        extend_schema(tags=[tag], **said)(handler)


_document(
    lean.CheckView,
    "Checks",
    post={
        "operation_id": "check_order",
        "request": _json(ref("Order")),
        "responses": _check_replies(ref("CheckReply"), _BLOCK),
        "examples": [OpenApiExample("A limit order", ORDER_EXAMPLE, request_only=True)],
    },
)
_document(
    lean.BatchView,
    "Checks",
    post={
        "operation_id": "check_batch",
        "request": _json(ref("OrderBatch")),
        "responses": _check_replies(ref("BatchReply"), {"allOf": [ref("Problem"), ref("BatchReply")]}),
    },
)
_document(
    feeding.StateView,
    "Feeds",
    put={
        "operation_id": "put_account_state",
        "request": _json(ref("AccountReport")),
        "responses": {
            **_ok(_ANY, "`applied` is false where the report was not newer than what is known."),
            **_problems(400, 401, 403, 404, 413, 415, 429, 503),
        },
    },
)
_document(
    feeding.PricesView,
    "Feeds",
    put={
        "operation_id": "put_prices",
        "request": _json(ref("PriceReports")),
        "responses": {
            **_ok(_ANY, "`applied` counts the prices that were not older than what is known."),
            **_problems(400, 401, 403, 413, 415, 429, 503),
        },
    },
)
_document(
    accounts.MetricsView,
    "Accounts",
    get={
        "operation_id": "get_metrics",
        "responses": {**_ok(ref("AccountMetrics"), "Worked out now."), **_problems(*_READ, 404)},
    },
)
_document(
    firm.GlobalView,
    "Firm",
    get={
        "operation_id": "get_global_risk",
        "responses": {**_ok(ref("GlobalSignal"), "Not more than a second old."), **_problems(*_READ)},
    },
)
_document(
    firm.PortfolioView,
    "Firm",
    get={
        "operation_id": "get_portfolio",
        "parameters": [_query("account_id", "One account; without it, the sums over all.")],
        "responses": {**_ok(ref("Portfolio"), "An account's, or the firm's."), **_problems(*_READ, 404)},
    },
)
_document(
    accounts.LimitsView,
    "Accounts",
    get={
        "operation_id": "list_limits",
        "parameters": [_ACCOUNT, *_PAGE],
        "responses": {**_ok(page(ref("AccountLimits")), "The limits of each account."), **_problems(*_READ, 404)},
    },
)
_document(
    accounts.ReservationsView,
    "Reservations",
    get={
        "operation_id": "list_reservations",
        "parameters": [_ACCOUNT, *_PAGE],
        "responses": {**_ok(page(_ANY), "A page has the reservations of some accounts."), **_problems(*_READ, 404)},
    },
)
_document(
    accounts.ReservationView,
    "Reservations",
    delete={
        "operation_id": "release_reservation",
        "parameters": [_ACCOUNT, _query("reason", "Why, for the record.")],
        "responses": {**_ok(_ANY, "What was released."), **_problems(*_READ, 404)},
    },
)
_document(
    decisions.DecisionsView,
    "Decisions",
    get={
        "operation_id": "list_decisions",
        "parameters": [
            _ACCOUNT,
            _query("symbol", "One symbol only."),
            _query("order_id", "One order only."),
            _query("approved", "Approvals or blocks only.", type="boolean"),
            _query("reason", "One reason only.", enum=list(Reason)),
            _query("since", "At this moment or later.", format="date-time"),
            _query("until", "Before this moment.", format="date-time"),
            *_PAGE,
        ],
        "responses": {**_ok(page(_ANY), "The newest first."), **_problems(*_READ)},
    },
)
_document(
    decisions.DecisionView,
    "Decisions",
    get={
        "operation_id": "get_decision",
        "responses": {**_ok(_ANY, "The decision, with all it was worked out from."), **_problems(*_READ, 404)},
    },
)
_TIMES = (
    _query("since", "At this moment or later.", format="date-time"),
    _query("until", "Before this moment.", format="date-time"),
)
_ALERT_LISTS = (_ACCOUNT, _query("account", "The same as account_id."), _query("symbol", "One symbol only."))
_ACT_PROBLEMS = _problems(400, 401, 403, 404, 409, 413, 415, 503)
_document(
    alerts.AlertsView,
    "Alerts",
    get={
        "operation_id": "list_alerts",
        "parameters": [
            *_ALERT_LISTS,
            _query("level", "One level only.", enum=list(Level)),
            _query("state", "One state only.", enum=list(AlertState)),
            *_TIMES,
            *_PAGE,
        ],
        "responses": {**_ok(page(ref("Alert")), "The newest first."), **_problems(*_READ)},
    },
)
_document(
    alerts.AcknowledgeView,
    "Alerts",
    post={
        "operation_id": "acknowledge_alert",
        "request": _json(ref("Acknowledgement")),
        "responses": {**_ok(ref("Alert"), "The alert as it is now."), **_ACT_PROBLEMS},
    },
)
_document(
    alerts.SilenceView,
    "Alerts",
    post={
        "operation_id": "silence_alert",
        "request": _json(ref("Silence")),
        "responses": {**_ok(ref("Alert"), "The alert as it is now."), **_ACT_PROBLEMS},
    },
)
_document(
    alerts.ViolationsView,
    "Alerts",
    get={
        "operation_id": "list_violations",
        "parameters": [
            *_ALERT_LISTS,
            _query("kind", "Seen by the monitor (episode), or orders blocked (block).", enum=list(Kind)),
            _query("policy_id", "One policy only."),
            _query("policy_type", "One type only.", enum=list(PolicyType)),
            _query("metric", "One metric only."),
            _query("open", "Those that are not over, or those that are.", type="boolean"),
            *_TIMES,
            *_PAGE,
        ],
        "responses": {**_ok(page(ref("Violation")), "The newest first."), **_problems(*_READ)},
    },
)
_document(
    symbols.SymbolsView,
    "Symbols",
    get={"operation_id": "list_symbols", "responses": {**_ok(page(_ANY), "In force now."), **_problems(*_READ)}},
)
_document(
    symbols.BlockView,
    "Symbols",
    post={
        "operation_id": "restrict_symbol",
        "request": _json(ref("Restriction")),
        "responses": {
            **_ok(_ANY, "Restricted; the next check goes by it where `live` is true.", code=201),
            **_problems(400, 401, 403, 413, 415, 503),
        },
    },
    delete={
        "operation_id": "lift_symbol",
        "parameters": [_ACCOUNT, _query("side", "Restrictions of one side only."), _query("reason", "Why.")],
        "responses": {**_ok(_ANY, "What was lifted."), **_problems(*_READ, 404)},
    },
)
_document(
    system.HealthView, "Service", get={"operation_id": "health", "auth": [], "responses": _ok(_ANY, "It is alive.")}
)
_document(
    system.ReadyView,
    "Service",
    get={
        "operation_id": "ready",
        "auth": [],
        "responses": {**_ok(_ANY, "Orders may be approved."), **_ok(_ANY, "Nothing is approved now.", code=503)},
    },
)
_document(
    system.StatsView,
    "Service",
    get={"operation_id": "stats", "responses": {**_ok(_ANY, "Counts over all processes."), **_problems(*_READ)}},
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
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "Signed in to the admin: read."}


_SETTINGS = {
    "TITLE": "riskportal",
    "DESCRIPTION": _DESCRIPTION,
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": [],
}

_building = Lock()


def document() -> bytes:
    """Return the OpenAPI document as JSON. It is made once: what it tells of does not change while we run."""
    # The settings are patched for the whole process meanwhile: one at a time.
    with _building:
        return _document_once()


@lru_cache
def _document_once() -> bytes:
    from api.urls import doors  # which is above: the addresses know their views

    with patched_settings(_SETTINGS):
        generator: Any = SchemaGenerator(patterns=doors)  # type: ignore[no-untyped-call]
        found = generator.get_schema(request=None, public=True)
    found["components"].setdefault("schemas", {}).update(components())
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
