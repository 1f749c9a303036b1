"""The roles that an installation starts with: groups of people, each with what it may.

Roles are made once. What an administrator takes from a role or adds to it stays so, and so does a role that was renamed
or deleted; only permissions that come with a new version are added, to the roles that are still there.
"""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from msgspec import Struct

from audit.models import AuditHead, RoleGrant
from audit.people import evidence, record_change

ACTOR = "configuration"
REASON = "Roles of the installation"


class Role(Struct, frozen=True):
    """A role: the name of its group, what it is for, and its permissions by Django's names."""

    name: str
    meaning: str
    permissions: tuple[str, ...]


_READ = (
    *("policies.view_policy", "policies.view_capitalprofile", "policies.view_account", "policies.view_instrument"),
    *("policies.view_restrictedsymbol", "policies.view_book", "policies.view_changerequest"),
    *("emergency.view_emergencystop", "emergency.view_stopaccount"),
    *("violations.view_violation", "violations.view_alert", "violations.view_breakertrip"),
    *("audit.view_orderdecision", "audit.view_reservationend"),
)
_EVIDENCE = ("audit.view_auditevent", "audit.view_journalreject", "feeds.view_deadletter")

ROLES = (
    Role("viewer", "watches exposure, limits, violations, alerts and stops, and changes nothing", _READ),
    Role(
        "risk officer",
        "changes limits by request, acts on alerts, stops trading",
        (
            *_READ,
            *("policies.change_limits", "violations.handle_alert", "emergency.engage_stop"),
            *(*_EVIDENCE, "feeds.replay_deadletter"),
        ),
    ),
    Role(
        "approver",
        "approves or rejects what others want to change of limits",
        (*_READ, "policies.approve_limits", "audit.view_auditevent"),
    ),
    Role(
        "emergency operator",
        "stops trading and re-enables it, ends reservations, acts on alerts",
        (
            *_READ,
            *("emergency.engage_stop", "emergency.lift_stop", "violations.handle_alert"),
            "audit.release_reservation",
        ),
    ),
    Role(
        "auditor",
        "reads everything, people and keys included, and changes nothing",
        (*_READ, *_EVIDENCE, "auth.view_user", "auth.view_group", "api.view_apikey"),
    ),
    Role(
        "administrator",
        "says who may what: people, groups and API keys; neither changes nor approves limits",
        (
            *(*_READ, *_EVIDENCE, "feeds.replay_deadletter", "api.view_apikey", "api.manage_keys"),
            *("auth.view_user", "auth.add_user", "auth.change_user", "auth.delete_user"),
            *("auth.view_group", "auth.add_group", "auth.change_group", "auth.delete_group"),
        ),
    ),
)


@transaction.atomic
def ensure_roles() -> list[str]:
    """Make the roles that were never made, give them what is new, and return the names of those that changed."""
    AuditHead.objects.get_or_create(pk=1)
    AuditHead.objects.select_for_update().get(pk=1)  # two that start at once do this one after the other
    there = {f"{row.content_type.app_label}.{row.codename}": row for row in _permissions()}
    return [role.name for role in ROLES if _ensure(role, there)]


def _permissions() -> list[Permission]:
    return list(Permission.objects.select_related("content_type"))


def _ensure(role: Role, there: dict[str, Permission]) -> bool:
    """Give a role what it was never given; return whether its group has changed."""
    given = set(RoleGrant.objects.filter(role=role.name).values_list("permission", flat=True))
    new = [name for name in role.permissions if name in there and name not in given]
    if not new:
        return False
    RoleGrant.objects.bulk_create(RoleGrant(role=role.name, permission=name) for name in new)
    group = Group.objects.filter(name=role.name).first()
    # Deleted or renamed since; or made by somebody for other ends, before there were roles: its members get nothing.
    if (group is None) is bool(given):
        return False
    before = None if group is None else evidence(group)
    group = group or Group.objects.create(name=role.name)
    group.permissions.add(*(there[name] for name in new))
    verb = "create" if before is None else "change"
    record_change(group, verb, actor=ACTOR, reason=REASON, before=before, after=evidence(group))
    return True
