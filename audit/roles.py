"""The roles that an installation starts with: groups of people, each with what it may (docs/roles.md)."""

from __future__ import annotations

from msgspec import Struct


class Role(Struct, frozen=True):
    """A role: the name of its group, what it is for, and its permissions by Django's names."""

    name: str
    meaning: str
    permissions: tuple[str, ...]


READING = (
    *("policies.view_policy", "policies.view_capitalprofile", "policies.view_account", "policies.view_instrument"),
    *("policies.view_override", "policies.view_restrictedsymbol", "policies.view_book", "policies.view_changerequest"),
    *("emergency.view_emergencystop", "emergency.view_stopaccount"),
    *("violations.view_violation", "violations.view_alert", "violations.view_breakertrip"),
    *("audit.view_orderdecision", "audit.view_reservationend"),
)
EVIDENCE = (
    *("audit.view_auditevent", "audit.view_journalreject", "audit.view_evidencebatch", "audit.view_evidencearchive"),
    "feeds.view_deadletter",
)

PEOPLE = ("auth.view_user", "auth.view_group", "api.view_apikey")

ROLES = (
    Role("viewer", "watches exposure, limits, violations, alerts and stops, and changes nothing", READING),
    Role(
        "risk officer",
        "changes limits by request, acts on alerts, stops trading",
        (
            *READING,
            *("policies.change_limits", "violations.handle_alert", "emergency.engage_stop"),
            *(*EVIDENCE, "feeds.replay_deadletter"),
        ),
    ),
    Role(
        "approver",
        "approves or rejects what others want to change of limits",
        (*READING, "policies.approve_limits", "audit.view_auditevent"),
    ),
    Role(
        "emergency operator",
        "stops trading and re-enables it, ends reservations, acts on alerts",
        (
            *READING,
            *("emergency.engage_stop", "emergency.lift_stop", "violations.handle_alert"),
            "audit.release_reservation",
        ),
    ),
    Role(
        "auditor",
        "reads everything, people and keys included, and changes nothing",
        (*READING, *EVIDENCE, *PEOPLE),
    ),
    Role(
        "administrator",
        "says who may what: people, groups and API keys; neither changes nor approves limits",
        (
            *(*READING, *EVIDENCE, "feeds.replay_deadletter", "api.view_apikey", "api.manage_keys"),
            *("auth.view_user", "auth.add_user", "auth.change_user", "auth.delete_user"),
            *("auth.view_group", "auth.add_group", "auth.change_group", "auth.delete_group"),
        ),
    ),
)
