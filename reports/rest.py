"""Reports over REST: which there are, to ask for one, and to take it away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from api import errors
from api.errors import Problem
from api.rest.base import RiskView, caller
from api.rest.bodies import json_body
from api.rest.lists import find_page, one_of
from api.rest.queries import identifier, instant, read_cursor, read_part, read_query, uuid, whole
from audit.acting import Acting
from audit.roles import READING
from feeds import values
from feeds.malformed import FieldError, Malformed
from feeds.objects import Parser, read_object
from reports import asking, rights
from reports.datasets import DATASETS
from reports.downloads import PARTS, take_away
from reports.errors import NoSuchReport, NotThere, ReportError
from reports.exporters import EXPORTERS
from reports.models import Report, State
from reports.services import Wanted, do_ask_report, do_cancel_report
from reports.table import Asked, Dataset

_MOST_BYTES = 16 * 1024

_QUERY = {
    "report": identifier,
    "state": one_of(State),
    "since": instant,
    "until": instant,
    "cursor": read_cursor(2),
    "limit": whole(1, 500),
}


def _filter_parser(name: str) -> Parser:
    if name in asking.MOMENTS:
        return values.instant
    if name == "symbol":
        return values.symbol
    return values.text(64 if name == "account_id" else asking.LONGEST_TEXT)


_FILTERS: dict[str, Parser] = {name: _filter_parser(name) for name in Asked.__struct_fields__}


def _filters(raw: bytes) -> Asked:
    return Asked(**read_object(raw, _FILTERS))


_FIELDS: dict[str, Parser] = {"report": values.text(64), "format": values.text(8), "filters": _filters}


class _ReportsDoor(RiskView):
    """A door of reports, for whoever may read anything: what they may have of reports follows from their rows."""

    needs: Mapping[str, tuple[str, ...]] = {"GET": READING}

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(_problem_of(exc) or exc)


class ReportsView(_ReportsDoor):
    """The reports that there are, and those that were asked for."""

    needs = {"GET": READING, "POST": READING}
    http_method_names: Sequence[str] = ("get", "head", "post")

    def get(self, request: Request) -> Response:
        """Return those asked for, the newest first, and what may be asked for. Of each only what the caller may see."""
        asked, acting = read_query(request, _QUERY), caller(request).acting
        rows = rights.of_those(acting).select_related("person")
        found, following = find_page(rows, (), asked, {"report": "name", "state": "state"}, "created_at")
        seen = [shown(row) for row in found if rights.may_see(acting, row)]
        kinds = [_shown_kind(each) for each in rights.datasets_for(acting)]
        return Response({"results": seen, "next": following, "kinds": kinds})

    def post(self, request: Request) -> Response:
        """Ask for a report. A small one is made at once; a large one in the background, and says how far it is."""
        body = read_object(json_body(request._request, _MOST_BYTES), _FIELDS, ("report", "format"))
        wanted = Wanted(name=body["report"], format=body["format"], asked=body.get("filters", Asked()))
        made = _ask(caller(request).acting, wanted)
        place = {"Location": _address(made)}
        return Response(shown(made), status=202 if made.is_unfinished else 201, headers=place)


class ReportView(_ReportsDoor):
    """One report that was asked for."""

    needs = {"GET": READING, "DELETE": READING}
    http_method_names: Sequence[str] = ("get", "head", "delete")

    def get(self, request: Request, report_id: str) -> Response:
        """Return how far it is, and what is known of its file."""
        read_query(request, {})
        return Response(shown(rights.find(caller(request).acting, _id(report_id))))

    def delete(self, request: Request, report_id: str) -> Response:
        """Cancel it while it is still to come."""
        read_query(request, {})
        return Response(shown(do_cancel_report(acting=caller(request).acting, report_id=_id(report_id))))


class ReportPartView(_ReportsDoor):
    """What is taken away of a report."""

    http_method_names: Sequence[str] = ("get",)

    def get(self, request: Request, report_id: str, part: str) -> HttpResponseBase:
        """Return its file, its manifest, or both as one zip."""
        read_query(request, {})
        if part not in PARTS:
            raise errors.not_found("there is nothing at this address")
        return take_away(caller(request).acting, _id(report_id), part)


def shown(report: Report) -> dict[str, Any]:
    """Return a report as doors answer with it."""
    is_there = report.state == State.DONE
    dataset = DATASETS.get(report.name)
    return {
        "id": str(report.pk),
        "report": report.name,
        "title": dataset.title if dataset else report.name,
        "format": report.format,
        "filters": report.filters,
        "accounts": report.accounts,
        "asked_by": report.asked_by,
        "state": report.state,
        "done": report.done,
        "total": report.total,
        "created_at": report.created_at,
        "finished_at": report.finished_at,
        "expires_at": report.expires_at,
        "problem": report.problem or None,
        "rows": report.rows,
        "bytes": report.bytes,
        "sha256": report.sha256 or None,
        "file": f"{_address(report)}/file" if is_there else None,
        "manifest": f"{_address(report)}/manifest" if is_there else None,
    }


def _shown_kind(dataset: Dataset) -> dict[str, Any]:
    filters = [name for name in asking.LABELS if name in dataset.filters]
    return {
        "report": dataset.name,
        "title": dataset.title,
        "meaning": dataset.meaning,
        "filters": filters,
        "needed": [name for name in filters if name in dataset.needed],
        "formats": list(EXPORTERS),
        "columns": [column.name for column in dataset.columns],
    }


def _ask(acting: Acting, wanted: Wanted) -> Report:
    """Ask for a report. Raises Malformed where a field is not as it has to be."""
    if wanted.name not in DATASETS:
        raise Malformed.of("report", f"must be one of {', '.join(DATASETS)}", "not_a_choice")
    try:
        return do_ask_report(acting=acting, wanted=wanted)
    except ValidationError as error:
        raise Malformed(
            FieldError(field=name if name in _FIELDS else f"filters.{name}", message=" ".join(texts), code="invalid")
            for name, texts in error.message_dict.items()
        ) from None


def _problem_of(error: Exception) -> Problem | None:
    match error:
        case NoSuchReport():
            return errors.not_found(str(error))
        case NotThere():
            return Problem(409, "not_there", str(error))
        case ReportError():
            return Problem(409, "conflict", str(error))
        case _:
            return None


def _address(report: Report) -> str:
    return f"/risk/reports/{report.pk}"


def _id(text: str) -> UUID:
    found: UUID = read_part("id", text, uuid)
    return found
