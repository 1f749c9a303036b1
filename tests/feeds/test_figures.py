"""What is kept beside equity: the figures that GET /risk/portfolio shows, of each account and of the firm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from random import Random
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from feeds.apply import apply_report
from feeds.books import CompiledBooks
from feeds.equity import FIGURES, keep_equity
from feeds.models import EquityPoint
from feeds.standing import standings
from riskcore.book import Book, Returns, encode_book
from riskcore.calendar import microseconds, moment
from riskcore.compiled import CompiledBook
from riskcore.decimals import EXACT
from riskcore.ledger import encode_ledger
from riskcore.overview import AccountOverview, overview
from riskcore.ports import AccountChange, AccountQuery, Commit, Load
from riskcore.report import AccountReport, PositionsReport, positions_steps
from riskcore.signal import firm_overview, read_firm
from riskcore.types import Position
from state.driver import run_sync
from state.memory_store import MemoryStore
from tests.riskcore import builders
from tests.riskcore.builders import MARKS, holding, position, reservation

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 1, 7, 12, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
SYMBOLS = tuple(MARKS)
RETURNS = Returns(
    version="r",
    symbols=SYMBOLS,
    days=60,
    since="2025-11-08",
    until="2026-01-06",
    values=np.random.default_rng(1).normal(0, 0.02, (2, 60)).tobytes(),
)
BOOK = builders.book(accounts=tuple(map(builders.account, "ABC")), returns=RETURNS)
UNKNOWN = (None, None, None)


class World:
    """A live state whose clock tests set, with prices of now."""

    def __init__(self, book: Book = BOOK) -> None:
        self.now = NOON
        self.store = MemoryStore(lambda: microseconds(self.now))
        self.books, self.book = CompiledBooks(), CompiledBook(book)
        self.store.restore(book_version=1, content=encode_book(book), stops=(), keys=b"[]")
        self.price(**MARKS)

    def price(self, **prices: str) -> None:
        self.store.put_prices({symbol: (price, 0) for symbol, price in prices.items()})

    def report(self, account_id: str, *positions: Position, equity: int | str = 100_000, **what: Any) -> None:
        report = AccountReport(
            account_id=account_id,
            equity=Decimal(equity),
            margin_used=Decimal(0),
            positions={held.symbol: held for held in positions},
            **what,
        )
        assert apply_report(self.store, self.books, report)

    def reserve(self, account_id: str, quantity: int) -> None:
        """Have an order of a minute open."""
        view = self.store.load(Load(accounts=(AccountQuery(account_id=account_id),))).accounts[0]
        at_us = microseconds(self.now)
        held = replace(
            reservation(quantity), account_id=account_id, created_at_us=at_us, expires_at_us=at_us + 60_000_000
        )
        change = AccountChange(
            account_id=account_id,
            expected_version=view.version,
            ledger=encode_ledger(holding(held)),
            symbols=(held.symbol,),
            add=(held,),
        )
        self.store.commit(Commit(expect=None, changes=(change,), journal=(), reload=Load(accounts=())))

    def keep(self) -> int:
        return keep_equity(self.store, self.books, MINUTE)

    def portfolio(self, account_id: str) -> AccountOverview:
        loaded = self.store.load(Load(accounts=(AccountQuery(account_id=account_id),)))
        return overview(loaded.accounts[0], self.book, loaded.now_us, tail=True)

    def portfolio_of_firm(self) -> AccountOverview:
        pictures = [one.picture for one in standings(self.store, self.book)]
        return firm_overview(read_firm(pictures, self.book, microseconds(self.now)), ())


@pytest.fixture
def world() -> World:
    return World()


def figures(account_id: str = "A") -> Any:
    """Return the figures of the last point of an account."""
    return EquityPoint.objects.filter(account_id=account_id).order_by("-at").values_list(*FIGURES)[0]


def as_shown(account_id: str) -> dict[str, Decimal | None]:
    """Return them as they are shown: ratios at six decimals."""
    kept = zip(FIGURES, figures(account_id), strict=True)
    return {
        name: value if value is None or name == "gross_exposure" else round(value, 6).normalize()
        for name, value in kept
    }


def of_portfolio(found: AccountOverview) -> dict[str, Decimal | None]:
    return {name: value if (value := found.metrics[name]) is None else value.normalize() for name in FIGURES}


# ------------------------------------------------------------------------------------------- what is not known


def test_before_the_live_state_is_restored_there_are_no_figures_and_no_firm(world):
    world.report("A", position(1))
    world.store = MemoryStore(lambda: microseconds(world.now))
    world.report("A", position(1))
    assert world.keep() == 1
    assert (figures("A"), EquityPoint.objects.filter(account_id="").exists()) == (UNKNOWN, False)


def test_a_state_too_old_for_a_check_is_not_valued_at_the_prices_of_now(world):
    world.report("A", position(1))
    world.now += timedelta(seconds=6)
    world.price(**MARKS)
    world.keep()
    assert figures("A") == UNKNOWN


def test_a_price_that_was_never_known_leaves_the_account_without_figures(world):
    world.report("A", position(1, "NEW"))
    world.report("B", position(1))
    assert world.keep() == 3
    assert figures("A") == UNKNOWN
    assert figures("B")[0] == figures("")[0] == 50_000


def test_without_history_of_prices_value_at_risk_is_not_known(world):
    world = World(builders.book(accounts=BOOK.accounts))
    world.report("A", position(1))
    world.keep()
    assert figures("A") == figures("") == (50_000, 0, None)


def test_without_equity_only_amounts_are_known(world):
    world.report("A", position(1), equity=-5, daily_start_equity=Decimal(0))
    world.keep()
    assert figures("A") == (50_000, None, None)


def test_a_figure_that_the_database_would_refuse_keeps_nothing_else_out(world):
    world.price(BTCUSDT="900000000000000")
    world.report("A", position(1_000_000))
    world.report("B")
    assert world.keep() == 3
    assert (figures("A")[0], figures("")[0]) == (None, None)
    assert figures("B") == (0, 0, 0)


def test_a_ledger_that_cannot_be_read_leaves_the_equity(world, caplog):
    world.report("A", position(1))
    view = world.store.load(Load(accounts=(AccountQuery(account_id="A"),))).accounts[0]
    change = AccountChange(account_id="A", expected_version=view.version, ledger=b"{")
    world.store.commit(Commit(expect=None, changes=(change,), journal=(), reload=Load(accounts=())))
    assert world.keep() == 1
    assert figures("A") == UNKNOWN
    assert "account A" in caplog.text


# ------------------------------------------------------------------------------------------------ the figures


def test_an_open_order_counts_at_its_worst(world):
    world.report("A", position(1))
    world.reserve("A", 2)
    world.keep()
    assert figures("A")[0] == 150_000


def test_an_order_that_is_over_counts_no_more(world):
    world.report("A", position(1))
    world.reserve("A", 2)
    world.now += timedelta(seconds=61)
    world.report("A", position(1))
    world.keep()
    assert figures("A")[0] == 50_000


def test_many_orders_that_are_over_count_no_more(world, monkeypatch):
    monkeypatch.setattr("feeds.valuation.EXPIRED_LIMIT", 1)
    test_an_order_that_is_over_counts_no_more(world)


def test_they_are_those_that_the_portfolio_shows(world):
    world.report("A", position("1.5"), position(-7, "ETHUSDT"), daily_start_equity=Decimal(107_000))
    world.reserve("A", 1)
    world.keep()
    assert as_shown("A") == of_portfolio(world.portfolio("A"))
    assert None not in figures("A")


@pytest.mark.parametrize("seed", range(20), ids=str)
def test_of_any_accounts_and_of_the_firm_they_are_those_that_the_portfolio_shows(world, seed):
    random = Random(seed)
    for account_id in "ABC"[: random.randint(1, 3)]:
        held = [position(random.randint(-9, 9), each) for each in random.sample(SYMBOLS, random.randint(0, 2))]
        equity, start = random.randint(1, 10**6), Decimal(random.randint(1, 10**6))
        world.report(account_id, *held, equity=equity, daily_start_equity=start)
        if random.random() < 0.5:
            world.reserve(account_id, random.randint(1, 9))
    world.keep()
    kept = {*EquityPoint.objects.values_list("account_id", flat=True)} - {""}
    with localcontext(EXACT):
        assert {each: as_shown(each) for each in kept} == {each: of_portfolio(world.portfolio(each)) for each in kept}
        assert as_shown("") == of_portfolio(world.portfolio_of_firm())


# --------------------------------------------------------------------------------------------------- the firm


def of_firm() -> list[tuple[datetime, Decimal]]:
    return list(EquityPoint.objects.filter(account_id="").order_by("at").values_list("at", "equity"))


def test_the_firm_is_the_sum_as_of_the_newest_report(world):
    world.report("A", equity=100)
    world.now += SECOND
    world.report("B", equity=20)
    world.now += SECOND
    world.keep()
    assert of_firm() == [(NOON + SECOND, Decimal(120))]


def test_a_firm_of_which_nobody_reports_has_no_new_points(world):
    world.report("A")
    world.keep()
    for _ in range(3):
        world.now += MINUTE
        assert world.keep() == 0
    assert len(of_firm()) == 1


def test_an_account_that_is_silent_stays_in_the_firm_as_it_was_last_known(world):
    world.report("A", position(1), equity=100)
    world.now += MINUTE
    world.report("B", position(1), equity=20)
    world.keep()
    assert of_firm() == [(NOON + MINUTE, Decimal(120))]
    assert figures("")[0] == 100_000


def test_an_account_that_the_book_does_not_have_is_not_in_the_firm(world):
    world.report("A", equity=100)
    world.report("Z", equity=20)
    world.keep()
    assert [equity for _, equity in of_firm()] == [100]


def test_equity_that_nobody_has_told_makes_no_firm(world):
    report = PositionsReport(account_id="A", positions={"BTCUSDT": position(1)})
    run_sync(positions_steps(report), world.store, world.books)
    world.keep()
    assert of_firm() == []


def test_drawdown_of_the_firm_is_no_sum_of_ratios(world):
    world.report("A", equity=90, daily_start_equity=Decimal(100))
    world.report("B", equity=1_000, daily_start_equity=Decimal(900))
    world.keep()
    assert (figures("A")[1], figures("")[1]) == (Decimal("0.1"), 0)


@pytest.mark.parametrize("together", [1, 2, 3], ids=str)
def test_accounts_are_read_some_at_a_time(world, monkeypatch, together):
    monkeypatch.setattr("feeds.equity._TOGETHER", together)
    monkeypatch.setattr("feeds.equity._PAUSE_S", 0)
    for each in "ABC":
        world.report(each, position(1))
    assert world.keep() == 4
    assert figures("")[0] == 150_000


def test_all_points_are_written_at_once(world, django_assert_max_num_queries):
    for each in "ABC":
        world.report(each, position(1))
    with django_assert_max_num_queries(5):
        world.keep()
    assert EquityPoint.objects.filter(at=moment(microseconds(NOON))).count() == 4
