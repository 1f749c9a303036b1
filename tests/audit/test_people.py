"""Users, groups and rights: nothing of them changes in the admin without a reason and an event."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse

from audit.models import AuditEvent

pytestmark = pytest.mark.django_db

SECRET = "correct horse battery"


@pytest.fixture
def officer(client):
    client.force_login(User.objects.create(username="olga", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def trader() -> User:
    return User.objects.create_user("tim", password="the one before that")


def events() -> list[AuditEvent]:
    return list(AuditEvent.objects.order_by("sequence"))


def user_form(**changes: Any) -> dict[str, Any]:
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    return {"username": "tim", "is_active": "on", **joined, "reason": "New duties", **changes}


def page(row: Any, name: str) -> str:
    return reverse(f"admin:auth_{row._meta.model_name}_{name}", args=(row.pk,))


def test_a_new_user_is_an_event_without_the_password(officer):
    form = {"username": "tim", "usable_password": "true", "password1": SECRET, "password2": SECRET, "reason": "Hired"}
    officer.post(reverse("admin:auth_user_add"), form)
    (event,) = events()
    assert (event.actor, event.action, event.reason) == ("olga", "user.create", "Hired")
    assert event.before is None
    assert event.after is not None
    assert event.after["username"] == "tim"
    assert "password" not in event.after
    assert User.objects.get(username="tim").check_password(SECRET)


def test_rights_given_are_an_event_with_both_sides(officer, trader):
    desk = Group.objects.create(name="desk")
    right = Permission.objects.get(codename="change_policy")
    form = user_form(is_superuser="on", groups=[desk.pk], user_permissions=[right.pk])
    officer.post(page(trader, "change"), form)
    (event,) = events()
    assert event.action == "user.change"
    assert event.before is not None
    assert event.after is not None
    assert [event.before[name] for name in ("is_superuser", "groups", "permissions")] == [False, [], []]
    assert [event.after[name] for name in ("is_superuser", "groups", "permissions")] == [
        True,
        ["desk"],
        ["policies.change_policy"],
    ]


def test_a_save_that_changes_nothing_is_no_event(officer, trader):
    officer.post(page(trader, "change"), user_form(date_joined_0=f"{trader.date_joined:%Y-%m-%d}"))
    assert events() == []


@pytest.mark.parametrize("reason", ["", "  "])
def test_without_a_reason_nothing_is_changed(officer, trader, reason):
    desk = Group.objects.create(name="desk")
    new = {"username": "x", "usable_password": "true", "password1": SECRET, "password2": SECRET, "reason": reason}
    officer.post(reverse("admin:auth_user_add"), new)
    officer.post(page(trader, "change"), user_form(is_superuser="on", reason=reason))
    officer.post(page_of_password(trader), {"password1": SECRET, "password2": SECRET, "reason": reason})
    officer.post(page(trader, "delete"), {"post": "yes", "reason": reason})
    officer.post(reverse("admin:auth_group_add"), {"name": "new", "reason": reason})
    officer.post(page(desk, "change"), {"name": "other", "reason": reason})
    officer.post(page(desk, "delete"), {"post": "yes", "reason": reason})
    trader.refresh_from_db()
    assert not trader.is_superuser
    assert trader.check_password("the one before that")
    assert list(User.objects.order_by("username").values_list("username", flat=True)) == ["olga", "tim"]
    assert [each.name for each in Group.objects.all()] == ["desk"]
    assert events() == []


def page_of_password(user: User) -> str:
    return reverse("admin:auth_user_password_change", args=(user.pk,))


def test_the_form_of_a_password_asks_for_the_reason(officer, trader):
    assert 'name="reason"' in officer.get(page_of_password(trader)).content.decode()


def test_a_password_set_by_another_is_an_event_without_it(officer, trader):
    form = {"password1": SECRET, "password2": SECRET, "usable_password": "true", "reason": "Forgotten"}
    officer.post(page_of_password(trader), form)
    trader.refresh_from_db()
    assert trader.check_password(SECRET)
    (event,) = events()
    assert (event.action, event.reason) == ("user.password", "Forgotten")
    assert event.after is not None
    assert event.after["password"] == "password changed"
    assert trader.password not in str(event.after)


def test_a_password_changed_by_its_owner_is_an_event(client, trader):
    trader.is_staff = True
    trader.save()
    client.force_login(trader)
    form = {"old_password": "the one before that", "new_password1": SECRET, "new_password2": SECRET}
    client.post(reverse("admin:password_change"), {**form, "old_password": "wrong"})
    assert [event.action for event in events()] == ["sign_in.failed"]
    client.post(reverse("admin:password_change"), form)
    *_, event = events()
    assert (event.actor, event.action) == ("tim", "user.password")


def test_a_deletion_asks_why_and_is_an_event(officer, trader):
    assert 'name="reason"' in officer.get(page(trader, "delete")).content.decode()
    key = trader.pk
    officer.post(page(trader, "delete"), {"post": "yes", "reason": "Left"})
    (event,) = events()
    assert (event.action, event.object_id, event.object_label, event.after) == ("user.delete", str(key), "tim", None)
    assert not User.objects.filter(pk=key).exists()


def test_a_group_is_made_changed_and_deleted_with_events(officer, trader):
    officer.post(reverse("admin:auth_group_add"), {"name": "desk", "reason": "New desk"})
    desk = Group.objects.get()
    trader.groups.add(desk)
    right = Permission.objects.get(codename="change_policy")
    officer.post(page(desk, "change"), {"name": "desk", "permissions": [right.pk], "reason": "Rights"})
    officer.post(page(desk, "delete"), {"post": "yes", "reason": "Closed"})
    made, changed, gone = events()
    assert [each.action for each in (made, changed, gone)] == ["group.create", "group.change", "group.delete"]
    assert changed.after is not None
    assert changed.after["permissions"] == ["policies.change_policy"]
    assert gone.before is not None
    assert gone.before["members"] == ["tim"]


def test_where_the_event_cannot_be_written_nothing_is_changed(officer, trader, monkeypatch):
    def fail(**_event: object) -> None:
        raise RuntimeError("no audit log")

    monkeypatch.setattr("audit.people.record", fail)
    officer.raise_request_exception = False
    form = {"password1": SECRET, "password2": SECRET, "usable_password": "true", "reason": "Forgotten"}
    assert officer.post(page(trader, "change"), user_form(is_superuser="on")).status_code == 500
    assert officer.post(page_of_password(trader), form).status_code == 500
    assert officer.post(page(trader, "delete"), {"post": "yes", "reason": "Left"}).status_code == 500
    trader.refresh_from_db()
    assert not trader.is_superuser
    assert trader.check_password("the one before that")


@pytest.mark.parametrize("model", ["user", "group"])
def test_nothing_is_deleted_in_bulk(officer, trader, model):
    Group.objects.create(name="desk")
    url = reverse(f"admin:auth_{model}_changelist")
    assert "delete_selected" not in officer.get(url).content.decode()
    officer.post(url, {"action": "delete_selected", "_selected_action": [trader.pk], "post": "yes"})
    assert User.objects.filter(pk=trader.pk).exists()
    assert Group.objects.exists()


def test_who_may_only_look_is_asked_for_no_reason(client, trader):
    viewer = User.objects.create(username="viktor", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(viewer)
    shown = client.get(page(trader, "change")).content.decode()
    assert "tim" in shown
    assert 'name="reason"' not in shown
    assert trader.password not in shown
