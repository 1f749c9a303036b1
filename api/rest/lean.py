"""The order check on WSGI: Django REST views, without the middleware and the signals that only pages need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from api import checks
from api.checks import Reply
from api.desk import desk
from api.errors import Problem
from api.grants import CHECK_ORDERS
from api.keyring import KeyRecord
from api.rest.base import KeyAuthentication, RiskView, respond
from api.rest.bodies import json_body
from api.wire import MOST_BATCH_BYTES, MOST_CHECK_BYTES
from feeds.malformed import Malformed

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
Application: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]


def key_of(request: Request) -> KeyRecord:
    """Return the key that asks: these doors let nobody else in."""
    return cast(KeyRecord, request.auth)


class _CheckView(RiskView):
    needs = {"POST": (CHECK_ORDERS,)}
    http_method_names = ("post",)
    authentication_classes = (KeyAuthentication,)
    batch = False
    most_bytes = MOST_CHECK_BYTES
    started_ns = 0

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.started_ns = time.perf_counter_ns()
        super().initial(request, *args, **kwargs)

    def on_problem(self, problem: Problem, exc: Exception) -> Reply:
        """Return the refusal, counted; where nobody can say which keys are good, the block of the order with it."""
        if problem.status != 503:
            return checks.refusal(exc if isinstance(exc, Malformed) else problem)
        try:
            body = json_body(self.request._request, self.most_bytes)
        except Problem as other:
            return checks.refusal(other)
        return checks.unavailable_reply(problem, body, self.started_ns, batch=self.batch)


class CheckView(_CheckView):
    """May this order go?"""

    def post(self, request: Request) -> Response:
        """Check an order and, if it is approved, reserve its exposure."""
        body, at = json_body(request._request, self.most_bytes), desk()
        return respond(checks.check_order(body, key_of(request), at.store, at.turns, self.started_ns, at.pull))


class BatchView(_CheckView):
    """May these orders go?"""

    batch = True
    most_bytes = MOST_BATCH_BYTES

    def post(self, request: Request) -> Response:
        """Check up to 1,000 orders, in order and with cumulative effect."""
        body, at = json_body(request._request, self.most_bytes), desk()
        return respond(checks.check_batch(body, key_of(request), at.store, at.turns, self.started_ns, at.pull))


class LeanHandler:
    """A WSGI application: the order checks are answered here, all else goes to `application`.

    These paths need no session, no cookie and no database; Django's middleware, and the work that hangs on its
    signals of a request, cost more than the check.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._views: dict[str, Any] = {"/risk/check": CheckView.as_view(), "/risk/check/batch": BatchView.as_view()}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        view = self._views.get(environ["PATH_INFO"])
        if view is None:
            return self._application(environ, start_response)
        response = self._respond(view, environ)
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        return [response.content]

    def _respond(self, view: Callable[..., Any], environ: Environ) -> Any:
        try:
            return view(WSGIRequest(environ)).render()
        except Exception:
            reply = checks.failure("a check")
            return HttpResponse(reply.body, status=reply.status, content_type=reply.content_type)
