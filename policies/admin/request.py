"""Change requests in the admin: the inbox, what waits for whoever looks first, and the page of a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Case, Exists, IntegerField, OuterRef, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.views.decorators.http import require_POST
from msgspec import Struct

from audit.acting import Acting, NotAllowed
from audit.admin import ReadOnlyAdmin
from audit.rights import acting_of
from audit.unfold import display
from policies.admin.request_page import page_of
from policies.errors import PolicyError
from policies.models import APPROVE_LIMITS, CHANGE_LIMITS, ChangeRequest, RequestStep, State, Step
from policies.requests import services
from policies.requests.moments import read_moment
from policies.requests.publishing import text_of
from policies.requests.scope import may_see_request

# Whoever is for some accounts finds what concerns them among so many, the latest: each has to be read.
_LATEST = 500

_COLOURS = {
    "draft": "primary",
    "waits for approval": "warning",
    "ready to publish": "success",
    "scheduled": "info",
    "rejected": "danger",
}

_FOR_YOU = {0: "your approval", 1: "you to publish it", 2: "you to go on"}
_OPEN = 3
_DONE = 9


@admin.register(ChangeRequest)
class ChangeRequestAdmin(ReadOnlyAdmin):
    """Written by the forms of rows, by files and over REST; here it is looked at and decided on."""

    list_display = ("number", "title", "shown_state", "shown_direction", "waits_for", "author", "changed_at")
    list_display_links = ("number", "title")
    said_of_none = (
        "Open a limit, an account or anything else that officers "
        "manage and say what it should be: that is a change request."
    )
    list_filter = ("state", "direction", "created_at")
    search_fields = ("title", "reason", "author", "=id")
    search_help_text = "A number, title, reason or author"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChangeRequest]:
        return ranked_for(acting_of(request.user))

    def get_ordering(self, request: HttpRequest) -> Any:
        return ("rank", "-id")

    def get_urls(self) -> Any:
        view = self.admin_site.admin_view(require_POST(self.act_view))
        return [path("<int:number>/act/", view, name="policies_changerequest_act"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a request: what it does, how far it has come, and what is to be done with it."""
        found = self._found(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": str(found),
            "opts": self.opts,
            "original": found,
            "zone": settings.RISK_DAY_ZONE,
            **page_of(found, acting_of(request.user)),
        }
        return render(request, "admin/policies/request.html", context)

    def act_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Do with a request what a button says, and go back to its page."""
        found = self._found(request, str(number))
        do = _DOING.get(request.POST.get("what", ""))
        seen = request.POST.get("version", "")
        if do is None or not seen.isdecimal():
            raise PermissionDenied
        given = {name: request.POST.get(name, "") for name in ("note", "at")}
        made: ChangeRequest = found
        try:
            made, said = do(Pressed(acting_of(request.user), found.pk, int(seen), **given))
        except (PolicyError, NotAllowed, ValidationError) as error:
            messages.error(request, text_of(error))
        else:
            (messages.warning if "cannot be reached" in said else messages.success)(request, said)
        return HttpResponseRedirect(reverse("admin:policies_changerequest_change", args=(made.pk,)))

    def _found(self, request: HttpRequest, object_id: str) -> ChangeRequest:
        if not self.has_view_permission(request):
            raise PermissionDenied
        number = int(object_id) if object_id.isdecimal() and len(object_id) < 19 else 0
        found: ChangeRequest = get_object_or_404(ChangeRequest.objects.select_related("book", "reverses"), pk=number)
        if not may_see_request(acting_of(request.user), found):
            raise PermissionDenied
        return found

    @display(description="Number", ordering="id")
    def number(self, request: ChangeRequest) -> int:
        return int(request.pk)

    @display(description="State", ordering="state", label=_COLOURS)
    def shown_state(self, request: ChangeRequest) -> str:
        return request.get_state_display()

    @display(
        description="Direction",
        ordering="direction",
        label={"tightens": "success", "loosens": "danger", "unclear": "warning"},
    )
    def shown_direction(self, request: ChangeRequest) -> str:
        return request.direction or "-"

    @display(description="Waits for")
    def waits_for(self, request: Any) -> str:
        return words_of_rank(request)


def words_of_rank(request: Any) -> str:
    """Return for what a request waits that was ranked for somebody, empty where it does not wait for them."""
    return _FOR_YOU.get(request.rank, "")


def waiting_for(acting: Acting) -> QuerySet[Any]:
    """Return the requests that wait for somebody, ranked."""
    return ranked_for(acting).filter(rank__lt=_OPEN)


def ranked_for(acting: Acting) -> QuerySet[Any]:
    """Return the requests that somebody may see, ranked for them, what waits for them first."""
    rows = ranked(ChangeRequest.objects.defer("edits"), acting)
    if acting.accounts:
        rows = rows.filter(pk__in=_latest_for(acting))
    return rows.order_by("rank", "-id")


def ranked(requests: QuerySet[Any], acting: Acting) -> QuerySet[Any]:
    """Return requests with their `rank`: what waits for somebody comes first, then what is open, then the rest."""
    steps = RequestStep.objects.filter(request=OuterRef("pk"), actor=acting.name)
    wrote = Exists(steps.filter(what__in=(Step.DRAFTED, Step.EDITED)))
    decided = Exists(steps.filter(what=Step.APPROVED, version=OuterRef("version")))
    mine: list[When] = []
    if acting.may(APPROVE_LIMITS):
        mine.append(When(~wrote & ~decided, state=State.SUBMITTED, then=Value(0)))
    if acting.may(CHANGE_LIMITS):
        mine.append(When(state=State.APPROVED, then=Value(1)))
        mine.append(When(wrote, state__in=(State.DRAFT, State.REJECTED), then=Value(2)))
    is_open = (State.DRAFT, State.SUBMITTED, State.APPROVED, State.SCHEDULED)
    found: QuerySet[Any] = requests.annotate(
        rank=Case(*mine, When(state__in=is_open, then=Value(_OPEN)), default=Value(_DONE), output_field=IntegerField())
    )
    return found


class Pressed(Struct, frozen=True):
    """A button that somebody pressed, on the page of which version of which request, and what they typed beside it."""

    acting: Acting
    number: int
    version: int
    note: str
    at: str

    @property
    def seen(self) -> dict[str, Any]:
        return {"acting": self.acting, "request_id": self.number, "expected_version": self.version}


# What a button does returns the request to be shown next, and what is said.
_Done: TypeAlias = tuple[ChangeRequest, str]


def _publish(pressed: Pressed) -> _Done:
    made = services.do_publish_request(**pressed.seen)
    return made.request, str(made)


def _schedule(pressed: Pressed) -> _Done:
    at = read_moment(pressed.at, settings.RISK_DAY_ZONE)
    made = services.do_publish_request(**pressed.seen, at=at)
    return made.request, str(made)


def _roll_back(pressed: Pressed) -> _Done:
    made = services.do_roll_back_request(acting=pressed.acting, request_id=pressed.number, reason=pressed.note)
    return made, f"Request {made.pk} takes request {pressed.number} back. Nothing is changed yet."


def _noted(do: Callable[..., ChangeRequest]) -> Callable[[Pressed], _Done]:
    return lambda pressed: _now(do(**pressed.seen, note=pressed.note))


def _plain(do: Callable[..., ChangeRequest]) -> Callable[[Pressed], _Done]:
    return lambda pressed: _now(do(**pressed.seen))


def _now(request: ChangeRequest) -> _Done:
    return request, f"Request {request.pk}: {request.get_state_display()}."


_DOING: dict[str, Callable[[Pressed], _Done]] = {
    "submit": _plain(services.do_submit_request),
    "approve": _noted(services.do_approve_request),
    "reject": _noted(services.do_reject_request),
    "publish": _publish,
    "schedule": _schedule,
    "unschedule": _plain(services.do_unschedule_request),
    "withdraw": _noted(services.do_withdraw_request),
    "roll back": _roll_back,
}


def _latest_for(acting: Acting) -> list[int]:
    rows = ChangeRequest.objects.order_by("-id")[:_LATEST]
    return [row.pk for row in rows if may_see_request(acting, row)]
