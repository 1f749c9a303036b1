"""Emergency stops in the admin: to stop trading, to re-enable it, and to read what was."""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.acting import Acting, NotAllowed
from audit.admin import ReadOnlyAdmin, pretty
from audit.rights import acting_of
from audit.seeing import OfAccounts
from audit.unfold import RadioSelectWidget, TextareaWidget, display
from emergency.errors import EmergencyError
from emergency.models import ENGAGE_STOP, LIFT_STOP, EmergencyStop, StopAccount
from emergency.patience import do_give_up, do_go_on
from emergency.services import LONGEST_REASON, Engaged, Lifted, do_engage_stop, do_re_enable
from emergency.words import Trigger
from policies.models import Account
from riskcore.ports import StopScope
from riskcore.types import TradingState
from state.store import StateUnavailable

_AWAY = "The live state cannot be reached: the stop is not known to be in force. Try again."


def _reason(what: str) -> forms.CharField:
    return forms.CharField(
        label="Reason",
        max_length=LONGEST_REASON,
        widget=TextareaWidget(attrs={"rows": 2}),
        help_text=f"{what} Kept for good in the audit log, with your name.",
    )


class _ActForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that does what it says while it is validated, so that a refusal is shown on it."""

    acting: ClassVar[Acting]

    made: Engaged | Lifted | EmergencyStop | None = None

    def _post_clean(self) -> None:
        if self.errors:
            return
        try:
            self.made = self.act(self.cleaned_data)
        except (EmergencyError, NotAllowed) as error:
            self.add_error(None, str(error))
        except StateUnavailable:
            self.add_error(None, _AWAY)
        except ValidationError as error:
            for name, texts in error.message_dict.items():
                self.add_error(name if name in self.fields else None, texts)

    @abstractmethod
    def act(self, given: dict[str, Any]) -> Engaged | Lifted | EmergencyStop:
        """Do it, with what the fields say. Raises EmergencyError, StateUnavailable, and ValidationError by field."""


class EngageForm(_ActForm):
    """Stops trading."""

    reason = _reason("Why trading is stopped; traders see it.")
    confirm = forms.BooleanField(
        label="Stop trading now", help_text="It is in force for every process as soon as this is saved."
    )

    class Meta:
        model = EmergencyStop
        fields = ("scope", "scope_id", "state", "unwind")
        labels = {
            "scope": "Where",
            "scope_id": "Which one",
            "state": "What stays possible",
            "unwind": "Close positions",
        }
        help_texts = {
            "scope_id": "The name of the account, strategy, symbol or exchange; empty: everywhere.",
            "unwind": "The OMS is asked to cancel orders in any case; this closes positions as well.",
        }

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        account_id = given.get("scope_id", "")
        if given.get("scope") == StopScope.ACCOUNT and not Account.objects.filter(pk=account_id).exists():
            self.add_error("scope_id", f"There is no account {account_id or 'without a name'}.")
        return given

    def act(self, given: dict[str, Any]) -> Engaged:
        return do_engage_stop(
            acting=self.acting,
            reason=given["reason"],
            trigger=Trigger.PERSON,
            scope=given["scope"],
            scope_id=given["scope_id"],
            state=TradingState(given["state"]),
            unwind=given["unwind"],
        )


class Act(models.TextChoices):
    """What may be done with a stop in force."""

    RE_ENABLE = "re_enable", "Re-enable trading: orders are approved again"
    GIVE_UP = "give_up", "Ask the OMS no more to cancel and close; trading stays stopped"
    GO_ON = "go_on", "Have the OMS asked again, after somebody gave up; trading stays stopped"


class ChangeForm(_ActForm):
    """Lifts a stop, or says whether the OMS is asked on. Nothing is chosen beforehand."""

    what = forms.ChoiceField(label="What is to be done", choices=Act.choices, widget=RadioSelectWidget())
    why = _reason("Why.")
    force = forms.BooleanField(
        required=False,
        label="In spite of a breach",
        help_text="To re-enable trading while an emergency policy is breached, two people must ask within 15 minutes.",
    )
    confirm = forms.BooleanField(label="Do it now", help_text="It is in force as soon as this is saved.")

    class Meta:
        model = EmergencyStop
        fields = ()

    def act(self, given: dict[str, Any]) -> Lifted | EmergencyStop:
        said = {"acting": self.acting, "reason": given["why"], "stop_id": self.instance.pk}
        match given["what"]:
            case Act.GIVE_UP:
                return do_give_up(**said)
            case Act.GO_ON:
                return do_go_on(**said)
            case _:
                return do_re_enable(**said, force=given.get("force", False))


_CHOICES = {
    "scope": [
        (StopScope.GLOBAL.value, "everywhere"),
        *((scope.value, f"one {scope.value}") for scope in StopScope if scope is not StopScope.GLOBAL),
    ],
    "state": [
        (TradingState.HALTED.value, "HALTED: no order"),
        (TradingState.REDUCING.value, "REDUCING: orders that strictly reduce a position"),
    ],
}

# What names accounts that a stop found, which may be those of others.
_INSIDE = ("shown_residuals", "timeline", "accounts_then", "given_up_reason")


def _is_theirs(request: HttpRequest, stop: EmergencyStop) -> bool:
    """Return whether all that a stop is about is this person's business."""
    accounts = acting_of(request.user).accounts
    return not accounts or (stop.scope == StopScope.ACCOUNT and stop.scope_id in accounts)


@admin.register(EmergencyStop)
class EmergencyStopAdmin(OfAccounts, ReadOnlyAdmin):
    """A stop is engaged by adding one and lifted by saving it, or the OMS asked no more; nothing else changes."""

    list_display = (
        "engaged_at",
        "shown_state",
        "where",
        "shown_in_force",
        "trigger",
        "triggered_by",
        "reason",
        "shown_status",
    )
    said_of_none = "Trading was never stopped."
    list_filter = (
        "scope",
        "state",
        "trigger",
        "status",
        "given_up",
        ("lifted_at", admin.EmptyFieldListFilter),
        "engaged_at",
    )
    search_fields = ("scope_id", "triggered_by", "reason", "lifted_by")
    _shown = (
        *("shown_in_force", "shown_state", "where", "unwind", "reason", "triggered_by", "trigger", "asked_at"),
        *("engaged_at", "recorded_at", "status", "shown_residuals", "given_up", "given_up_by", "given_up_at"),
        *("given_up_reason", "timeline", "accounts_then"),
        *("force_asked_by", "force_asked_at", "force_reason"),
        *("lifted_at", "lifted_by", "lifted_reason", "forced", "approved_by"),
    )

    def theirs(self, accounts: frozenset[str]) -> Q:
        """Return the condition of concerning these accounts: stops of no account concern all."""
        return ~Q(scope=StopScope.ACCOUNT.value) | Q(scope_id__in=accounts)

    change_form_template = "admin/one_button.html"
    add_button, change_button = "Stop trading", "Do it"

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Say in words what there is to choose."""
        return super().formfield_for_choice_field(
            db_field, request, **{**kwargs, "choices": _CHOICES.get(db_field.name, db_field.choices)}
        )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Return what a stop is where nobody says otherwise."""
        usual = {"scope": StopScope.GLOBAL.value, "state": TradingState.HALTED.value}
        return {**usual, **super().get_changeform_initial_data(request)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether this person may stop trading."""
        return request.user.has_perm(ENGAGE_STOP)

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Return whether this person may re-enable trading, and there is something to re-enable."""
        if not request.user.has_perm(LIFT_STOP):
            return False
        return not isinstance(obj, EmergencyStop) or (obj.in_force and _is_theirs(request, obj))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = ChangeForm if change else EngageForm
        made: Any = super().get_form(request, obj, change, **{**kwargs, "form": form, "fields": form.Meta.fields})
        made.acting = acting_of(request.user)
        return made

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ("scope", "scope_id", "state", "unwind", "reason", "confirm")
        shown = self.get_readonly_fields(request, obj)
        may = self.has_change_permission(request, obj)
        return (*shown, "what", "why", "force", "confirm") if may else shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        return tuple(name for name in self._shown if name not in _INSIDE or _is_theirs(request, obj))

    def save_model(self, request: HttpRequest, obj: Any, form: _ActForm, change: bool) -> None:
        """Take over what the service has written."""
        made = form.made
        assert made is not None  # a form without one is not valid
        if isinstance(made, Engaged):
            obj.pk = made.stop_id
        obj.refresh_from_db()
        request.made = made  # type: ignore[attr-defined]

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _and_said(request, super().changeform_view(request, *args, **kwargs))

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override]
        """The audit log has it."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override]
        """The audit log has it."""

    @display(description="In force", label={"in force": "danger", "lifted": "success"})
    def shown_in_force(self, stop: EmergencyStop) -> str:
        return "in force" if stop.in_force else "lifted"

    @display(description="State", label={"HALTED": "danger", "REDUCING": "warning"})
    def shown_state(self, stop: EmergencyStop) -> str:
        return stop.state

    @display(description="Status", ordering="status", label={"given up": "danger", "completed": "success"})
    def shown_status(self, stop: EmergencyStop) -> str:
        return "given up" if stop.given_up else stop.status

    @display(description="Where")
    def where(self, stop: EmergencyStop) -> str:
        return stop.where

    @display(description="What is left")
    def shown_residuals(self, stop: EmergencyStop) -> SafeString | str:
        if not stop.residuals:
            return "nothing"
        return render_to_string("admin/emergency/residuals.html", {"residuals": stop.residuals})

    @display(description="Timeline")
    def timeline(self, stop: EmergencyStop) -> SafeString:
        return render_to_string("admin/emergency/timeline.html", {"steps": stop.steps.all()})

    @display(description="Accounts then")
    def accounts_then(self, stop: EmergencyStop) -> SafeString:
        url = f"{reverse('admin:emergency_stopaccount_changelist')}?stop__id__exact={stop.pk}"
        return format_html('<a class="underline" href="{}">{} as they were</a>', url, stop.accounts.count())


@admin.register(StopAccount)
class StopAccountAdmin(OfAccounts, ReadOnlyAdmin):
    list_display = ("account_id", "stop", "account_version")
    list_select_related = ("stop",)
    search_fields = ("account_id__exact",)
    fields = ("stop", "account_id", "account_version", "shown_account_state")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup == "stop__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description="State")
    def shown_account_state(self, account: StopAccount) -> SafeString | str:
        return pretty(json.loads(account.state)) if account.state else "none was ever reported"


def _and_said(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Say, after the commit, what is in force now."""
    made: Engaged | Lifted | EmergencyStop | None = getattr(request, "made", None)
    if isinstance(made, Engaged) and not made.new:
        messages.warning(request, "A stop that asks for no less was in force already: this is it.")
    if isinstance(made, Lifted):
        if not all(stop.lifted for stop in made.stops):
            messages.warning(request, "It stays in force until a second person asks for the same.")
        elif not made.live:
            messages.warning(request, "It is lifted as soon as the live state can be reached.")
    return response
