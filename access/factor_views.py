"""The pages on which people set up their second factor, renew its recovery codes, and give it up."""

from __future__ import annotations

import io
from typing import Any

import segno
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from access.forms import ConfirmForm, PasswordAgainForm
from access.second_factor import do_remove_factor, do_renew_codes, do_set_up_factor, factor_of, new_salt
from access.sessions import is_factor_required, stamp_again
from access.totp import secret_of, uri_of

# What the second factor is made of that is being set up. In the session: whoever had another has seen another.
_SALT = "access.salt"

_private = method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")


class _Own(LoginRequiredMixin, FormView):  # type: ignore[type-arg]
    """A form about one's own second factor, which asks for the password again."""

    success_url = reverse_lazy("access:me")

    @property
    def user(self) -> User:
        assert isinstance(self.request.user, User)  # nobody else gets past LoginRequiredMixin
        return self.request.user

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}


@_private
class FactorView(_Own):
    """Shows the picture for the app and asks for its first code; then shows the recovery codes, this once."""

    template_name = "access/second_factor.html"
    form_class = ConfirmForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        salt, name = self.request.session.setdefault(_SALT, new_salt()), self.user.get_username()
        secret = secret_of(salt)
        spelled = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
        return super().get_context_data(secret=spelled, uri=uri_of(salt, name), **kwargs)

    def form_valid(self, form: ConfirmForm) -> HttpResponse:
        salt = self.request.session.get(_SALT, "")
        codes = do_set_up_factor(self.user, salt, form.cleaned_data["code"], now=timezone.now()) if salt else None
        if codes is None:
            form.add_error("code", "This is not the code that the app should show. Is the phone's clock right?")
            return self.form_invalid(form)
        del self.request.session[_SALT]
        _go_on(self.request, self.user)
        return render(self.request, "access/codes.html", {"codes": codes, "is_new": True})


@_private
class PictureView(LoginRequiredMixin, View):
    """The picture that an app reads, while a second factor is being set up."""

    def get(self, request: HttpRequest) -> HttpResponse:
        salt = request.session.get(_SALT)
        if salt is None:
            raise Http404("No second factor is being set up.")
        picture, uri = io.BytesIO(), uri_of(salt, request.user.get_username())
        segno.make(uri, error="m").save(picture, kind="svg", scale=5, border=4, dark="#000", light="#fff")
        return HttpResponse(picture.getvalue(), content_type="image/svg+xml")


@_private
class CodesView(_Own):
    """Makes new recovery codes and shows them, this once."""

    template_name = "access/renew_codes.html"
    form_class = PasswordAgainForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        _demand_factor(request)
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: PasswordAgainForm) -> HttpResponse:
        return render(self.request, "access/codes.html", {"codes": do_renew_codes(self.user), "is_new": False})


@_private
class OffView(_Own):
    """Gives the second factor up, where it is not required."""

    template_name = "access/factor_off.html"
    form_class = PasswordAgainForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        _demand_factor(request)
        if isinstance(request.user, User) and is_factor_required(request.user):
            raise PermissionDenied("What you may do asks for a second factor: you cannot give it up.")
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: PasswordAgainForm) -> HttpResponse:
        do_remove_factor(self.user, actor=self.user.get_username(), reason="Gave up their second factor")
        _go_on(self.request, self.user)
        messages.success(self.request, "You sign in by your password alone now.")
        return super().form_valid(form)


def _demand_factor(request: HttpRequest) -> None:
    if isinstance(request.user, User) and factor_of(request.user) is None:
        raise Http404("There is no second factor.")


def _go_on(request: HttpRequest, user: User) -> None:
    """Have this session go on with a new key, while the others of this person end."""
    request.session.cycle_key()
    stamp_again(request.session, user)
