"""Who acts: what they may not is refused by name, and a key stands for the person who holds it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from audit.acting import Acting, NotAllowed, NotTheirAccount, acting, person_of, same_person, system, with_key


def test_what_is_not_permitted_is_refused_by_the_name_of_the_permission():
    with pytest.raises(NotAllowed, match=r"victor may not do this: .* policies.change_limits"):
        acting("victor", ["policies.view_policy"]).demand("policies.change_limits")


def test_nobody_may_anything():
    assert not Acting("nobody").may("policies.view_policy")


def test_the_system_may_everything():
    system("configuration").demand("policies.change_limits")


@pytest.mark.parametrize("account_id", ["B", ""])
def test_who_is_for_one_account_does_not_act_on_others_nor_on_all(account_id):
    with pytest.raises(NotTheirAccount, match="some accounts only"):
        acting("alice", [], ["A"]).demand_account(account_id, "this")


@pytest.mark.parametrize("account_id", ["B", ""])
def test_who_is_for_no_account_by_name_is_for_all(account_id):
    acting("alice", []).demand_account(account_id, "this")


@pytest.mark.parametrize(
    ("name", "person"),
    [("alice", "alice"), (" alice ", "alice"), (with_key("alice", "cli"), "alice"), (with_key("", "oms"), "key:oms")],
)
def test_behind_a_key_is_who_holds_it(name, person):
    assert person_of(name) == person


def test_a_person_is_the_same_with_a_key_and_without():
    assert same_person("Alice", with_key("alice", "cli"))
    assert not same_person("alice", with_key("", "alice"))
    assert not same_person("alice", "bob")


def test_no_user_can_have_the_name_of_a_key_and_its_holder():
    validators = User._meta.get_field("username").validators
    with pytest.raises(Exception, match="valid username"):
        validators[0](with_key("alice", "cli"))
