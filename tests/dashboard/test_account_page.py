"""The page of an account: how it stands, what limits it, what it has open, and what officers have published for it."""

from __future__ import annotations

import pytest

from policies.services import do_create_account
from state.store import StateUnavailable
from tests.dashboard.world import big, decided, order, signed_in
from tests.emergency.world import engage, long

VIEW = "policies.view_account"


def test_who_may_not_see_accounts_is_refused(world):
    assert VIEW in signed_in("rita").read("/accounts/desk-1/", 403)


@pytest.mark.parametrize("account_id", ["desk-2", "nobody", "a/b"])
def test_an_account_of_others_is_as_little_there_as_one_that_never_was(world, account_id):
    signed_in("dora", VIEW, accounts=("desk-1",)).get(f"/accounts/{account_id}/", 404)


def test_it_says_how_the_account_stands(world, vera):
    world.feed(long("BTCUSDT", "2"), account_id="desk-1")
    page = vera.read("/accounts/desk-1/")
    assert ">ACTIVE<" in page
    assert "1,000,000" in page
    assert 'data-figure="leverage">0.1 x' in page
    assert "BTCUSDT" in page
    assert "Max Account Leverage" in page


def test_the_worst_limit_is_first_and_one_that_needs_an_order_last(world, vera):
    world.feed(long("BTCUSDT", "9"), account_id="desk-1")
    limits = vera.get("/accounts/desk-1/").context["limits"]
    used = [limit.utilisation for limit in limits if limit.holds is not None]
    assert used == sorted(used, reverse=True)
    assert limits[0].name == "Max Position Value BTCUSDT" or used[0] == max(used)
    assert limits[-1].holds is None


def test_why_its_orders_are_blocked_is_said_with_the_stop(world, vera):
    made = engage(scope="account", scope_id="desk-1", reason="fat finger")
    page = vera.read("/accounts/desk-1/")
    assert ">HALTED<" in page
    assert "fat finger" in page
    assert f"/emergency/{made.stop_id}/" in page
    assert "fat finger" not in vera.read("/accounts/desk-2/")


def test_a_stop_of_a_symbol_is_said_to_be_for_some_of_its_orders(world, vera):
    engage(scope="symbol", scope_id="BTCUSDT")
    page = vera.read("/accounts/desk-1/")
    assert ">ACTIVE<" in page
    assert "HALTED for some of its orders by a stop of symbol BTCUSDT" in page


def test_a_state_that_was_never_reported_is_said_with_the_way_out(world, vera):
    do_create_account(actor="test", reason="test", account_id="desk-9", profile="micro", exchange="")
    page = vera.read("/accounts/desk-9/")
    assert "PUT /risk/accounts/desk-9/state" in page
    assert "Nothing is held" in page


def test_open_orders_are_there_and_may_be_released_by_those_who_may(world, vera):
    asked = order(order_id="open-1")
    decided(world, asked)
    assert 'data-release="open-1"' in vera.read("/accounts/desk-1/")
    page = signed_in("rita", VIEW).read("/accounts/desk-1/")
    assert "open-1" in page
    assert "data-release=" not in page


def test_what_was_blocked_is_explained_one_press_away(world, vera):
    row = decided(world, big())
    page = vera.read("/accounts/desk-1/")
    assert f'href="/decisions/{row.pk}/"' in page
    assert "Why was this blocked?" in page
    assert "Why was this blocked?" not in signed_in("rita", VIEW).read("/accounts/desk-1/")


def test_without_the_live_state_it_says_so_and_what_that_means(world, vera, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise StateUnavailable("connection refused")

    monkeypatch.setattr(type(world.store), "control", refuse)
    page = vera.read("/accounts/desk-1/", 503)
    assert "This page cannot be shown now" in page


def test_it_takes_as_many_queries_for_many_orders_as_for_one(world, vera):
    decided(world)
    engage(scope="account", scope_id="desk-2")
    few = vera.queries("/accounts/desk-1/")
    for _ in range(7):
        decided(world)
    assert vera.queries("/accounts/desk-1/") == few
