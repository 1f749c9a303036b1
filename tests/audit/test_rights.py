"""What a person may: by their groups and for their accounts, read once for each request."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User

from audit.models import AccountGrant
from audit.rights import acting_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga() -> User:
    made = User.objects.create(username="olga")
    desk = Group.objects.create(name="desk")
    desk.permissions.add(Permission.objects.get(codename="handle_alert"))
    made.groups.add(desk)
    made.user_permissions.add(Permission.objects.get(codename="view_alert"))
    return made


def fresh(user: User) -> User:
    return User.objects.get(pk=user.pk)


def test_somebody_without_a_role_may_nothing():
    assert acting_of(User.objects.create(username="ned")).permissions == frozenset()


def test_who_is_not_signed_in_may_nothing():
    found = acting_of(AnonymousUser())
    assert (found.permissions, found.person) == (frozenset(), "")


@pytest.mark.parametrize("powers", [{}, {"is_superuser": True}])
def test_who_is_switched_off_may_nothing(olga, powers):
    for name, value in {"is_active": False, **powers}.items():
        setattr(olga, name, value)
    found = acting_of(olga)
    assert found.permissions is not None
    assert not found.permissions


def test_a_person_has_their_own_permissions_and_those_of_their_groups(olga):
    found = acting_of(olga)
    assert (found.name, found.person, found.accounts) == ("olga", "olga", frozenset())
    assert found.permissions == frozenset({"violations.handle_alert", "violations.view_alert"})


def test_a_superuser_may_everything(olga):
    olga.is_superuser = True
    assert acting_of(olga).permissions is None


def test_a_person_is_for_the_accounts_that_they_were_given(olga):
    AccountGrant.objects.create(user=olga, account_id="desk-1")
    assert acting_of(olga).accounts == {"desk-1"}


def test_permissions_are_one_query_for_each_request(olga, django_assert_num_queries):
    user = fresh(olga)
    with django_assert_num_queries(1):
        assert user.has_perm("violations.handle_alert")
        assert not user.has_perm("policies.change_limits")
        assert user.has_module_perms("violations")
    with django_assert_num_queries(1):  # the accounts
        acting_of(user)
        acting_of(user)


def test_what_is_taken_from_a_group_is_gone_with_the_next_request(olga):
    assert fresh(olga).has_perm("violations.handle_alert")
    Group.objects.get().permissions.clear()
    assert not fresh(olga).has_perm("violations.handle_alert")
