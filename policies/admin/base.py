"""What every admin of this package has in common: a saved form is a change request, a history, no delete.

A form is written as a request while it is validated: whatever the service refuses is shown on the form, and there is
no second way to write a row. What comes of the request is seen and said on its own page.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from simple_history.admin import SimpleHistoryAdmin
from simple_history.template_utils import HistoricalRecordContextHelper

from audit.acting import Acting, NotAllowed
from audit.rights import acting_of
from audit.unfold import ModelAdmin, TextareaWidget, TextInputWidget
from policies.admin.editing import Editing
from policies.edits import EDITABLE, Edit
from policies.errors import PolicyError, StaleEdit
from policies.fields import NameListField, WindowListField
from policies.models import CHANGE_LIMITS, ChangeRequest, Managed
from policies.requests.applying import settable_when_new
from policies.requests.finding import open_requests
from riskcore.decimals import tidy

_WHY = ("Why", {"fields": ("change_reason", "expected_version", "request_version")})


class RequestForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that is written as a change request. `acting`, `owner` and `editing` are set for each HTTP request."""

    acting: ClassVar[Acting]
    owner: ClassVar[ManagedAdmin]
    editing: ClassVar[Editing]

    change_reason = forms.CharField(
        label="Reason for this change",
        widget=TextareaWidget(attrs={"rows": 2}),
        help_text="Kept for good in the audit log, with your name and what was changed. "
        "Nothing is changed yet: first you see what this does.",
    )
    expected_version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    request_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    made: ChangeRequest | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.update(self.editing.initial())
        for name, value in self.initial.items():
            if isinstance(value, Decimal):
                self.initial[name] = f"{tidy(value):f}"
        if not self.instance._state.adding:
            # The row may be one of the past, shown to be restored: what it replaces is the row as it is now.
            present = type(self.instance)._default_manager.filter(pk=self.instance.pk).first()
            self.initial["expected_version"] = present.version if present is not None else 0

    def _post_clean(self) -> None:
        creating = self.instance._state.adding
        super()._post_clean()  # type: ignore[misc]
        if not self.errors:
            self._write(self._edit(creating=creating))
        if self.errors and not creating:
            # What stands beside the form is said of the row, not of what was typed and refused.
            self.instance.refresh_from_db()

    def _edit(self, *, creating: bool) -> Edit:
        model, given = self.owner.model, self.cleaned_data
        settable = settable_when_new(model) if creating else model.CHANGEABLE
        fields = {name: _as_json(value) for name, value in given.items() if name in settable}
        if creating:
            pk = model._meta.pk.name
            key = str(given[pk]) if pk in given else self.editing.key
            return Edit(self.owner.kind, key, 0, {**fields, **self.owner.said_of_new(given)})
        return Edit(self.owner.kind, str(self.instance.pk), given.get("expected_version") or -1, fields)

    def _write(self, edit: Edit) -> None:
        seen = self.cleaned_data.get("request_version") or 0
        try:
            self.made = self.editing.write(self.acting, self.cleaned_data["change_reason"], edit, seen)
        except StaleEdit as error:
            self.add_error(None, _with_link(error, self.owner.change_url(self.instance)))
        except (PolicyError, NotAllowed) as error:
            self.add_error(None, str(error))
        except ValidationError as error:
            self._add_errors(error)

    def _add_errors(self, error: ValidationError) -> None:
        for name, texts in error.message_dict.items():
            field = self.editing.own_field(name)
            self.add_error(field if field in self.fields else None, texts)


class ManagedAdmin(SimpleHistoryAdmin, ModelAdmin):  # type: ignore[misc]
    """An admin whose forms are written as change requests."""

    model: type[Managed]
    form = RequestForm
    actions = None
    list_per_page = 50
    object_history_template = "admin/policies/history.html"
    change_form_template = "admin/policies/row.html"
    formfield_overrides: ClassVar[dict[type[models.Field[Any, Any]], dict[str, Any]]] = {
        NameListField: {"widget": TextInputWidget},
        WindowListField: {"widget": TextareaWidget(attrs={"rows": 2})},
        models.TextField: {"widget": TextareaWidget(attrs={"rows": 2})},
    }
    # Fields that are set once, when the row is made.
    fixed: ClassVar[tuple[str, ...]] = ()

    @property
    def kind(self) -> str:
        """Return what requests call a row of this admin."""
        return next(kind for kind, model in EDITABLE.items() if model is self.model)

    @abstractmethod
    def groups(self, obj: Any) -> tuple[Any, ...]:
        """Return the fieldsets of the row, or of a new one if `obj` is None."""

    def said_of_new(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return fields of a new row that the form says otherwise than by their names."""
        return {}

    def change_url(self, row: models.Model) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=(row.pk,))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.acting, form.owner = acting_of(request.user), self
        form.editing = Editing.asked_for(request.GET, self.kind, "" if obj is None else str(obj.pk))
        for field in form.base_fields.values():
            # A row made in a window beside would not be there yet: it is a request first.
            field.widget.can_add_related = field.widget.can_change_related = False
        return form

    def get_historical_record_context_helper(self, request: HttpRequest, historical_record: Any) -> Any:
        return _Differences(self.model, historical_record)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return (*self.groups(obj), _WHY) if may_write else self.groups(obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        readonly = tuple(super().get_readonly_fields(request, obj))
        return (*readonly, *self.fixed) if obj else readonly

    def has_add_permission(self, request: HttpRequest) -> bool:
        return acting_of(request.user).may(CHANGE_LIMITS)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return acting_of(request.user).may(CHANGE_LIMITS)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Say as well which request the form edits, and which others change the row already."""
        row, edited = context.get("original"), context["adminform"].form.editing.request
        asked = open_requests(self.kind, str(row.pk)) if row is not None else []
        context["open_requests"] = [each for each in asked if each != edited]
        context["edited_request"] = edited
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: RequestForm, change: bool) -> None:
        """Remember the request that was written; the row is written when that is published."""
        request.written = form.made  # type: ignore[attr-defined]

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write nothing: the audit log has what was asked, and nothing was changed."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write nothing: the audit log has what was asked, and nothing was changed."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> Any:
        return _to_request(request)

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        return _to_request(request)

    def history_form_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with transaction.atomic():
            return super().history_form_view(request, *args, **kwargs)


class _Differences(HistoricalRecordContextHelper):  # type: ignore[misc]
    """Shows the changes of a row without the zeros that its columns add."""

    def prepare_delta_change_value(self, change: Any, value: Any) -> Any:
        shown = super().prepare_delta_change_value(change, value)
        return f"{tidy(shown):f}" if isinstance(shown, Decimal) else shown


def _to_request(request: HttpRequest) -> HttpResponseRedirect:
    """Go to the page of the request that a form has written."""
    written: ChangeRequest = request.written  # type: ignore[attr-defined]
    return HttpResponseRedirect(reverse("admin:policies_changerequest_change", args=(written.pk,)))


def _as_json(value: Any) -> Any:
    return value.pk if isinstance(value, models.Model) else value


def _with_link(error: StaleEdit, url: str) -> str:
    return format_html('{} <a href="{}" class="underline">Load the present version</a>', str(error), url)
