"""What every admin of this package has in common: a reason for each change, no lost edits, a history, no delete.

A form is saved by the service that makes the change, while it is validated: whatever the service refuses is
shown on the form, and there is no second way to write a row.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from simple_history.admin import SimpleHistoryAdmin
from simple_history.template_utils import HistoricalRecordContextHelper

from audit.unfold import ModelAdmin, TextareaWidget, TextInputWidget
from policies.changes import Change
from policies.errors import PolicyError, StaleEdit
from policies.fields import NameListField
from policies.models import Managed
from riskcore.decimals import tidy

_WHY = ("Why", {"fields": ("change_reason", "expected_version")})


class ChangeForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that is saved by a service. `actor` and `owner` are set for each request."""

    actor: ClassVar[str]
    owner: ClassVar[ManagedAdmin]

    change_reason = forms.CharField(
        label="Reason for this change",
        widget=TextareaWidget(attrs={"rows": 2}),
        help_text="Kept for good in the audit log, with your name and what was changed.",
    )
    expected_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    made: Change[Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
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
            self._make_change(creating=creating)
        if self.errors and not creating:
            # What stands beside the form is said of the row, not of what was typed and refused.
            self.instance.refresh_from_db()

    def _make_change(self, *, creating: bool) -> None:
        fields = {name: value for name, value in self.cleaned_data.items() if name in self.owner.model.CHANGEABLE}
        why = {"actor": self.actor, "reason": self.cleaned_data["change_reason"]}
        try:
            if creating:
                self.made = self.owner.create(self.cleaned_data, fields, **why)
            else:
                version = self.cleaned_data.get("expected_version") or 0
                self.made = self.owner.change(self.instance, fields, expected_version=version, **why)
        except StaleEdit as error:
            self.add_error(None, _with_link(error, self.owner.change_url(self.instance)))
        except PolicyError as error:
            self.add_error(None, str(error))
        except ValidationError as error:
            self._add_errors(error)

    def _add_errors(self, error: ValidationError) -> None:
        for name, texts in error.message_dict.items():
            self.add_error(name if name in self.fields else None, texts)


class ManagedAdmin(SimpleHistoryAdmin, ModelAdmin):  # type: ignore[misc]
    """An admin whose rows are written by services. A subclass says by which in `create` and `change`."""

    model: type[Managed]
    form = ChangeForm
    actions = None
    list_per_page = 50
    object_history_template = "admin/policies/history.html"
    formfield_overrides: ClassVar[dict[type[models.Field[Any, Any]], dict[str, Any]]] = {
        NameListField: {"widget": TextInputWidget},
        models.TextField: {"widget": TextareaWidget(attrs={"rows": 2})},
    }
    # Fields that are set once, when the row is made.
    fixed: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def create(self, given: Mapping[str, Any], fields: Mapping[str, Any], **why: Any) -> Change[Any]:
        """Make the row: `fields` are those that can be changed later, `given` all that the form has."""

    @abstractmethod
    def change(self, row: Any, fields: Mapping[str, Any], *, expected_version: int, **why: Any) -> Change[Any]:
        """Change the row to `fields`."""

    def change_url(self, row: models.Model) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=(row.pk,))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.actor, form.owner = request.user.get_username(), self
        return form

    @abstractmethod
    def groups(self, obj: Any) -> tuple[Any, ...]:
        """Return the fieldsets of the row, or of a new one if `obj` is None."""

    def get_historical_record_context_helper(self, request: HttpRequest, historical_record: Any) -> Any:
        return _Differences(self.model, historical_record)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return (*self.groups(obj), _WHY) if may_write else self.groups(obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        readonly = tuple(super().get_readonly_fields(request, obj))
        return (*readonly, *self.fixed) if obj else readonly

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: ChangeForm, change: bool) -> None:
        """Take over what the service has written."""
        made = form.made
        assert made is not None  # a form without one is not valid
        obj.__dict__.update(made.row.__dict__)
        request.made = made  # type: ignore[attr-defined]

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _and_said(request, super().changeform_view(request, *args, **kwargs))

    def history_form_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with transaction.atomic():
            response = super().history_form_view(request, *args, **kwargs)
        return _and_said(request, response)


class _Differences(HistoricalRecordContextHelper):  # type: ignore[misc]
    """Shows the changes of a row without the zeros that its columns add."""

    def prepare_delta_change_value(self, change: Any, value: Any) -> Any:
        shown = super().prepare_delta_change_value(change, value)
        return f"{tidy(shown):f}" if isinstance(shown, Decimal) else shown


def _and_said(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Say, after the commit, whether the change is live."""
    made: Change[Any] | None = getattr(request, "made", None)
    if made is not None and made.live is not None:
        (messages.success if made.live else messages.warning)(request, str(made))
    return response


def _with_link(error: StaleEdit, url: str) -> str:
    return format_html('{} <a href="{}" class="underline">Load the present version</a>', str(error), url)
