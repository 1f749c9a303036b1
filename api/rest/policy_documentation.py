"""What the OpenAPI document says of limits and change requests."""

from __future__ import annotations

from api.rest import overrides, policies, requests, symbols
from api.rest.documenting import ACCOUNT, ANY, PAGE, READ, document_view, json_of, ok, problems, query
from api.rest.schemas import page, ref
from policies.models import State

_WRITING = problems(400, 401, 403, 404, 409, 413, 415, 503)


def document_policies() -> None:
    """Say what the doors of limits, of restricted symbols and of change requests do."""
    _document_limits()
    _document_symbols()
    _document_overrides()
    document_view(
        requests.RequestsView,
        "Change requests",
        get={
            "operation_id": "list_change_requests",
            "parameters": [query("state", "One state only.", enum=list(State)), *PAGE],
            "responses": {**ok(page(ref("ListedChangeRequest")), "The newest first."), **problems(*READ)},
        },
    )
    document_view(
        requests.RequestView,
        "Change requests",
        get={
            "operation_id": "get_change_request",
            "responses": {**ok(ref("ChangeRequest"), "With what it changes."), **problems(*READ, 404)},
        },
    )
    document_view(
        requests.RequestStepView,
        "Change requests",
        post={
            "operation_id": "take_change_request_step",
            "description": "`step`: submit, approve, reject, publish, unschedule or withdraw. What loosens limits is "
            "published once somebody else has approved it; where it may not be published any more, it becomes a draft "
            "again and the conflict says why.",
            "request": json_of(ref("ChangeRequestStep")),
            "responses": {**ok(ref("ChangeRequest"), "As it is now. `live`: whether checks go by it."), **_WRITING},
        },
    )


def _document_limits() -> None:
    asked = ok(ref("ChangeRequest"), "What was asked for. It waits for approval, or to be published.", code=201)
    document_view(
        policies.PoliciesView,
        "Limits",
        get={
            "operation_id": "list_policies",
            "parameters": [
                query("id", "One limit only.", format="uuid"),
                query("enabled", "Those in force, or those switched off.", type="boolean"),
                *PAGE,
            ],
            "responses": {**ok(page(ref("Policy")), "By name."), **problems(*READ)},
        },
        post={
            "operation_id": "request_policy",
            "request": json_of(ref("NewPolicy")),
            "responses": {**asked, **_WRITING},
        },
        patch={
            "operation_id": "request_policy_change",
            "request": json_of(ref("PolicyChange")),
            "responses": {**asked, **_WRITING},
        },
    )


def _document_overrides() -> None:
    document_view(
        overrides.OverridesView,
        "Limits",
        get={
            "operation_id": "list_overrides",
            "responses": {**ok(page(ref("Override")), "In force, or to come, with what is used."), **problems(*READ)},
        },
        post={
            "operation_id": "request_override",
            "request": json_of(ref("NewOverride")),
            "responses": {
                **ok(ref("ChangeRequest"), "What was asked for; it waits for somebody else's approval.", code=201),
                **_WRITING,
            },
        },
    )


def _document_symbols() -> None:
    document_view(
        symbols.SymbolsView,
        "Symbols",
        get={"operation_id": "list_symbols", "responses": {**ok(page(ANY), "In force now."), **problems(*READ)}},
    )
    document_view(
        symbols.BlockView,
        "Symbols",
        post={
            "operation_id": "restrict_symbol",
            "request": json_of(ref("Restriction")),
            "responses": {
                **ok(ANY, "Restricted; the next check goes by it where `live` is true.", code=201),
                **ok(ANY, "The request for it waits for approval.", code=202),
                **problems(400, 401, 403, 409, 413, 415, 503),
            },
        },
        delete={
            "operation_id": "lift_symbol",
            "parameters": [ACCOUNT, query("side", "Restrictions of one side only."), query("reason", "Why.")],
            "responses": {
                **ok(ANY, "Lifted, where nobody has to approve that."),
                **ok(ANY, "The request for it waits for approval.", code=202),
                **problems(*READ, 404, 409),
            },
        },
    )
