"""Administrators say who may what: never unseen, not above themselves, and for accounts that there are."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from audit.models import AuditEvent
from audit.people import accounts_of, set_accounts
from audit.rights import acting_of
from audit.role_groups import ensure_roles
from policies.models import Account, CapitalProfile

pytestmark = pytest.mark.django_db

SECRET = "correct horse battery"


@pytest.fixture
def ada() -> User:
    """An administrator."""
    return person("ada", "administrator")


@pytest.fixture
def admin(ada) -> Client:
    return browser(ada)


def person(name: str, *roles: str, **what: Any) -> User:
    ensure_roles()
    made = User.objects.create_user(name, password="the one before that", is_staff=True, **what)
    made.groups.set(Group.objects.filter(name__in=roles))
    return made


def browser(user: User) -> Client:
    found = Client()
    found.force_login(user)
    return found


def change(client: Client, user: User, **what: Any) -> Any:
    groups = [group.pk for group in user.groups.all()]
    form = {"username": user.username, "is_active": "on", "is_staff": "on", "reason": "New duties", "groups": groups}
    joined = {"date_joined_0": f"{user.date_joined:%Y-%m-%d}", "date_joined_1": f"{user.date_joined:%H:%M:%S}"}
    return client.post(page(user, "change"), {**form, **joined, **what})


def page(row: Any, name: str) -> str:
    return reverse(f"admin:auth_{row._meta.model_name}_{name}", args=(row.pk,))


def last_event() -> AuditEvent:
    return AuditEvent.objects.order_by("-sequence")[0]


def make_accounts(*names: str) -> None:
    profile = CapitalProfile(
        name="normal",
        allowed_leverage=1,
        max_single_trade_risk=1,
        max_daily_loss=1,
        max_weekly_loss=1,
        max_open_positions=1,
    )
    profile._history_user = profile._change_reason = "test"
    profile.save()
    for name in names:
        row = Account(id=name, profile=profile)
        row._history_user = row._change_reason = "test"
        row.save()


# ---------------------------------------------------------------------------------------------- what is refused
def test_nobody_is_made_mightier_than_who_makes_them(admin):
    tim = person("tim")
    change(admin, tim, is_superuser="on")
    tim.refresh_from_db()
    assert not tim.is_superuser


def test_who_may_everything_is_not_changed_by_who_may_not(admin):
    root = person("root", is_superuser=True)
    passwords = {"password1": SECRET, "password2": SECRET, "usable_password": "true", "reason": "Forgotten"}
    assert change(admin, root, is_active="").status_code == 403
    assert admin.post(reverse("admin:auth_user_password_change", args=(root.pk,)), passwords).status_code == 403
    assert admin.post(page(root, "delete"), {"post": "yes", "reason": "Left"}).status_code == 403
    root.refresh_from_db()
    assert root.is_active
    assert root.check_password("the one before that")


@pytest.mark.parametrize("role", ["viewer", "risk officer", "approver", "emergency operator", "auditor"])
def test_only_administrators_change_people(role):
    tim = person("tim")
    assert change(browser(person("olga", role)), tim, is_staff="").status_code == 403
    group = Group.objects.get(name="viewer")
    assert browser(person("otto", role)).post(page(group, "change"), {"name": "x", "reason": "y"}).status_code == 403
    tim.refresh_from_db()
    assert tim.is_staff


def test_an_account_that_is_not_there_is_refused_by_name(admin):
    make_accounts("desk-1")
    tim = person("tim")
    answer = change(admin, tim, accounts="desk-1, desk-2")
    assert "There is no account desk-2." in str(answer.context["adminform"].form.errors["accounts"])
    assert accounts_of(tim) == []


# ---------------------------------------------------------------------------------------------- what is seen
def test_an_administrator_who_makes_themselves_an_approver_is_seen(admin, ada):
    roles = Group.objects.filter(name__in=("administrator", "approver"))
    change(admin, ada, groups=[group.pk for group in roles], reason="The others are away")
    event = last_event()
    assert event.before is not None
    assert event.after is not None
    assert (event.actor, event.action, event.object_label) == ("ada", "user.change", "ada")
    assert (event.before["groups"], event.after["groups"]) == (["administrator"], ["administrator", "approver"])
    auditor = browser(person("aud", "auditor"))
    shown = auditor.get(reverse("admin:audit_auditevent_change", args=(event.pk,))).content.decode()
    assert "The others are away" in shown
    assert "approver" in shown


def test_the_page_of_a_person_says_who_changed_what_and_why(admin, ada):
    roles = Group.objects.filter(name__in=("administrator", "approver"))
    change(admin, ada, groups=[group.pk for group in roles], reason="The others are <b>away</b>")
    again = browser(ada)  # her roles have changed: her session has ended
    shown = again.get(page(ada, "change")).content.decode()
    assert "ada: user.change (The others are &lt;b&gt;away&lt;/b&gt;)" in shown
    link = f"{reverse('admin:audit_auditevent_changelist')}?object_type=user&amp;object_id={ada.pk}"
    assert link in shown
    listed = again.get(link.replace("&amp;", "&"))
    assert [event.action for event in listed.context["cl"].result_list] == ["user.change"]


def test_who_may_not_read_the_audit_log_is_not_told_of_changes(ada):
    mona = person("mona", "administrator")
    Group.objects.get(name="administrator").permissions.remove(Permission.objects.get(codename="view_auditevent"))
    assert "Who changed what" not in browser(mona).get(page(ada, "change")).content.decode()


def test_a_role_that_is_given_another_permission_is_seen(admin, ada):
    group = Group.objects.get(name="administrator")
    admin.post(page(group, "change"), {"name": "administrator", "permissions": [], "reason": "Test"})
    event = last_event()
    assert (event.actor, event.action, event.object_label) == ("ada", "group.change", "administrator")
    assert event.after is not None
    assert event.after["permissions"] == []
    assert event.after["members"] == ["ada"]


def test_accounts_that_are_given_are_an_event_with_both_sides(admin):
    make_accounts("desk-1", "desk-2")
    tim = person("tim")
    change(admin, tim, accounts="desk-2, desk-1")
    event = last_event()
    assert event.before is not None
    assert event.after is not None
    assert (event.before["accounts"], event.after["accounts"]) == ([], ["desk-1", "desk-2"])
    assert acting_of(User.objects.get(pk=tim.pk)).accounts == {"desk-1", "desk-2"}


def test_accounts_that_are_taken_away_are_gone(admin):
    make_accounts("desk-1", "desk-2")
    tim = person("tim")
    set_accounts(tim, ["desk-1", "desk-2"])
    change(admin, tim, accounts="desk-2")
    assert accounts_of(tim) == ["desk-2"]


def test_the_page_of_a_person_says_their_accounts_to_who_may_only_look():
    make_accounts("desk-1")
    tim = person("tim")
    set_accounts(tim, ["desk-1"])
    shown = browser(person("aud", "auditor")).get(page(tim, "change")).content.decode()
    assert "desk-1" in shown
    assert 'name="accounts"' not in shown


def test_people_are_listed_with_their_roles_in_a_constant_number_of_queries(admin, django_assert_max_num_queries):
    for number in range(20):
        person(f"p{number}", "viewer")
    with django_assert_max_num_queries(12):
        assert "viewer" in admin.get(reverse("admin:auth_user_changelist")).content.decode()
