"""How much of each limit is used now, in the list of limits."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.acting import acting, system
from policies import use as module
from policies.models import Policy
from policies.use import Use, uses_now
from tests.emergency.world import ACCOUNTS, World, long

pytestmark = pytest.mark.django_db(transaction=True)


def of(found: dict[str, Use], name: str) -> Use | None:
    return found.get(str(Policy.objects.get(name=name).pk))


def test_without_a_live_state_nothing_is_known(world: World):
    world.lose()
    assert uses_now(world.store, system("test")) == {}


def test_with_too_many_accounts_nothing_is_said(world: World, monkeypatch):
    monkeypatch.setattr(module, "MOST_READINGS", len(ACCOUNTS) - 1)
    assert uses_now(world.store, system("test")) == {}


def test_the_account_that_uses_most_is_named(world: World):
    world.feed(long(quantity="2"))
    world.feed(long(quantity="6"), account_id=ACCOUNTS[3])
    found = uses_now(world.store, system("test"))
    position = of(found, "Max BTCUSDT Position")
    assert position == Use(ACCOUNTS[3], Decimal("0.6"), True)
    assert str(position) == f"60 % ({ACCOUNTS[3]})"


def test_a_broken_limit_is_said_to_be(world: World):
    world.feed(long(quantity="11"), account_id=ACCOUNTS[1])
    position = of(uses_now(world.store, system("test")), "Max BTCUSDT Position")
    assert position == Use(ACCOUNTS[1], Decimal("1.1"), False)


def test_somebody_sees_their_own_accounts_only(world: World):
    world.feed(long(quantity="2"))
    world.feed(long(quantity="6"), account_id=ACCOUNTS[3])
    position = of(uses_now(world.store, acting("ann", [], [ACCOUNTS[0]])), "Max BTCUSDT Position")
    assert position == Use(ACCOUNTS[0], Decimal("0.2"), True)


def test_beyond_measure_is_more_than_any_figure(world: World):
    world.feed(long(quantity="2"))
    world.feed(long(quantity="1"), account_id=ACCOUNTS[2], equity=0)
    assert str(of(uses_now(world.store, system("test")), "Max BTCUSDT Position")) == f"20 % ({ACCOUNTS[0]})"


def test_the_list_of_limits_shows_it(world: World):
    world.feed(long(quantity="11"), account_id=ACCOUNTS[1])
    client = Client()
    client.force_login(User.objects.create_superuser("alice"))
    page = client.get(reverse("admin:policies_policy_changelist")).content.decode()
    assert f"broken: 110 % ({ACCOUNTS[1]})" in page
