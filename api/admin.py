"""API keys in the admin: made, given a new secret and revoked here; the key itself is shown once."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from api.keys import MANAGE, KeyChange, NoSuchKey, do_create_key, do_revoke_key, do_rotate_key, is_own
from api.models import ApiKey
from audit.acting import Acting, NotAllowed
from audit.rights import acting_of
from audit.unfold import ModelAdmin, TextareaWidget, TextInputWidget, display
from policies.fields import NameListField

_NOTHING, _ROTATE, _REVOKE = "", "rotate", "revoke"


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that is saved by a service while it is validated, so that its refusals are shown on it."""

    acting: ClassVar[Acting]

    change = forms.ChoiceField(
        choices=[(_NOTHING, "-"), (_ROTATE, "Give it a new secret; the old one stops"), (_REVOKE, "Revoke it for good")]
    )
    mine = forms.BooleanField(
        required=False,
        label="It is mine",
        help_text="It acts in your name, and may never do more than you may. Otherwise it is a machine's.",
    )
    reason = forms.CharField(
        widget=TextareaWidget(attrs={"rows": 2}), help_text="Kept for good in the audit log, with your name."
    )

    made: KeyChange | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding:
            del self.fields["change"]
            if not self.acting.may(MANAGE):
                self.fields["mine"].initial, self.fields["mine"].disabled = True, True
        else:
            del self.fields["mine"]

    def _post_clean(self) -> None:
        creating = self.instance._state.adding
        if creating:
            super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            self.made = self._create() if creating else self._change()
        except (NoSuchKey, NotAllowed) as error:
            self.add_error(None, str(error))
        except ValidationError as error:
            for name, texts in error.message_dict.items():
                self.add_error(name if name in self.fields else None, texts)

    def _create(self) -> KeyChange:
        given = self.cleaned_data
        return do_create_key(
            acting=self.acting,
            reason=given["reason"],
            name=given["name"],
            permissions=given["permissions"],
            accounts=given["accounts"],
            holder=User.objects.get(username=self.acting.person) if given["mine"] else None,
            per_second=given["per_second"],
            expires_at=given["expires_at"],
        )

    def _change(self) -> KeyChange:
        do = do_rotate_key if self.cleaned_data["change"] == _ROTATE else do_revoke_key
        return do(acting=self.acting, reason=self.cleaned_data["reason"], key_id=self.instance.pk)


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    form = KeyForm
    actions = None
    list_display = (
        *("name", "id", "shown_status", "shown_permissions", "shown_accounts", "holder", "created_at", "expires_at"),
    )
    list_select_related = ("holder",)
    list_filter = ("created_at", "expires_at", "revoked_at")
    search_fields = ("name", "id")
    formfield_overrides: ClassVar[dict[Any, dict[str, Any]]] = {NameListField: {"widget": TextInputWidget}}

    _given = ("name", "permissions", "accounts", "per_second", "expires_at")
    _kept = ("id", *_given, "holder", "created_at", "created_by", "rotated_at", "revoked_at")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return (*self._given, "mine", "reason")
        return (*self._kept, "change", "reason") if self.has_change_permission(request, obj) else self._kept

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        return self._kept

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.acting = acting_of(request.user)
        return form

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        """Return the keys that this person may see: their own, or all."""
        rows: QuerySet[ApiKey] = super().get_queryset(request)
        return rows if _sees_all(request) else rows.filter(holder__username=acting_of(request.user).person)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None or _sees_all(request) or is_own(acting_of(request.user), obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Everybody may have a key of their own, which may do no more than they."""
        return True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may change the key: one that was revoked stays as it is."""
        if obj is None:
            return True
        who = acting_of(request.user)
        return obj.revoked_at is None and (who.may(MANAGE) or is_own(who, obj))

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


def _sees_all(request: HttpRequest) -> bool:
    who = acting_of(request.user)
    return not who.accounts and (who.may("api.view_apikey") or who.may(MANAGE))
