"""What the OpenAPI document says of reports."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from api.rest.documentation import document_doors
from api.rest.documenting import PAGE, READ, TIMES, document_view, json_of, ok, problems, query
from api.rest.schemas import Schema, page, ref
from reports import asking, rest
from reports.downloads import PARTS
from reports.models import State
from reports.table import Asked

_TAG = "Reports"

_TEXT: Schema = {"type": "string"}
_OR_NONE: Schema = {"type": ["string", "null"]}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_MOMENT_OR_NONE: Schema = {**_OR_NONE, "format": "date-time"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_COUNT_OR_NONE: Schema = {"type": ["integer", "null"], "minimum": 0}

_ABOUT = {
    "since": "The period, its beginning included.",
    "until": "The period, its end not included.",
    "at": "The moment, of a report on one moment.",
    "account_id": "One account.",
    "symbol": "One symbol.",
    "policy": "One policy, by its id or its name.",
    "actor": "One person or key, as the audit log names it.",
}


def _object(properties: Schema, **more: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), **more}


def _filter(name: str) -> Schema:
    kind = _MOMENT if name in asking.MOMENTS else {"type": "string", "maxLength": asking.LONGEST_TEXT}
    return {**kind, "description": _ABOUT.get(name, asking.LABELS.get(name, name))}


_FILTERS: Schema = {
    "type": "object",
    "properties": {name: _filter(name) for name in Asked.__struct_fields__},
    "additionalProperties": False,
    "description": "What it is to be about; `kinds` says what each report is filtered by, and what it needs.",
}

_REPORT = _object(
    {
        "id": {"type": "string", "format": "uuid"},
        "report": _TEXT,
        "title": _TEXT,
        "format": _TEXT,
        "filters": {"type": "object"},
        "accounts": {"type": "array", "items": _TEXT, "description": "Those that it is limited to; none: of all."},
        "asked_by": _TEXT,
        "state": {"type": "string", "enum": State.values},
        "done": {**_COUNT, "description": "Rows that were written, of `total`."},
        "total": _COUNT,
        "created_at": _MOMENT,
        "finished_at": _MOMENT_OR_NONE,
        "expires_at": {**_MOMENT_OR_NONE, "description": "When its file is removed."},
        "problem": {**_OR_NONE, "description": "Why there is none."},
        "rows": {**_COUNT_OR_NONE, "description": "Rows in the file. A PDF may end before the last one, and says so."},
        "bytes": _COUNT_OR_NONE,
        "sha256": {**_OR_NONE, "description": "Of the file."},
        "file": {**_OR_NONE, "description": "Where it is; null: there is none, or not yet."},
        "manifest": _OR_NONE,
    }
)

_KIND = _object(
    {
        "report": _TEXT,
        "title": _TEXT,
        "meaning": _TEXT,
        "filters": {"type": "array", "items": _TEXT},
        "needed": {"type": "array", "items": _TEXT, "description": "Filters without which it cannot be made."},
        "formats": {"type": "array", "items": _TEXT},
        "columns": {"type": "array", "items": _TEXT},
    }
)

_SCHEMAS: Schema = {
    "Report": _REPORT,
    "ReportKind": _KIND,
    "ReportRequest": {
        "type": "object",
        "properties": {
            "report": {**_TEXT, "description": "Which, as `kinds` names it."},
            "format": {**_TEXT, "description": "How it is written: csv, xlsx, pdf or jsonl."},
            "filters": _FILTERS,
        },
        "required": ["report", "format"],
        "additionalProperties": False,
    },
}

_EXAMPLE = {
    "report": "decisions",
    "format": "csv",
    "filters": {"since": "2026-01-31T00:00:00Z", "until": "2026-02-01T00:00:00Z", "account_id": "desk-1"},
}


def document_reports() -> None:
    """Say what the doors of reports do."""
    _document_list()
    _document_one()
    from reports.urls import doors  # which knows the views

    document_doors(doors, _SCHEMAS)


def _document_list() -> None:
    listed = page(ref("Report"))
    kinds = {"type": "array", "items": ref("ReportKind"), "description": "What may be asked for."}
    listed = {
        **listed,
        "properties": {**listed["properties"], "kinds": kinds},
        "required": [*listed["required"], "kinds"],
    }
    document_view(
        rest.ReportsView,
        _TAG,
        get={
            "operation_id": "list_reports",
            "parameters": [
                query("report", "One kind only."),
                query("state", "One state only.", enum=State.values),
                *TIMES,
                *PAGE,
            ],
            "responses": {**ok(listed, "Those asked for, the newest first, and those there are."), **problems(*READ)},
        },
        post={
            "operation_id": "ask_report",
            "request": json_of(ref("ReportRequest")),
            "examples": [OpenApiExample("The decisions of a day", _EXAMPLE, request_only=True)],
            "responses": {
                **ok(ref("Report"), "It was small, and is over: done, or failed.", code=201),
                **ok(ref("Report"), "It is made in the background: look again at its address.", code=202),
                **problems(400, 401, 403, 409, 413, 415, 503),
            },
        },
    )


def _document_one() -> None:
    document_view(
        rest.ReportView,
        _TAG,
        get={
            "operation_id": "get_report",
            "responses": {**ok(ref("Report"), "How far it is."), **problems(*READ, 404)},
        },
        delete={
            "operation_id": "cancel_report",
            "responses": {**ok(ref("Report"), "It is cancelled."), **problems(*READ, 404, 409)},
        },
    )
    whole = OpenApiResponse({"type": "string", "format": "binary"}, description="It, with its length and its name.")
    document_view(
        rest.ReportPartView,
        _TAG,
        get={
            "operation_id": "take_report",
            "parameters": [OpenApiParameter("part", {"type": "string", "enum": list(PARTS)}, OpenApiParameter.PATH)],
            "responses": {(200, "application/octet-stream"): whole, **problems(*READ, 404, 409)},
        },
    )
