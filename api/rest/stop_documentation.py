"""What the OpenAPI document says of emergency stops, and of the leases whose end may set one off."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

from api.rest import leases, stops
from api.rest.documenting import PAGE, READ, TIMES, document_view, json_of, ok, problems, query
from api.rest.lease_schemas import LEASE_EXAMPLE
from api.rest.schemas import page, ref
from emergency.words import Trigger
from riskcore.ports import StopScope


def document_stops() -> None:
    """Say what the doors of stops do."""
    document_view(
        stops.StopView,
        "Emergency stop",
        get={
            "operation_id": "list_emergency_stops",
            "responses": {
                **ok(page(ref("StopInForce")), "In force now; null is what nobody can say."),
                **problems(*READ),
            },
        },
        post={
            "operation_id": "engage_emergency_stop",
            "request": json_of(ref("EmergencyStop")),
            "responses": {
                **ok(ref("EngagedStop"), "In force, everywhere.", code=201),
                **ok(ref("EngagedStop"), "One was in force already that asks for no less."),
                **problems(400, 401, 403, 413, 415, 503),
            },
        },
    )
    document_view(
        stops.ReEnableView,
        "Emergency stop",
        post={
            "operation_id": "re_enable_trading",
            "request": json_of(ref("ReEnable")),
            "responses": {
                **ok(ref("LiftedStops"), "Lifted. Other stops stay in force."),
                **ok(ref("LiftedStops"), "An emergency policy is breached: a second person must approve.", code=202),
                **problems(400, 401, 403, 404, 409, 413, 415, 503),
            },
        },
    )
    patience: dict[str, Any] = {
        "request": json_of(ref("Patience")),
        "responses": {
            **ok(ref("PatienceSaid"), "The stop stays in force."),
            **problems(400, 401, 403, 404, 409, 413, 415, 503),
        },
    }
    document_view(stops.GiveUpView, "Emergency stop", post={"operation_id": "give_up_emergency_stop", **patience})
    document_view(stops.GoOnView, "Emergency stop", post={"operation_id": "go_on_with_emergency_stop", **patience})
    document_view(
        stops.StopHistoryView,
        "Emergency stop",
        get={
            "operation_id": "list_emergency_stop_history",
            "parameters": [
                query("scope", "One type of scope only.", enum=list(StopScope)),
                query("scope_id", "One id only."),
                query("trigger", "One trigger only.", enum=list(Trigger)),
                query("active", "Those in force, or those lifted.", type="boolean"),
                *TIMES,
                *PAGE,
            ],
            "responses": {
                **ok(page(ref("StopRecord")), "The newest first, each with its timeline."),
                **problems(*READ),
            },
        },
    )


def document_leases() -> None:
    """Say what the doors of leases do."""
    document_view(
        leases.LeasesView,
        "Dead man's switch",
        get={
            "operation_id": "list_leases",
            "responses": {**ok(page(ref("Lease")), "Those held now."), **problems(*READ)},
        },
        post={
            "operation_id": "renew_lease",
            "request": json_of(ref("LeaseRequest")),
            "examples": [OpenApiExample("Every few seconds", LEASE_EXAMPLE, request_only=True)],
            "responses": {
                **ok(ref("RenewedLease"), "Given.", code=201),
                **ok(ref("RenewedLease"), "Renewed."),
                **problems(400, 401, 403, 409, 413, 415, 429, 503),
            },
        },
    )
    document_view(
        leases.LeaseView,
        "Dead man's switch",
        delete={
            "operation_id": "release_lease",
            "responses": {**ok(ref("Lease"), "It has ended; this is how it was."), **problems(*READ, 404)},
        },
    )
