"""GET /history/: what the charts of the firm, or of one account, are drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from api import errors
from api.grants import VIEW_ACCOUNT
from api.rest.base import RiskView, StaffAuthentication, demand_account, demand_all_accounts
from api.rest.queries import identifier, read_query, whole
from dashboard.curves import Row, thinned, with_gaps
from feeds.equity import FIGURES
from feeds.models import EquityPoint
from policies.models import Account
from riskcore.firm import FIRM

CURVES = ("equity", *FIGURES)
_MOST_HOURS = 168
_HOURS = 24

# Rows that are fetched together.
_TOGETHER = 2_000


class HistoryView(RiskView):
    """The history of an account or of the firm, for people who are signed in."""

    needs = {"GET": (VIEW_ACCOUNT,)}
    authentication_classes = (StaffAuthentication,)
    http_method_names = ("get", "head")

    def get(self, request: Request) -> Response:
        """Return moments (seconds since the epoch) and, for each, the value of each curve, null where not known.

        `account` empty or left out: the firm; `hours`: how far back, 24 if left out. Equity and gross exposure in
        currency, daily drawdown and VaR (95, one day) as fractions. Floats, which are for drawing and not for sums.
        """
        query = read_query(request, {"account": _account, "hours": whole(1, _MOST_HOURS)})
        account_id, hours = query.get("account", FIRM), query.get("hours", _HOURS)
        if account_id == FIRM:
            demand_all_accounts(request, "the figures of the firm")
        else:
            demand_account(request, account_id)
        found = _history(account_id, timedelta(hours=hours))
        if not found and account_id != FIRM and not Account.objects.filter(pk=account_id).exists():
            raise errors.not_found(f"there is no account {account_id}")
        # What was true for one look must not be shown as true later, or to somebody else.
        return Response(_columns(found), headers={"Cache-Control": "no-store"})


def _account(text: str) -> str:
    """Return an account's id, or the firm's empty one."""
    return identifier(text) if text else FIRM


def _history(account_id: str, back: timedelta) -> list[Row]:
    """Return the rows of an account of the last hours, as many as a chart takes."""
    now = timezone.now()
    rows = with_gaps(_rows(account_id, now - back), settings.RISK_EQUITY_INTERVAL.total_seconds())
    return thinned(rows, (now - back).timestamp(), now.timestamp())


def _rows(account_id: str, since: datetime) -> Iterator[Row]:
    points = EquityPoint.objects.filter(account_id=account_id, at__gte=since).order_by("at")
    for at, *values in points.values_list("at", *CURVES).iterator(chunk_size=_TOGETHER):
        yield at.timestamp(), tuple(values)


def _columns(rows: list[Row]) -> dict[str, list[float | None]]:
    """Return rows as the chart wants them: a list of moments and one for each curve."""
    columns: dict[str, list[float | None]] = {"at": [round(at_s, 3) for at_s, _ in rows]}
    for place, name in enumerate(CURVES):
        curve = (values[place] for _, values in rows)
        columns[name] = [None if value is None else float(value) for value in curve]
    return columns
