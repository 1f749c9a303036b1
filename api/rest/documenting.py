"""How a door is documented: its answers, its parameters, and where they are said."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from api.rest.base import RiskView
from api.rest.schemas import Schema, ref

_PROBLEMS = {
    400: "The body or the query is not understood; every wrong field is named.",
    401: "No API key, or one that is not good.",
    403: "Whoever asks has not the permission, which is named, or is not for the account.",
    404: "There is no such thing.",
    409: "What is there is not as it would have to be; nothing was changed.",
    413: "The body is too long.",
    415: "The body is not said to be JSON.",
    429: "The key asks too often; see Retry-After.",
    503: "The live state cannot be reached, or is not restored yet.",
}


def problems(*codes: int) -> dict[Any, Any]:
    """Return the answers that are problems, by their status."""
    return {
        (code, "application/problem+json"): OpenApiResponse(ref("Problem"), description=_PROBLEMS[code])
        for code in codes
    }


def ok(schema: Schema, description: str, *examples: OpenApiExample, code: int = 200) -> dict[Any, Any]:
    """Return the answer of a request that was served."""
    return {(code, "application/json"): OpenApiResponse(schema, description=description, examples=list(examples))}


def json_of(schema: Schema) -> dict[str, Any]:
    """Return a body of JSON."""
    return {"application/json": schema}


def query(name: str, description: str, **schema: Any) -> OpenApiParameter:
    """Return a parameter of an address."""
    return OpenApiParameter(name, {"type": "string", **schema}, OpenApiParameter.QUERY, description=description)


ACCOUNT = query("account_id", "One account only.")
TIMES = (
    query("since", "At this moment or later.", format="date-time"),
    query("until", "Before this moment.", format="date-time"),
)
PAGE = (query("cursor", "Where the page before ended."), query("limit", "Rows a page.", type="integer", minimum=1))
ANY: Schema = {"type": "object"}
READ = (400, 401, 403, 503)
BLOCK: Schema = {"allOf": [ref("Problem"), ref("CheckReply")]}


def check_replies(schema: Schema, blocked: Schema) -> dict[Any, Any]:
    """Return all answers to a check."""
    block = OpenApiResponse(blocked, description=f"{_PROBLEMS[503]} Nothing is approved.")
    return {
        **ok(schema, "Decided. Idempotency-Replayed: true where it is the first answer to the order_id again."),
        **problems(400, 401, 403, 413, 415, 429),
        (503, "application/problem+json"): block,
    }


def document_view(view: type[RiskView], tag: str, **methods: dict[str, Any]) -> None:
    """Say what the methods of a view do."""
    for method, said in methods.items():
        handler = getattr(view, method)
        handler.schema = AutoSchema  # what is said below extends it, whatever Django's settings name
        extend_schema(tags=[tag], **said)(handler)
