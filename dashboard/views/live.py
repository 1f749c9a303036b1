"""Pages that need the live state: where it is away, that is what they say."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from api import errors
from api.errors import Problem
from dashboard.views.page import Page, frame
from state.store import StateUnavailable


class LivePage(Page):
    """A page that cannot be without the live state."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return super().dispatch(request, *args, **kwargs)
        except StateUnavailable:
            problem = errors.state_unavailable()
        except Problem as found:
            problem = found
        context = {**frame(request), "problem": problem}
        return render(request, "dashboard/away.html", context, status=problem.status)
