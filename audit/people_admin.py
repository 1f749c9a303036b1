"""Users and groups in the admin: every change needs a reason and is in the audit log, or is not made.

Django calls the `log_...` methods in the transaction of a change, after everything of it was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from audit.models import AuditEvent
from audit.people import accounts_of, evidence, note_given_password, record_change, record_password, set_accounts
from audit.rights import known_accounts
from audit.unfold import (
    AdminPasswordChangeForm,
    CheckboxesWidget,
    ModelAdmin,
    TextareaWidget,
    UserChangeForm,
    UserCreationForm,
    display,
)

_LATEST = 5
_WHY = ("Why", {"fields": ("reason",)})

if TYPE_CHECKING:
    _Admin = ModelAdmin
    _UserAdmin = DjangoUserAdmin[User]
else:
    _Admin, _UserAdmin = object, DjangoUserAdmin


def _reason_field() -> forms.CharField:
    return forms.CharField(
        label="Reason for this change",
        widget=TextareaWidget(attrs={"rows": 2}),
        help_text="Kept for good in the audit log, with your name and what was changed.",
    )


class GroupForm(forms.ModelForm):  # type: ignore[type-arg]
    reason = _reason_field()


class NewUserForm(UserCreationForm):
    reason = _reason_field()


class UserForm(UserChangeForm):
    accounts = forms.CharField(
        required=False,
        widget=TextareaWidget(attrs={"rows": 2}),
        help_text="The accounts that this person sees and acts on, separated by commas or blanks. Empty: all of them.",
    )
    reason = _reason_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "accounts" in self.fields:
            self.fields["accounts"].initial = ", ".join(accounts_of(self.instance))

    def clean_accounts(self) -> list[str]:
        """Return the accounts that are named. Raises ValidationError where one is not there."""
        named = sorted(set(self.cleaned_data["accounts"].replace(",", " ").split()))
        unknown = sorted(set(named) - known_accounts(named))
        if unknown:
            raise forms.ValidationError(f"There is no account {', '.join(unknown)}.")
        return named


class PasswordForm(AdminPasswordChangeForm):
    reason = _reason_field()


class Recorded(_Admin):
    """An admin that writes one audit event for each change."""

    actions = None
    delete_confirmation_template = "admin/audit/delete_with_reason.html"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        groups = [
            (title, {**options, "fields": tuple(name for name in options["fields"] if name != "reason")})
            for title, options in super().get_fieldsets(request, obj)
        ]
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        if obj is not None and request.user.has_perm("audit.view_auditevent"):
            groups.append(("Who changed what", {"fields": ("shown_changes",)}))
        return [*groups, _WHY] if may_write else groups

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*super().get_readonly_fields(request, obj), "shown_changes")

    @display(description="Latest changes")
    def shown_changes(self, row: Any) -> SafeString | str:
        kind = {"object_type": row._meta.model_name, "object_id": str(row.pk)}
        events = AuditEvent.objects.filter(**kind).order_by("-sequence")[:_LATEST]
        page = reverse("admin:audit_auditevent_changelist")
        lines = ((event.at.strftime("%Y-%m-%d %H:%M"), event.actor, event.action, event.reason) for event in events)
        said = format_html_join("", "<div>{} {}: {} ({})</div>", lines)
        link = format_html('<a class="underline" href="{}?{}">All of them</a>', page, urlencode(kind))
        return format_html("{}{}", said, link)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            row = type(obj)._default_manager.select_for_update().get(pk=obj.pk)
            request.evidence_before = evidence(row)  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        entry = super().log_addition(request, obj, message)
        if isinstance(obj, User):
            note_given_password(obj, actor=request.user.get_username())
        record_change(obj, "create", **_why(request), before=None, after=evidence(obj))
        return entry

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        entry = super().log_change(request, obj, message)
        before, after = getattr(request, "evidence_before", None), evidence(obj)
        if before is None:
            record_password(obj, **_why(request))  # this has a form of its own, and nothing else saves without one
        elif before != after:
            record_change(obj, "change", **_why(request), before=before, after=after)
        return entry

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        if request.method == "POST" and not request.POST.get("reason", "").strip():
            messages.error(request, "Nothing was deleted: say why, for the audit log.")
            return HttpResponseRedirect(request.get_full_path())
        return super().delete_view(request, object_id, extra_context)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        before = evidence(obj)
        super().delete_model(request, obj)
        record_change(obj, "delete", **_why(request), before=before, after=None)


admin.site.unregister((User, Group))


@admin.register(Group)
class GroupAdmin(Recorded, DjangoGroupAdmin, ModelAdmin):
    form = GroupForm


@admin.register(User)
class UserAdmin(Recorded, _UserAdmin, ModelAdmin):
    form = UserForm
    add_form = NewUserForm
    change_password_form = PasswordForm
    change_user_password_template = "admin/audit/change_password.html"  # noqa: S105 - the name of a file
    list_display = ("username", "shown_roles", "shown_accounts", "is_active", "is_superuser", "last_login")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups", "account_grants")

    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("What they may", {"fields": ("is_active", "is_staff", "groups", "accounts")}),
        ("Who they are", {"fields": ("first_name", "last_name", "email")}),
        ("Besides their roles", {"fields": ("is_superuser", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    filter_horizontal = ("user_permissions",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        groups = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return groups
        # Who may only look has no form, whose field this is.
        shown = {"accounts": "shown_accounts"}
        return [
            (title, {**given, "fields": [shown.get(name, name) for name in given["fields"]]}) for title, given in groups
        ]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["widget"] = CheckboxesWidget()
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if field is not None and db_field.name == "groups":
            field.label, field.help_text = "Roles", "What each may is in docs/roles.md, and on the page of its group."
        return field

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Whoever may not do everything makes nobody who may."""
        kept = (*super().get_readonly_fields(request, obj), "shown_accounts")
        return kept if request.user.is_superuser else (*kept, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may change the user: one who may everything is changed only by another such."""
        return super().has_change_permission(request, obj) and _is_no_lower(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _is_no_lower(request, obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if change:
            set_accounts(form.instance, form.cleaned_data["accounts"])

    @display(description="Roles")
    def shown_roles(self, user: User) -> str:
        return ", ".join(sorted(group.name for group in user.groups.all())) or "none"

    @display(description="Accounts")
    def shown_accounts(self, user: Any) -> str:
        return ", ".join(grant.account_id for grant in user.account_grants.all()) or "all"

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)


def _is_no_lower(request: HttpRequest, obj: Any) -> bool:
    return obj is None or not obj.is_superuser or request.user.is_superuser


def _why(request: HttpRequest) -> dict[str, str]:
    return {"actor": request.user.get_username(), "reason": request.POST["reason"].strip()}
