"""Makes the roles of an installation as groups.

Each is made once. What an administrator takes from a role or adds to it stays so, and so does a role that was renamed
or deleted; only permissions that come with a new version are added, to the roles that are still there.
"""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.db import transaction

from audit.models import AuditHead, RoleGrant
from audit.people import evidence, record_change
from audit.roles import ROLES, Role

ACTOR = "configuration"
REASON = "Roles of the installation"


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
