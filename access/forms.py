"""The forms of signing in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest

_WRONG = "This is not your password."


class SignInForm(AuthenticationForm):
    """Name and password of somebody who may sign in to the pages."""

    error_messages = {
        "invalid_login": "The name or the password is wrong. Both are case-sensitive.",
        "inactive": "The name or the password is wrong. Both are case-sensitive.",
        "not_staff": "You may not sign in to these pages: an administrator has to let you (Staff status).",
    }

    def confirm_login_allowed(self, user: User) -> None:
        super().confirm_login_allowed(user)
        if not user.is_staff:
            raise ValidationError(self.error_messages["not_staff"], code="not_staff")


class CodeForm(forms.Form):
    """A code of the app, or a recovery code."""

    code = forms.CharField(
        label="Code",
        max_length=32,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "autofocus": True,
                "autocapitalize": "characters",
                "spellcheck": "false",
            }
        ),
    )


class PasswordAgainForm(forms.Form):
    """The password of whoever is signed in, asked for again before something that matters; guesses are counted."""

    password = forms.CharField(
        label="Your password", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    def clean_password(self) -> None:
        """Raise ValidationError where it is wrong; it is kept nowhere."""
        if not is_password_of(self._request, self.cleaned_data["password"]):
            raise ValidationError(_WRONG)


class ConfirmForm(CodeForm, PasswordAgainForm):
    """The first code of a second factor that is set up, and the password."""

    field_order = ("code", "password")


class OwnPasswordForm(PasswordChangeForm):
    """Another password of one's own."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    def clean_old_password(self) -> str:
        password: str = self.cleaned_data["old_password"]
        if not is_password_of(self._request, password):
            raise ValidationError(_WRONG)
        return password

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if given.get("old_password") and given.get("old_password") == given.get("new_password1"):
            self.add_error("new_password1", "This is the password that you have.")
        return given


def is_password_of(request: HttpRequest, password: str) -> bool:
    """Return whether this is the password of whoever is signed in; a wrong one counts as a failed sign-in."""
    assert isinstance(request.user, User)
    return authenticate(request, username=request.user.get_username(), password=password) is not None
