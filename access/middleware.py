"""What stands before every page: a session that is good no more ends, and some things come before all others."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from access.services import do_sign_out
from access.sessions import left_to_do, note_seen, standing_of, why_ended

_ACTOR = "riskportal"
_WHAT_IS_LEFT = {
    "password": "Somebody else knows your password: change it first.",
    "second-factor": "What you may do asks for a second factor: set it up first.",
}


class Gate:
    """Ends sessions that are not good any more, and sends people first to what they have to do.

    Requests without a session, as those with an API key, cost nothing here.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and isinstance(request.user, User):
            refusal = _look(request, request.user)
            if refusal is not None:
                return refusal
        return self._get_response(request)


def _look(request: HttpRequest, user: User) -> HttpResponse | None:
    now, standing = timezone.now(), standing_of(user)
    why = why_ended(request.session, standing, now)
    if why:
        do_sign_out(request, user, actor=_ACTOR, reason=why)
        messages.info(request, why)  # whoever is nobody now is sent to the sign-in page, or refused
        return None
    note_seen(request.session, now)
    left = left_to_do(user, standing)
    return _refuse(request, left) if left and not _leads_there(request.path, left) else None


def _leads_there(path: str, left: str) -> bool:
    return path == reverse("access:sign-out") or path.startswith(reverse(f"access:{left}"))


def _refuse(request: HttpRequest, left: str) -> HttpResponse:
    """Send a browser to what is left to do; tell a program."""
    if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
        messages.warning(request, _WHAT_IS_LEFT[left])
        return redirect(f"access:{left}")
    problem = {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": _WHAT_IS_LEFT[left]}
    return JsonResponse(problem, status=403, content_type="application/problem+json")
