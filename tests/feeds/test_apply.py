"""Reports and prices into the live state, and baselines that outlive it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from feeds.apply import NoBook, apply_prices, apply_report, keep_baselines, restore_baselines
from feeds.books import CompiledBooks
from feeds.messages import PriceReport
from feeds.models import AccountBaseline, EquityPoint
from riskcore.book import encode_book
from riskcore.case import decode_state
from riskcore.ports import AccountChange, AccountQuery, Commit, Load
from riskcore.report import AccountReport
from riskcore.types import AccountState
from state.memory_store import MemoryStore
from state.store import Store
from tests.riskcore import builders


@pytest.fixture
def books() -> CompiledBooks:
    return CompiledBooks()


@pytest.fixture
def live(store: Store) -> Store:
    """A store with a book."""
    store.restore(book_version=1, content=encode_book(builders.book()), stops=(), keys=b"[]")
    return store


def report(equity: int = 100, **what: Any) -> AccountReport:
    fields: dict[str, Any] = {"positions": {}, **what}
    return AccountReport(account_id="A", equity=Decimal(equity), margin_used=Decimal(0), **fields)


def state(store: Store, account_id: str = "A") -> AccountState | None:
    (view,) = store.load(Load(accounts=(AccountQuery(account_id=account_id),))).accounts
    return None if view.state is None else decode_state(view.state)


def equity(store: Store) -> Decimal:
    found = state(store)
    assert found is not None
    return found.equity


def test_a_report_is_applied_once(live, books):
    assert apply_report(live, books, report(sequence=1)) is True
    assert apply_report(live, books, report(sequence=1)) is False


def test_an_older_report_changes_nothing(live, books):
    apply_report(live, books, report(200, sequence=2))

    assert apply_report(live, books, report(100, sequence=1)) is False
    assert equity(live) == 200


def test_peaks_and_starts_are_kept_between_reports(live, books):
    for value in (100, 120, 90):
        apply_report(live, books, report(value))

    found = state(live)
    assert found is not None
    assert [found.peak_equity, found.daily_start_equity, found.equity] == list(map(Decimal, (120, 100, 90)))


def test_reports_are_taken_while_the_state_is_not_restored(live, books):
    apply_report(live, books, report())
    other = MemoryStore()

    assert apply_report(other, books, report(77)) is True
    assert equity(other) == 77


@pytest.mark.django_db
def test_without_any_book_nothing_is_known_of_accounts(store, books):
    with pytest.raises(NoBook):
        apply_report(store, books, report())


def test_prices_are_applied_unless_they_are_older(live):
    assert apply_prices(live, [PriceReport("X", Decimal("1E-12"), 5), PriceReport("Y", Decimal(2))]) == 2
    assert apply_prices(live, [PriceReport("X", Decimal(9), 4)]) == 0
    assert live.prices(["X"])["X"].price == Decimal("0.000000000001")


@pytest.mark.django_db
class TestBaselines:
    """Peaks and starts survive the loss of the live state."""

    @pytest.fixture
    def kept(self, live: Store, books: CompiledBooks) -> Store:
        apply_report(live, books, report(120))
        apply_report(live, books, report(90))
        assert keep_baselines(live) == 1
        return live

    def test_they_come_back_as_old_as_they_are(self, kept):
        empty = MemoryStore()

        assert restore_baselines(empty) == 1
        assert state(empty) == state(kept)

    def test_the_next_report_goes_on_from_them(self, kept, books):
        empty = MemoryStore()
        restore_baselines(empty)

        apply_report(empty, books, report(100))

        found = state(empty)
        assert found is not None
        assert found.peak_equity == 120

    def test_an_account_that_has_a_state_keeps_it(self, kept, books):
        apply_report(kept, books, report(55))

        assert restore_baselines(kept) == 0
        assert equity(kept) == 55

    def test_how_far_equity_fell_is_known_again_from_the_points_that_were_kept(self, kept, books):
        for minutes_ago, value in ((9, 1_000), (3, 200), (2, 100)):
            at = timezone.now() - timedelta(minutes=minutes_ago)
            EquityPoint.objects.create(account_id="A", at=at, equity=Decimal(value))
        empty = MemoryStore()
        assert restore_baselines(empty) == 1
        apply_report(empty, books, report(150))
        found = state(empty)
        assert found is not None
        assert found.drawdown_rapid == Decimal("0.5")

    def test_an_account_that_reported_before_they_were_back_goes_on_from_them(self, kept, books):
        empty = MemoryStore()
        apply_report(empty, books, report(100))

        assert restore_baselines(empty) == 1

        found = state(empty)
        assert found is not None
        assert [found.equity, found.peak_equity, found.daily_start_equity] == [100, 120, 120]
        assert restore_baselines(empty) == 0

    def test_a_record_that_cannot_be_read_gives_way_to_them(self, kept):
        broken = MemoryStore()
        change = AccountChange(account_id="A", expected_version=0, state=b"{")
        broken.commit(Commit(expect=None, changes=(change,), journal=(), reload=Load(accounts=())))

        assert restore_baselines(broken) == 1
        assert state(broken) == state(kept)

    def test_reports_to_a_state_that_is_not_restored_do_not_take_their_place(self, kept, books):
        empty = MemoryStore()
        apply_report(empty, books, report(100))

        assert keep_baselines(empty) == 0
        assert decode_state(AccountBaseline.objects.get().state.encode()).peak_equity == 120

    def test_only_what_has_changed_is_written(self, kept, books):
        assert keep_baselines(kept) == 0

        apply_report(kept, books, report(95))

        assert keep_baselines(kept) == 1
        assert decode_state(AccountBaseline.objects.get().state.encode()).equity == 95

    def test_prices_of_what_is_held_are_loaded_with_a_restored_state(self, live, books):
        apply_report(live, books, report(positions={"BTCUSDT": builders.position(1)}))
        keep_baselines(live)
        empty = MemoryStore()
        empty.put_prices({"BTCUSDT": ("5", 0)})

        restore_baselines(empty)

        (view,) = empty.load(Load(accounts=(AccountQuery(account_id="A"),))).accounts
        assert view.prices["BTCUSDT"].price == 5
