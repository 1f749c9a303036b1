"""API keys in the admin: made, given a new secret and revoked here; the key itself is shown once."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from api.keys import MANAGE, KeyChange, NoSuchKey, do_create_key, do_revoke_key, do_rotate_key
from api.models import ApiKey
from audit.unfold import ModelAdmin, TextareaWidget, TextInputWidget, display
from policies.fields import NameListField

_NOTHING, _ROTATE, _REVOKE = "", "rotate", "revoke"


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that is saved by a service while it is validated, so that its refusals are shown on it."""

    actor: ClassVar[str]

    change = forms.ChoiceField(
        choices=[(_NOTHING, "-"), (_ROTATE, "Give it a new secret; the old one stops"), (_REVOKE, "Revoke it for good")]
    )
    reason = forms.CharField(
        widget=TextareaWidget(attrs={"rows": 2}), help_text="Kept for good in the audit log, with your name."
    )

    made: KeyChange | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding:
            del self.fields["change"]

    def _post_clean(self) -> None:
        creating = self.instance._state.adding
        if creating:
            super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            self.made = self._create() if creating else self._change()
        except NoSuchKey as error:
            self.add_error(None, str(error))
        except ValidationError as error:
            for name, texts in error.message_dict.items():
                self.add_error(name if name in self.fields else None, texts)

    def _create(self) -> KeyChange:
        given = self.cleaned_data
        return do_create_key(
            actor=self.actor,
            reason=given["reason"],
            name=given["name"],
            permissions=given["permissions"],
            accounts=given["accounts"],
            per_second=given["per_second"],
            expires_at=given["expires_at"],
        )

    def _change(self) -> KeyChange:
        do = do_rotate_key if self.cleaned_data["change"] == _ROTATE else do_revoke_key
        return do(actor=self.actor, reason=self.cleaned_data["reason"], key_id=self.instance.pk)


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    form = KeyForm
    actions = None
    list_display = ("name", "id", "shown_status", "shown_permissions", "shown_accounts", "created_at", "expires_at")
    list_filter = ("created_at", "expires_at", "revoked_at")
    search_fields = ("name", "id")
    formfield_overrides: ClassVar[dict[Any, dict[str, Any]]] = {NameListField: {"widget": TextInputWidget}}

    _given = ("name", "permissions", "accounts", "per_second", "expires_at")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return (*self._given, "reason")
        kept = ("id", *self._given, "created_at", "created_by", "rotated_at", "revoked_at")
        return (*kept, "change", "reason") if self.has_change_permission(request, obj) else kept

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        return ("id", *self._given, "created_at", "created_by", "rotated_at", "revoked_at")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.actor = request.user.get_username()
        return form

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(MANAGE)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may change the key: one that was revoked stays as it is."""
        revoked = obj is not None and obj.revoked_at is not None
        return not revoked and request.user.has_perm(MANAGE)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: KeyForm, change: bool) -> None:
        """Take over what the service has written, and show the key."""
        made = form.made
        assert made is not None  # a form without one is not valid
        obj.__dict__.update(made.row.__dict__)
        if made.text:
            text = "The key is <code>{}</code> Copy it now: it is kept nowhere, and not shown again."
            messages.warning(request, format_html(text, made.text))

    @display(description="Status", label={"active": "success", "expired": "warning", "revoked": "danger"})
    def shown_status(self, key: ApiKey) -> str:
        return key.status(timezone.now())

    @display(description="Permissions")
    def shown_permissions(self, key: ApiKey) -> str:
        return ", ".join(key.permissions)

    @display(description="Accounts")
    def shown_accounts(self, key: ApiKey) -> str:
        return ", ".join(key.accounts) or "all"
