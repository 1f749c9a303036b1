"""The parts of django-unfold that admins here use. It publishes no types, so mypy is told them in this one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from django.contrib import admin
    from django.contrib.auth.forms import AdminPasswordChangeForm as _AdminPasswordChangeForm
    from django.contrib.auth.forms import AdminUserCreationForm as _AdminUserCreationForm
    from django.contrib.auth.forms import UserChangeForm as _UserChangeForm
    from django.contrib.auth.models import User
    from django.core.paginator import Paginator as InfinitePaginator
    from django.forms import CheckboxSelectMultiple as CheckboxesWidget
    from django.forms import RadioSelect as RadioSelectWidget
    from django.forms import Textarea as TextareaWidget
    from django.forms import TextInput as TextInputWidget

    _Method = TypeVar("_Method", bound=Callable[..., object])

    class AdminPasswordChangeForm(_AdminPasswordChangeForm[User]):
        """The form by which somebody else's password is set."""

    class UserChangeForm(_UserChangeForm[User]):
        """The form of a user."""

    class UserCreationForm(_AdminUserCreationForm[User]):
        """The form of a new user."""

    class ModelAdmin(admin.ModelAdmin[Any]):
        """An admin in Unfold's look."""

    def display(
        *,
        description: str = "",
        ordering: str = "",
        boolean: bool = False,
        label: bool | Mapping[str, str] = False,
    ) -> Callable[[_Method], _Method]:
        """Say how a method is shown as a column; `label` maps its values to the colours of a badge."""

else:
    from unfold.admin import ModelAdmin
    from unfold.decorators import display
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
    from unfold.paginator import InfinitePaginator
    from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget as CheckboxesWidget
    from unfold.widgets import UnfoldAdminRadioSelectWidget as RadioSelectWidget
    from unfold.widgets import UnfoldAdminTextareaWidget as TextareaWidget
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInputWidget

__all__ = [
    "AdminPasswordChangeForm",
    "CheckboxesWidget",
    "InfinitePaginator",
    "ModelAdmin",
    "RadioSelectWidget",
    "TextInputWidget",
    "TextareaWidget",
    "UserChangeForm",
    "UserCreationForm",
    "display",
]
