"""The page of a person in the admin, with how they sign in: locked out, second factor, a password that was given."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest

from access.lockout import do_unlock, is_locked_out
from access.second_factor import do_remove_factor, factor_of
from audit.models import GivenPassword
from audit.people_admin import UserAdmin, UserForm
from audit.unfold import display

_RESET, _UNLOCK = "reset_second_factor", "unlock"


class PersonForm(UserForm):
    """The form of a person, with what an administrator does for somebody who cannot get in."""

    reset_second_factor = forms.BooleanField(
        required=False,
        label="Take the second factor away",
        help_text="Their phone and recovery codes are lost. Make sure that it is them who ask. Their sessions end.",
    )
    unlock = forms.BooleanField(
        required=False,
        label="Let them in again",
        help_text="They are locked out after too many wrong passwords or codes.",
    )


admin.site.unregister(User)


@admin.register(User)
class PersonAdmin(UserAdmin):
    form = PersonForm

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        groups = super().get_fieldsets(request, obj)
        if obj is None:
            return groups
        shown = ["shown_second_factor", "shown_lock", "shown_password"]
        may = self.has_change_permission(request, obj)
        if may and _may_reset(request, obj) and factor_of(obj) is not None:
            shown.append(_RESET)
        if may and is_locked_out(obj):
            shown.append(_UNLOCK)
        return [*groups[:2], ("How they sign in", {"fields": shown}), *groups[2:]]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*super().get_readonly_fields(request, obj), "shown_second_factor", "shown_lock", "shown_password")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        why = {"actor": request.user.get_username(), "reason": form.cleaned_data["reason"].strip()}
        # A form made by hand has what the page does not show.
        if form.cleaned_data.get(_RESET) and _may_reset(request, form.instance):
            do_remove_factor(form.instance, **why)
        if form.cleaned_data.get(_UNLOCK):
            do_unlock(form.instance, **why)

    @display(description="Second factor")
    def shown_second_factor(self, user: User) -> str:
        factor = factor_of(user)
        return "none" if factor is None else f"set up on {factor.since:%Y-%m-%d}"

    @display(description="Locked out", boolean=True)
    def shown_lock(self, user: User) -> bool:
        return is_locked_out(user)

    @display(description="Password")
    def shown_password(self, user: User) -> str:
        given = GivenPassword.objects.filter(user=user).first()
        if given is not None:
            return f"set by {given.actor} on {given.at:%Y-%m-%d %H:%M}: they change it when they sign in"
        return "their own" if user.has_usable_password() else "none: they cannot sign in"


def _may_reset(request: HttpRequest, user: User) -> bool:
    """Return whether this is not one's own: whoever finds a screen that was left alone would need no code."""
    return user.pk != request.user.pk
