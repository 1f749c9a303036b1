"""What all pages have in common: who is let in, and what the frame around a page needs to know."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.views.generic import TemplateView

from api.grants import ENGAGE_STOP, HANDLE_ALERT, LIFT_STOP, VIEW_ACCOUNT
from audit.acting import Acting
from audit.rights import acting_of
from riskcore.ports import StopScope

# What the modules of a page may offer, by the word that they ask for.
_MAY = {"stop": ENGAGE_STOP, "lift": LIFT_STOP, "alerts": HANDLE_ALERT}


class Page(TemplateView):
    """A page of the dashboard.

    `needs` names the permissions of which one is needed, or each where `needs_all` says so. Whoever is not signed in is
    led to the sign-in and back; whoever may not see the page is told so, and by which permission they would.
    """

    needs: tuple[str, ...] = (VIEW_ACCOUNT,)
    needs_all: bool = False

    @property
    def acting(self) -> Acting:
        """Return who looks at the page."""
        return acting_of(self.request.user)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not request.user.is_staff or not self._is_let_in(request):
            return _refused(request, self.needs, needs_all=self.needs_all)
        response = super().dispatch(request, *args, **kwargs)
        # What was true for one look must not be shown as true later: by the back button, or to the next person.
        response.headers["Cache-Control"] = "no-store"
        return response

    def _is_let_in(self, request: HttpRequest) -> bool:
        return (all if self.needs_all else any)(map(acting_of(request.user).may, self.needs))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | frame(self.request)


def frame(request: HttpRequest) -> dict[str, Any]:
    """Return what the frame around every page needs: who looks, what they may do, and where levels begin."""
    who = acting_of(request.user)
    return {
        "who": who,
        "may": [word for word, permission in _MAY.items() if who.may(permission)],
        "may_stop": who.may(ENGAGE_STOP),
        "accounts": sorted(who.accounts),
        "sign_in": resolve_url(settings.LOGIN_URL),
        "scopes": [scope.value for scope in StopScope],
        "warning_utilisation": settings.RISK_WARNING_UTILISATION,
        "critical_utilisation": settings.RISK_CRITICAL_UTILISATION,
    }


def _refused(request: HttpRequest, needs: tuple[str, ...], *, needs_all: bool) -> HttpResponse:
    return render(request, "dashboard/refused.html", {"needs": needs, "needs_all": needs_all}, status=403)
