"""How the service is: alive, ready, what it has done, what Prometheus scrapes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.utils import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework.request import Request
from rest_framework.response import Response

from api.desk import desk
from api.errors import Problem
from api.grants import VIEW_ACCOUNT
from api.reading import in_force_now, monitor_age_s
from api.rest.base import RiskView
from api.rest.queries import read_query
from api.statistics import counted, exposition
from api.survey import survey
from state.store import StateUnavailable, Store

_STARTED = time.monotonic()


class HealthView(RiskView):
    """Is the process alive?"""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        """Answer, whatever else is down."""
        return Response({"status": "healthy", "service": "risk"})


class Dependency(Struct, frozen=True, omit_defaults=True):
    """Something that checks may need. `needed`: without it no order is approved."""

    status: str
    needed: bool
    detail: str = ""


class ReadyView(RiskView):
    """May orders be approved?"""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        """Look at every dependency; 503 where one is down that is needed."""
        store = desk().store
        found = {
            "live_state": _look(lambda: _restored(store), needed=True),
            "policy_book": _look(lambda: f"version {in_force_now(store).book.version}", needed=True),
            "api_keys": _look(lambda: _keys(store), needed=True),
            "database": _look(_database, needed=False),
            "monitor": _look(lambda: _monitor(store), needed=settings.RISK_MONITOR_SILENCE_BLOCKS),
        }
        down = [each for each in found.values() if each.status != "up"]
        blocked = any(each.needed for each in down)
        status = "not_ready" if blocked else "degraded" if down else "ready"
        body: dict[str, Any] = {"status": status, "service": "risk", "dependencies": found}
        return Response(body, status=503 if blocked else 200)


class StatsView(RiskView):
    """What was done so far."""

    needs = {"GET": (VIEW_ACCOUNT,)}

    def get(self, request: Request) -> Response:
        """Return counts over all processes, the state of accounts, and how long checks take."""
        read_query(request, {})
        done, seen = counted(), survey(desk().store)
        return Response(
            {
                "orders_checked": done.checked,
                "orders_approved": done.approved,
                "orders_rejected": done.rejected,
                "rejected_by_reason": done.by_reason,
                "checks_by_result": done.by_result,
                "latency_us": done.latency_us,
                "active_positions": seen.active_positions,
                "pending_orders": seen.pending_orders,
                "accounts": seen.accounts,
                "risk_level": seen.risk_level,
                "stops": seen.stops,
                "uptime_seconds": round(time.monotonic() - _STARTED, 1),
            }
        )


@require_safe
def prometheus(_request: HttpRequest) -> HttpResponse:
    """Answer with every metric in Prometheus' text format."""
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)


def _look(at: Callable[[], str], *, needed: bool) -> Dependency:
    """Return what became of looking at a dependency. The text of an error may name hosts: it is not shown."""
    try:
        return Dependency("up", needed, at())
    except Problem as problem:
        return Dependency("down", needed, problem.detail)
    except StateUnavailable:
        return Dependency("down", needed, "the live state cannot be reached or read")
    except DatabaseError:
        return Dependency("down", needed, "the database cannot be reached")


def _restored(store: Store) -> str:
    in_force_now(store)
    return "; ".join(store.warnings())


def _keys(store: Store) -> str:
    if store.fetch_keys() is None:
        raise Problem(503, "recovering", "the API keys are not published")
    return ""


def _monitor(store: Store) -> str:
    age_s = monitor_age_s(store)
    if age_s is None:
        raise Problem(503, "monitor_silent", "no monitor has looked at the accounts yet")
    if age_s > settings.RISK_MONITOR_SILENCE.total_seconds():
        raise Problem(503, "monitor_silent", f"the last look at the accounts was {age_s:.0f} s ago")
    return ""


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "decisions wait in the journal while it is down"
