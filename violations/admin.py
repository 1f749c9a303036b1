"""Alerts and violations in the admin: to read, and for alerts to acknowledge and to silence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from audit.acting import Acting, NotAllowed
from audit.admin import ReadOnlyAdmin
from audit.rights import acting_of
from audit.seeing import OfAccounts
from audit.unfold import InfinitePaginator, TextareaWidget, display
from riskcore.decimals import tidy
from violations.errors import AlertError
from violations.models import NOTE_LENGTH, Alert, BreakerTrip, Violation
from violations.services import HANDLE, do_acknowledge_alert, do_silence_alert

_LEVELS = {"warning": "warning", "critical": "danger", "emergency": "danger"}
_STATES = {"firing": "danger", "acknowledged": "warning", "silenced": "info", "resolved": "success"}
_TYPES = {"soft": "warning", "hard": "danger", "emergency": "danger"}

_ACKNOWLEDGE = "acknowledge"
_SILENCES = {
    "15": ("Silence it for 15 minutes", timedelta(minutes=15)),
    "60": ("Silence it for an hour", timedelta(hours=1)),
    "240": ("Silence it for 4 hours", timedelta(hours=4)),
    "1440": ("Silence it for a day", timedelta(days=1)),
    "10080": ("Silence it for a week", timedelta(days=7)),
}


def number(row: Any, name: str) -> str:
    """Return a decimal without the zeros of its column."""
    value = getattr(row, name)
    return "not defined" if value is None else f"{tidy(value):f}"


class HandleForm(forms.ModelForm):  # type: ignore[type-arg]
    """Acknowledges or silences the alert while it is validated, so that a refusal is shown on the form."""

    acting: ClassVar[Acting]

    act = forms.ChoiceField(
        label="What to do",
        choices=[(_ACKNOWLEDGE, "Acknowledge it"), *((key, label) for key, (label, _) in _SILENCES.items())],
    )
    note = forms.CharField(
        label="Note or reason",
        max_length=NOTE_LENGTH,
        widget=TextareaWidget(attrs={"rows": 2}),
        help_text="Kept for good in the audit log, with your name.",
    )

    class Meta:
        model = Alert
        fields = ()

    def _post_clean(self) -> None:
        if self.errors:
            return
        act, note = self.cleaned_data["act"], self.cleaned_data["note"]
        try:
            if act == _ACKNOWLEDGE:
                do_acknowledge_alert(acting=self.acting, alert_id=self.instance.pk, note=note)
            else:
                until = timezone.now() + _SILENCES[act][1]
                do_silence_alert(acting=self.acting, alert_id=self.instance.pk, until=until, reason=note)
        except (AlertError, NotAllowed) as error:
            self.add_error(None, str(error))
        except ValidationError as error:
            self.add_error("note", error.messages)


@admin.register(Alert)
class AlertAdmin(OfAccounts, ReadOnlyAdmin):
    form = HandleForm
    change_form_template = "admin/one_button.html"
    change_button = "Do it"
    list_display = (
        *("raised_at", "shown_level", "shown_state", "policy_name", "account_id", "symbol", "metric", "shown_value"),
        *("shown_threshold", "acknowledged_by"),
    )
    said_of_none = "Alerts are raised by the monitor, as soon as a limit is broken."
    list_filter = ("level", "state", "raised_at")
    search_fields = ("account_id__exact", "symbol__exact", "policy_name")
    search_help_text = "An account or symbol, spelled out, or part of a policy's name"
    paginator = InfinitePaginator
    _shown = (
        *("shown_level", "shown_state", "policy_name", "policy_type", "account_id", "symbol", "exchange", "message"),
        *("metric", "shown_value", "operator", "shown_threshold", "violation", "raised_at", "published_at"),
        *("times_published", "deliveries", "resolved_at", "acknowledged_by", "acknowledged_at", "kept_note"),
        *("silenced_by", "silenced_at", "silenced_until", "silence_reason"),
    )
    readonly_fields = _shown

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> tuple[str, ...]:
        return (*self._shown, "act", "note") if self.has_change_permission(request, obj) else self._shown

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        made: Any = super().get_form(request, obj, change, **{**kwargs, "fields": ()})
        made.acting = acting_of(request.user)
        return made

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Return whether this person may act on the alert; there is nothing else to change."""
        return request.user.has_perm(HANDLE)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The form has done it already."""
        obj.refresh_from_db()
        messages.info(
            request, "The alert is acknowledged." if form.cleaned_data["act"] == _ACKNOWLEDGE else _until(obj)
        )

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override]
        """The audit log has it."""

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> list[Any]:
        return []

    @display(description="Level", ordering="level", label=_LEVELS)
    def shown_level(self, alert: Alert) -> str:
        return alert.level

    @display(description="State", ordering="state", label=_STATES)
    def shown_state(self, alert: Alert) -> str:
        return alert.state

    @display(description="Value")
    def shown_value(self, alert: Alert) -> str:
        return number(alert, "value")

    @display(description="Limit")
    def shown_threshold(self, alert: Alert) -> str:
        return number(alert, "threshold")

    @display(description="Note")
    def kept_note(self, alert: Alert) -> str:
        return alert.note

    @display(description="Sent")
    def deliveries(self, alert: Alert) -> SafeString | str:
        rows = alert.deliveries.order_by("-id")[:20]
        return format_html_join("", "<div>{} {}</div>", ((str(row), _became(row)) for row in rows)) or "to nobody"


def _until(alert: Alert) -> str:
    return f"The alert is silenced until {alert.silenced_until:%Y-%m-%d %H:%M:%S} UTC."


def _became(row: Any) -> str:
    if row.sent_at is not None:
        return "sent"
    again = f" after {row.attempts} attempts: {row.error}" if row.attempts else ""
    return f"given up{again}" if row.given_up_at is not None else f"waits{again}"


@admin.register(Violation)
class ViolationAdmin(OfAccounts, ReadOnlyAdmin):
    list_display = (
        *("opened_at", "closed_at", "kind", "shown_type", "policy_name", "account_id", "symbol", "metric"),
        *("shown_worst", "shown_threshold", "observations"),
    )
    said_of_none = "No limit has been broken so far."
    list_filter = ("kind", "policy_type", ("closed_at", admin.EmptyFieldListFilter), "opened_at")
    search_fields = ("account_id__exact", "symbol__exact", "policy_name")
    search_help_text = "An account or symbol, spelled out, or part of a policy's name"
    paginator = InfinitePaginator
    fields = (
        *("kind", "shown_type", "policy_name", "policy_id", "policy_version", "account_id", "symbol", "exchange"),
        *("message", "metric", "operator", "shown_threshold", "shown_value", "shown_used", "shown_worst", "worst_used"),
        *("worst_at", "opened_at", "last_at", "closed_at", "observations", "order_id", "decision_id"),
    )

    @display(description="Type", ordering="policy_type", label=_TYPES)
    def shown_type(self, row: Violation) -> str:
        return row.policy_type

    @display(description="Limit")
    def shown_threshold(self, row: Violation) -> str:
        return number(row, "threshold")

    @display(description="Last value")
    def shown_value(self, row: Violation) -> str:
        return number(row, "value")

    @display(description="Worst value")
    def shown_worst(self, row: Violation) -> str:
        return number(row, "worst_value")

    @display(description="Utilisation")
    def shown_used(self, row: Violation) -> str:
        return "beyond measure" if row.utilisation is None else number(row, "utilisation")

    @display(description="Worst utilisation")
    def worst_used(self, row: Violation) -> str:
        return "beyond measure" if row.worst_utilisation is None else number(row, "worst_utilisation")


@admin.register(BreakerTrip)
class BreakerTripAdmin(OfAccounts, ReadOnlyAdmin):
    list_display = ("at", "account_id", "violations", "window_s", "scope", "scope_id", "state", "engaged_at")
    said_of_none = "The circuit breaker has stopped no account so far."
    list_filter = ("scope", "state", "at")
    search_fields = ("account_id__exact",)
    fields = (*list_display, "reason")
