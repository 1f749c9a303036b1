"""The pages of signing in and out, and what people see of their own access."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView, TemplateView

from access.forms import CodeForm, OwnPasswordForm, SignInForm
from access.lockout import count_wrong_code, is_allowed, lock_out
from access.second_factor import TooManyCodes, do_take_code, factor_of
from access.services import do_change_own_password, do_sign_in, do_sign_out
from access.sessions import is_factor_required
from audit.people import accounts_of

# Who has given the password, and is asked for the code next.
_ASKED = "access.asked"
_CODE_WITHIN = timedelta(minutes=5)

_private = method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")


class SignInView(LoginView):
    """Asks for name and password; where there is a second factor, nobody is signed in before its code."""

    template_name = "access/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        assert isinstance(user, User)
        if factor_of(user) is None:
            do_sign_in(self.request, user, by_code=None)
            return HttpResponseRedirect(self.get_success_url())
        self.request.session.cycle_key()
        self.request.session[_ASKED] = {
            "user": user.pk,
            "hash": user.get_session_auth_hash(),
            "at": timezone.now().timestamp(),
            "next": self.get_success_url(),
        }
        return redirect("access:code")


@_private
class CodeView(FormView):  # type: ignore[type-arg]
    """Asks for the code of whoever has just given their password."""

    template_name = "access/code.html"
    form_class = CodeForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        user = _asked(request)
        if user is None:
            request.session.pop(_ASKED, None)
            return redirect("access:sign-in")
        self.user = user
        if request.method == "POST" and not is_allowed(request, user):
            return HttpResponse()  # the lock-out answers
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: CodeForm) -> HttpResponse:
        try:
            taken = do_take_code(self.user, form.cleaned_data["code"], now=timezone.now())
        except TooManyCodes:
            lock_out(self.request)
            return HttpResponse()  # the lock-out answers
        if taken is None:
            count_wrong_code(self.request, self.user)
            form.add_error("code", "This code is wrong, or was used before. Give the one that the app shows now.")
            return self.form_invalid(form)
        follows: str = self.request.session.pop(_ASKED)["next"]
        do_sign_in(self.request, self.user, by_code=taken)
        if taken == "recovery code":
            messages.warning(self.request, "That recovery code is used up. Is your phone lost? Set up another one.")
            return redirect("access:me")
        return HttpResponseRedirect(follows)


def _asked(request: HttpRequest) -> User | None:
    """Return who has given their password, a short while ago, and still has it."""
    asked = request.session.get(_ASKED)
    if asked is None or timezone.now().timestamp() - asked["at"] > _CODE_WITHIN.total_seconds():
        return None
    user = User.objects.filter(pk=asked["user"], is_active=True, is_staff=True).first()
    if user is None or not constant_time_compare(asked["hash"], user.get_session_auth_hash()):
        return None
    return user


@_private
class SignOutView(View):
    """Signs out. By POST alone: no other page can do it with a link."""

    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest) -> HttpResponse:
        if isinstance(request.user, User):
            do_sign_out(request, request.user, actor=request.user.get_username(), reason="Signed out")
            messages.info(request, "You are signed out.")
        return redirect("access:sign-in")


@method_decorator(never_cache, name="dispatch")
class MeView(LoginRequiredMixin, TemplateView):
    """What somebody may, and how they sign in."""

    template_name = "access/me.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.request.user
        assert isinstance(user, User)
        factor = factor_of(user)
        return super().get_context_data(
            roles=sorted(group.name for group in user.groups.all()),
            accounts=accounts_of(user),
            factor=factor,
            codes_left=0 if factor is None else factor.recovery_codes.count(),
            required=is_factor_required(user),
            **kwargs,
        )


@_private
class PasswordView(LoginRequiredMixin, FormView):  # type: ignore[type-arg]
    """Changes one's own password."""

    template_name = "access/password.html"
    form_class = OwnPasswordForm
    success_url = reverse_lazy("access:me")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request, "user": self.request.user}

    def form_valid(self, form: OwnPasswordForm) -> HttpResponse:
        assert isinstance(self.request.user, User)
        do_change_own_password(self.request, self.request.user, form.cleaned_data["new_password1"])
        messages.success(self.request, "Your password is changed. Wherever else you were signed in, you are no more.")
        return super().form_valid(form)
