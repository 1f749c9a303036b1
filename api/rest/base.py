"""What every documented door has in common: who asks, what they may, JSON out, one kind of error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import msgspec
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404
from drf_spectacular.openapi import AutoSchema
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import checks, errors
from api.desk import desk
from api.errors import Problem
from audit.acting import Acting, NotAllowed
from audit.rights import acting_of
from feeds.malformed import FieldError, Malformed
from policies.errors import NotFound, PolicyError
from state.store import StateUnavailable

_encoder = msgspec.json.Encoder()


class Caller(Protocol):
    """Whoever asks: an API key, or a person signed in to the admin."""

    @property
    def acting(self) -> Acting:
        """Return who acts, as services ask for it."""
        ...

    @property
    def actor(self) -> str:
        """Return the name for the audit log."""
        ...

    def may(self, permission: str) -> bool:
        """Return whether the caller has a permission, by Django's name."""
        ...

    @property
    def accounts(self) -> frozenset[str]:
        """Return the accounts that the caller is for; none named: all."""
        ...

    def may_see(self, account_id: str) -> bool:
        """Return whether the caller may ask about an account."""
        ...


class Person:
    """Somebody signed in to the admin: they may here what they may there."""

    def __init__(self, acting: Acting) -> None:
        self.acting = acting
        self.actor, self.accounts = acting.name, acting.accounts
        self.may, self.may_see = acting.may, acting.may_see


class KeyAuthentication(BaseAuthentication):
    """Takes `Authorization: Bearer KEY`; anything else in that header is refused."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        keys = desk().keys
        keys.refresh()
        record = keys.admit(header)
        return record, record

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="riskportal"'


class StaffAuthentication(SessionAuthentication):
    """Lets people in who are signed in to the admin."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        user = getattr(request._request, "user", None)
        if user is None or not user.is_active or not user.is_staff:
            return None
        # Of the request as Django has it: DRF would look for the token in a body that it has no parser for.
        self.enforce_csrf(cast(Request, request._request))
        return user, Person(acting_of(user))


class HasPermission(BasePermission):
    """Asks for one of the permissions that the view names for the method."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if request.auth is None:
            raise errors.no_key()
        method = str(request.method)
        needed = cast(RiskView, view).needs.get("GET" if method == "HEAD" else method)
        if needed is None:
            raise exceptions.MethodNotAllowed(method)
        if not any(map(caller(request).may, needed)):
            raise errors.not_allowed(*needed)
        return True


class JsonBytes(BaseRenderer):
    """Renders with msgspec, decimals as text; bytes are JSON already."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        if data is None:
            return b""
        return data if type(data) is bytes else _encoder.encode(data)


class RiskView(APIView):
    """A door. `needs` names the permissions (Django's) of which one is needed, for each method it has."""

    needs: Mapping[str, tuple[str, ...]] = {}
    schema = AutoSchema()

    authentication_classes: Sequence[type[BaseAuthentication]] = (KeyAuthentication, StaffAuthentication)
    permission_classes: Sequence[type[BasePermission]] = (HasPermission,)
    renderer_classes = (JsonBytes,)
    parser_classes = ()
    throttle_classes = ()
    http_method_names: Sequence[str] = ("get", "head", "post", "put", "delete")
    versioning_class = None
    metadata_class = None

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """There is one way to answer: no Accept header needs to be read."""
        return _RENDERER, JsonBytes.media_type

    def handle_exception(self, exc: Exception) -> Response:
        """Return the problem details of an error; raise what nobody expected."""
        problem = _problem_of(exc)
        if problem is None:
            raise exc
        return respond(self.on_problem(problem, exc))

    def on_problem(self, problem: Problem, _exc: Exception) -> checks.Reply:
        """Return what is sent of a problem."""
        return checks.problem_reply(problem)


_RENDERER = JsonBytes()


def caller(request: Request) -> Caller:
    """Return who asks, once they have been let in."""
    return cast(Caller, request.auth)


def respond(reply: checks.Reply) -> Response:
    """Return a reply as a response."""
    response = Response(reply.body, status=reply.status, content_type=reply.content_type)
    response.headers["Content-Length"] = str(len(reply.body))
    if reply.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    for name, value in reply.headers:
        response.headers[name] = value
    return response


def demand_account(request: Request, account_id: str) -> None:
    """Raise Problem 403 where the caller is not for this account."""
    if not caller(request).may_see(account_id):
        raise errors.not_this_account(account_id)


def demand_all_accounts(request: Request, what: str) -> None:
    """Raise Problem 403 where the caller is for some accounts only: what concerns all is not theirs."""
    if caller(request).accounts:
        raise Problem(403, "not_this_account", f"the caller is for some accounts only, but {what} concern all")


def _problem_of(error: Exception) -> Problem | None:
    match error:
        case Problem():
            return error
        case Malformed():
            return errors.malformed(error)
        case NotAllowed():
            return errors.refused(error)
        case StateUnavailable():
            return errors.state_unavailable()
        case OperationalError() | InterfaceError():
            return Problem(503, "database_unavailable", "the database cannot be reached", retry_after_s=1)
        case PolicyError():
            return errors.not_found(str(error)) if isinstance(error, NotFound) else Problem(409, "conflict", str(error))
        case ValidationError():
            return _invalid(error)
        case Http404():
            return errors.not_found("there is nothing at this address")
        case PermissionDenied():
            return Problem(403, "not_allowed", "this is not permitted")
        case exceptions.APIException():
            return Problem(error.status_code, str(error.default_code), str(error.detail))
        case _:
            return None


def _invalid(error: ValidationError) -> Problem:
    """Return the problem of values that a service refused, field by field."""
    by_field = error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
    return errors.malformed(
        Malformed(
            FieldError(field="body" if name == NON_FIELD_ERRORS else name, message=" ".join(texts), code="invalid")
            for name, texts in by_field.items()
        )
    )
