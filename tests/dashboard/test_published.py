"""What officers have published for an account, on its page and in its decisions: restrictions and overrides."""

from __future__ import annotations

import pytest

from feeds.books import BOOKS
from policies.services import do_restrict_symbol
from tests.dashboard.world import MARKUP, decided, order, signed_in
from tests.emergency.test_overrides import BIG, granted

REASON = MARKUP[:60]


@pytest.fixture(autouse=True)
def fresh_books() -> None:
    BOOKS.forget()


def test_a_symbol_that_is_restricted_is_told_to_those_who_may_see_that(world, vera):
    do_restrict_symbol(actor="test", reason=REASON, symbol="ETHUSDT", close_only=True)
    page = vera.read("/accounts/desk-1/")
    assert "ETHUSDT, may be closed" in page
    assert "<script>alert" not in page
    assert "ETHUSDT, may be" not in signed_in("rita", "policies.view_account").read("/accounts/desk-1/")


def test_an_override_is_told_with_what_was_used_of_it_and_of_others_not(world, vera):
    granted(max_orders=2)
    decided(world, order(quantity=BIG))
    assert "1 of 2 orders used" in vera.read("/accounts/desk-1/")
    assert "orders used" not in vera.read("/accounts/desk-2/")


def test_a_decision_that_an_override_let_through_says_so_and_at_which_gates(world, vera):
    made = granted()
    page = vera.read(f"/decisions/{decided(world, order(quantity=BIG)).pk}/")
    assert "Approved: by an override: closing the book" in page
    assert "let through by an override" in page
    assert f"/admin/policies/override/{made.pk}/change/" in page
    assert "broken; let through by an override" in page
    assert "alice" in page
    assert "bob" in page
