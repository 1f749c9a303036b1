"""What went wrong: violations and alerts."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet

from api.grants import HANDLE_ALERT, VIEW_ALERT, VIEW_DECISION, VIEW_VIOLATION
from api.rest.lists import one_of
from api.rest.queries import flag, identifier
from dashboard.views.lists import ACCOUNT, SINCE, SYMBOL, UNTIL, Filter, ListPage, choices
from riskcore.book import PolicyType
from violations.models import Alert, AlertState, Kind, Level, Violation


class AlertsPage(ListPage):
    """What people were told, and what they did about it."""

    template_name = "dashboard/alerts.html"
    needs = (VIEW_ALERT,)
    moment_name = "raised_at"
    filters: ClassVar = (
        Filter(name="level", label="Level", parse=one_of(Level), choices=choices(Level.values)),
        Filter(name="state", label="State", parse=one_of(AlertState), choices=choices(AlertState.values)),
        *(ACCOUNT, SYMBOL, SINCE, UNTIL),
    )

    def rows(self) -> QuerySet[Any]:
        return Alert.objects.select_related("violation")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may = {"may_handle": self.acting.may(HANDLE_ALERT), "may_see_decisions": self.acting.may(VIEW_DECISION)}
        return super().get_context_data(**kwargs) | may


class ViolationsPage(ListPage):
    """Limits that were broken, and orders that were blocked for them."""

    template_name = "dashboard/violations.html"
    needs = (VIEW_VIOLATION,)
    moment_name = "opened_at"
    filters: ClassVar = (
        Filter(
            name="open",
            label="Open",
            parse=flag,
            lookup="closed_at__isnull",
            choices=(("true", "still open"), ("false", "over")),
        ),
        Filter(
            name="policy_type",
            label="Type",
            parse=one_of(PolicyType),
            choices=choices(each.value for each in PolicyType),
        ),
        Filter(name="kind", label="Found by", parse=one_of(Kind), choices=tuple(Kind.choices)),
        Filter(name="metric", label="Metric", parse=identifier),
        *(ACCOUNT, SYMBOL, SINCE, UNTIL),
    )

    def rows(self) -> QuerySet[Any]:
        return Violation.objects.all()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"may_see_decisions": self.acting.may(VIEW_DECISION)}
