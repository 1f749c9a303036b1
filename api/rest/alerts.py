"""Alerts and violations: lists of them, and what people do about an alert."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from api import errors
from api.errors import Problem
from api.grants import HANDLE_ALERT, VIEW_ALERT, VIEW_VIOLATION
from api.rest.base import RiskView, caller
from api.rest.bodies import json_body
from api.rest.lists import answer_page, one_of
from api.rest.queries import flag, identifier, read_part, read_query, uuid
from feeds import values
from feeds.malformed import Wrong
from feeds.objects import Parser, read_object
from riskcore.book import PolicyType
from riskcore.decimals import tidy
from violations.errors import AlertError, NoSuchAlert
from violations.models import NAME_LENGTH, NOTE_LENGTH, Alert, AlertState, Kind, Level, Violation
from violations.services import do_acknowledge_alert, do_silence_alert

_MOST_BYTES = 16 * 1024


class AlertsView(RiskView):
    """Alerts, the newest first."""

    needs = {"GET": (VIEW_ALERT,)}

    def get(self, request: Request) -> Response:
        """Return the alerts that every filter lets through."""
        filters = {"level": ("level", one_of(Level)), "state": ("state", one_of(AlertState))}
        return answer_page(request, Alert.objects.all(), "raised_at", filters, shown_alert)


class _AlertView(RiskView):
    """One alert, to be acted on by whoever may, for its account."""

    needs = {"POST": (HANDLE_ALERT,)}

    def act(self, request: Request, alert_id: str, do: Callable[[UUID], Alert]) -> Response:
        read_query(request, {})
        try:
            return Response(shown_alert(do(read_part("id", alert_id, uuid))))
        except NoSuchAlert as error:
            raise errors.not_found(str(error)) from None
        except AlertError as error:
            raise Problem(409, "conflict", str(error)) from None


class AcknowledgeView(_AlertView):
    """Taking an alert on."""

    def post(self, request: Request, alert_id: str) -> Response:
        """Acknowledge an alert: it is not published again until its limit has held in between."""
        asked = read_object(json_body(request._request, _MOST_BYTES), {"note": _words}, ("note",))
        who = caller(request).acting
        return self.act(
            request, alert_id, lambda key: do_acknowledge_alert(acting=who, alert_id=key, note=asked["note"])
        )


class SilenceView(_AlertView):
    """Having an alert be silent for a while."""

    def post(self, request: Request, alert_id: str) -> Response:
        """Silence an alert until a moment: nobody is told of it until then, also where it comes back."""
        fields: Mapping[str, Parser] = {"until": values.instant, "reason": _words}
        asked = read_object(json_body(request._request, _MOST_BYTES), fields, tuple(fields))
        who = caller(request).acting
        return self.act(request, alert_id, lambda key: do_silence_alert(acting=who, alert_id=key, **asked))


class ViolationsView(RiskView):
    """Violations, the newest first."""

    needs = {"GET": (VIEW_VIOLATION,)}

    def get(self, request: Request) -> Response:
        """Return the violations that every filter lets through; `open`: those that are not over, or are."""
        filters = {
            "kind": ("kind", one_of(Kind)),
            "policy_id": ("policy_id", _policy),
            "policy_type": ("policy_type", one_of(PolicyType)),
            "metric": ("metric", identifier),
            "open": ("closed_at__isnull", flag),
        }
        return answer_page(request, Violation.objects.all(), "opened_at", filters, shown_violation)


def _policy(text: str) -> str:
    """Return the id of a policy, or of a capital profile's bound."""
    return values.checked_text(text, NAME_LENGTH)


def _words(raw: bytes) -> str:
    """Return a note: some text of at most 500 characters."""
    text = values.any_text(raw).strip()
    if not 1 <= len(text) <= NOTE_LENGTH or "\0" in text:
        raise Wrong(f"must have 1 to {NOTE_LENGTH} characters", "length")
    return text


def _number(value: Decimal | None) -> Decimal | None:
    return None if value is None else tidy(value)


def _limit(row: Alert | Violation) -> dict[str, Any]:
    return {
        "account_id": row.account_id or None,
        "symbol": row.symbol or None,
        "exchange": row.exchange or None,
        "policy_id": row.policy_id or None,
        "policy_name": row.policy_name,
        "policy_type": row.policy_type,
        "metric": row.metric,
        "operator": row.operator,
    }


def shown_alert(row: Alert) -> dict[str, Any]:
    """Return an alert as it is shown; amounts in the metric's unit, null where they are not defined."""
    return {
        "id": row.pk,
        "level": row.level,
        "state": row.state,
        **_limit(row),
        "metric_value": _number(row.value),
        "threshold_value": _number(row.threshold),
        "message": row.message,
        "violation_id": row.violation_id,
        "timestamp": row.raised_at,
        "published_at": row.published_at,
        "times_published": row.times_published,
        "acknowledged_by": row.acknowledged_by or None,
        "acknowledged_at": row.acknowledged_at,
        "note": row.note or None,
        "silenced_by": row.silenced_by or None,
        "silenced_at": row.silenced_at,
        "silenced_until": row.silenced_until,
        "silence_reason": row.silence_reason or None,
        "resolved_at": row.resolved_at,
    }


def shown_violation(row: Violation) -> dict[str, Any]:
    """Return a violation as it is shown; a utilisation of null is beyond measure."""
    return {
        "id": row.pk,
        "kind": row.kind,
        **_limit(row),
        "policy_version": row.policy_version,
        "threshold": _number(row.threshold),
        "value": _number(row.value),
        "utilisation": _number(row.utilisation),
        "worst_value": _number(row.worst_value),
        "worst_utilisation": _number(row.worst_utilisation),
        "worst_at": row.worst_at,
        "message": row.message,
        "observations": row.observations,
        "opened_at": row.opened_at,
        "last_at": row.last_at,
        "closed_at": row.closed_at,
        "order_id": row.order_id or None,
        "decision_id": row.decision_id,
    }
