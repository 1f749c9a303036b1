"""Previews of change requests: where they are asked for, and the part of a request's page that shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.views.decorators.http import require_GET, require_POST

from audit.acting import NotAllowed
from audit.admin import ReadOnlyAdmin
from audit.rights import acting_of
from policies.errors import PolicyError
from policies.models import ChangeRequest, Preview
from policies.preview.services import do_preview
from policies.preview.window import Window
from policies.requests.moments import read_moment
from policies.requests.publishing import text_of
from policies.requests.scope import may_see_request


@admin.register(Preview)
class PreviewAdmin(ReadOnlyAdmin):
    """A preview has no page of its own: it is part of its request's."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> Any:
        wrap = self.admin_site.admin_view
        return [
            path("<int:number>/start/", wrap(require_POST(start_view)), name="policies_preview_start"),
            path("<int:number>/section/", wrap(require_GET(section_view)), name="policies_preview_section"),
        ]


def start_view(request: HttpRequest, number: int) -> HttpResponse:
    """Ask for a preview, and go back to the page of the request."""
    found = _found(request, number)
    seen, most = request.POST.get("version", ""), request.POST.get("most", "")
    if not (seen.isdecimal() and most.isdecimal()):
        raise PermissionDenied
    try:
        window = Window(most=int(most), since=_moment(request, "since"), until=_moment(request, "until"))
        do_preview(acting=acting_of(request.user), request_id=found.pk, expected_version=int(seen), window=window)
    except (PolicyError, NotAllowed, ValidationError) as error:
        messages.error(request, text_of(error))
    return HttpResponseRedirect(f"{reverse('admin:policies_changerequest_change', args=(found.pk,))}#preview")


def section_view(request: HttpRequest, number: int) -> HttpResponse:
    """Answer with the part of the page alone, for a page that waits for a preview."""
    return render(request, "admin/policies/request_preview.html", {"original": _found(request, number)})


def _found(request: HttpRequest, number: int) -> ChangeRequest:
    if not request.user.has_perm("policies.view_changerequest"):
        raise PermissionDenied
    found: ChangeRequest = get_object_or_404(ChangeRequest, pk=number)
    if not may_see_request(acting_of(request.user), found):
        raise PermissionDenied
    return found


def _moment(request: HttpRequest, name: str) -> datetime | None:
    text = request.POST.get(name, "").strip()
    return read_moment(text, settings.RISK_DAY_ZONE) if text else None
