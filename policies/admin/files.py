"""Files of limits in the admin: exported as they are now, and imported in two steps: look, then ask for the change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from django.core import signing
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from msgspec import Struct

from audit.acting import Acting, NotAllowed
from policies.admin.book_page import shown_differences
from policies.errors import FieldChange, PolicyError
from policies.files.matching import Plan
from policies.files.rows import KINDS, MOST_BYTES, SHEETS
from policies.files.services import FORMATS, do_import_limits, export_limits, plan_import, try_plan
from policies.models import CHANGE_LIMITS, ChangeRequest
from policies.requests.publishing import text_of
from policies.requests.trying import Tried

REFUSED = (PolicyError, NotAllowed, ValidationError)

_TYPES = {
    "yaml": "application/yaml",
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
# How long somebody may look before they ask, and how much a form may carry (Django takes 2.5 MB).
_LOOKING_S = 3600
_MOST_CARRIED = 2_000_000
# What is kept of rows and is in no book.
_OUTSIDE = frozenset({"description", "owner", "regulatory tags"})


class Carried(Struct, frozen=True):
    """What the form carries from looking to asking, signed: nothing of it can be changed on the way."""

    name: str
    plan: Plan


def exported(acting: Acting, form: str, sheet: str) -> HttpResponse:
    """Return a file with the limits as they are now. Raises PermissionDenied for who is for some accounts only."""
    if acting.accounts or form not in FORMATS or sheet not in ("", *KINDS) or (form == "csv" and not sheet):
        raise PermissionDenied
    name = f"{sheet or 'limits'}-{timezone.now():%Y%m%d-%H%M%S}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(export_limits(form, KINDS.get(sheet, "")), content_type=_TYPES[form], headers=headers)


def looked_at(request: HttpRequest) -> dict[str, Any]:
    """Return what the page of an import shows of the file that was sent. Raises REFUSED."""
    file = request.FILES.get("file")
    if file is None:
        raise ValidationError({"file": "Choose a file."})
    name = str(file.name)[:120]
    plan = plan_import(file.read(MOST_BYTES + 1), name, KINDS.get(request.POST.get("sheet", ""), ""))
    found: dict[str, Any] = {"file_name": name, "plan": plan}
    if not plan.edits:
        return found
    carried = signing.dumps(msgspec.to_builtins(Carried(name, plan)), salt=_salt(request), compress=True)
    if len(carried) > _MOST_CARRIED:
        raise ValidationError({"file": "It changes too much for a page: use manage.py import_policies."})
    tried = try_plan(plan)
    return {
        **found,
        **shown_differences(tried.before, tried.after, timezone.now()),
        "others": others_of(tried),
        "carried": carried,
    }


def do_import_carried(request: HttpRequest, acting: Acting) -> ChangeRequest:
    """Write the request for what somebody has looked at. Raises REFUSED."""
    try:
        said = signing.loads(request.POST.get("carried", ""), salt=_salt(request), max_age=_LOOKING_S)
    except signing.BadSignature:
        raise ValidationError({"file": "It is too long ago that you looked at the file: choose it again."}) from None
    carried = msgspec.convert(said, Carried)
    reason = request.POST.get("reason", "")
    return do_import_limits(acting=acting, reason=reason, plan=carried.plan, title=f"Import of {carried.name}")


def page_of(request: HttpRequest, acting: Acting) -> dict[str, Any]:
    """Return what the page of an import shows: what a file would change, or what is wrong with it."""
    if not acting.may(CHANGE_LIMITS):
        raise PermissionDenied
    shown: dict[str, Any] = {"sheets": tuple(SHEETS.values()), "may_export": not acting.accounts}
    if request.method != "POST":
        return shown
    try:
        return {**shown, **looked_at(request)}
    except REFUSED as error:
        return {**shown, "problems": text_of(error).splitlines()}


def others_of(tried: Tried) -> list[tuple[str, FieldChange]]:
    """Return the changes of fields that no check goes by, so that they are no difference of the books."""
    in_book = {(each.part, each.name) for each in tried.judged}
    return list(_others(tried, in_book))


def _others(tried: Tried, in_book: set[tuple[str, str]]) -> Iterable[tuple[str, FieldChange]]:
    for row in tried.rows:
        whole = (row.part, row.item) not in in_book
        for change in row.changes:
            if whole or change.field in _OUTSIDE or (row.kind == "account" and change.field == "name"):
                yield row.label, change


def _salt(request: HttpRequest) -> str:
    return f"policies.admin.files:{request.user.pk}"
