"""The roles of an installation: made once, in the audit log, and left as administrators have them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission

from audit import role_groups
from audit.models import AuditEvent, RoleGrant
from audit.role_groups import ensure_roles
from audit.roles import ROLES, Role

pytestmark = pytest.mark.django_db


def has(role: str) -> set[str]:
    found = Group.objects.get(name=role).permissions.values_list("content_type__app_label", "codename")
    return {f"{app}.{name}" for app, name in found}


def permission(name: str) -> Permission:
    app, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)


def with_new(monkeypatch: pytest.MonkeyPatch, role: str, name: str) -> None:
    """Have a new version give a role one permission more."""
    grown = tuple(Role(r.name, r.meaning, (*r.permissions, name)) if r.name == role else r for r in ROLES)
    monkeypatch.setattr(role_groups, "ROLES", grown)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_permission_of_a_role_is_given(role):
    ensure_roles()
    assert has(role.name) == set(role.permissions)


@pytest.mark.parametrize("role", ["viewer", "auditor", "administrator", "approver", "emergency operator"])
def test_only_the_risk_officer_changes_limits(role):
    ensure_roles()
    assert "policies.change_limits" not in has(role)


def test_nobody_changes_and_approves_limits_by_one_role():
    assert not [r.name for r in ROLES if {"policies.change_limits", "policies.approve_limits"} <= set(r.permissions)]


def test_who_says_who_may_what_neither_changes_limits_nor_stops_trading():
    ensure_roles()
    assert not has("administrator") & {
        *("policies.change_limits", "policies.approve_limits", "emergency.engage_stop", "emergency.lift_stop"),
    }


def test_each_role_is_an_event_of_the_configuration():
    ensure_roles()
    found = AuditEvent.objects.filter(action="group.create", actor="configuration")
    assert {event.object_label for event in found} == {role.name for role in ROLES}
    viewer = found.get(object_label="viewer")
    assert viewer.after is not None
    assert set(viewer.after["permissions"]) == has("viewer")


def test_made_again_they_are_as_they_were():
    assert ensure_roles() == [role.name for role in ROLES]
    events = AuditEvent.objects.count()
    assert ensure_roles() == []
    assert AuditEvent.objects.count() == events


def test_what_was_taken_from_a_role_stays_taken():
    ensure_roles()
    Group.objects.get(name="risk officer").permissions.remove(permission("emergency.engage_stop"))
    ensure_roles()
    assert "emergency.engage_stop" not in has("risk officer")


def test_what_was_added_to_a_role_stays():
    ensure_roles()
    Group.objects.get(name="viewer").permissions.add(permission("audit.view_auditevent"))
    ensure_roles()
    assert "audit.view_auditevent" in has("viewer")


def test_a_role_that_was_deleted_stays_away(monkeypatch):
    ensure_roles()
    Group.objects.get(name="approver").delete()
    with_new(monkeypatch, "approver", "violations.handle_alert")
    ensure_roles()
    assert not Group.objects.filter(name="approver").exists()


def test_a_new_version_gives_what_is_new_and_nothing_that_was_taken(monkeypatch):
    ensure_roles()
    Group.objects.get(name="approver").permissions.remove(permission("audit.view_auditevent"))
    with_new(monkeypatch, "approver", "violations.handle_alert")
    assert ensure_roles() == ["approver"]
    assert "violations.handle_alert" in has("approver")
    assert "audit.view_auditevent" not in has("approver")
    event = AuditEvent.objects.order_by("-sequence")[0]
    assert (event.action, event.object_label, event.actor) == ("group.change", "approver", "configuration")


def test_a_permission_that_is_not_there_yet_is_given_when_it_is(monkeypatch):
    with_new(monkeypatch, "viewer", "violations.not_there")
    ensure_roles()
    assert not RoleGrant.objects.filter(permission="violations.not_there").exists()


def test_a_group_of_that_name_from_before_gets_nothing():
    Group.objects.create(name="approver")
    assert "approver" not in ensure_roles()
    assert has("approver") == set()
