"""Keys for other programs: exact, fresh while they are there, and gone when nobody keeps them up."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from api.ids import new_decision_id
from feeds import tasks
from feeds.apply import apply_report
from feeds.books import BOOKS, CompiledBooks
from feeds.firm import Firm
from feeds.shared_keys import Sharing, sharing
from riskcore.book import Book, Parameters, Returns, encode_book
from riskcore.engine import check_steps
from riskcore.ports import AccountChange, AccountQuery, Commit, Load, Stop, StopScope
from riskcore.report import AccountReport
from riskcore.types import Order, Position, Side, TradingState
from riskportal.celery import schedule
from state.driver import run_sync
from state.redis_store import RedisStore
from state.shared_keys import SharedKeys, SharedText
from state.store import StateUnavailable
from state.wiring import forget_stores
from tests.riskcore import builders
from tests.support.patience import REDIS_S

LIFE_US = 10_000_000
FIRST_BOOK = builders.book(
    accounts=(builders.account("A"), builders.account("B")),
    parameters=Parameters(state_max_age_us=60_000_000, price_max_age_us=30_000_000),
)


class World:
    """A live state in Redis, what writes for others, and another program that reads."""

    def __init__(self, url: str, market_url: str) -> None:
        self.url, self.market_url = url, market_url
        self.store = RedisStore(url, timeout_s=REDIS_S)
        self.books = CompiledBooks()
        self.reader: Any = redis.Redis.from_url(url, decode_responses=True)
        self.market: Any = redis.Redis.from_url(market_url, decode_responses=True)
        self.sharing = self.new_sharing()
        self._ids = itertools.count()

    def new_sharing(self, **what: Any) -> Sharing:
        parts: dict[str, Any] = {
            "keys": SharedKeys(self.url, timeout_s=REDIS_S),
            "market": SharedKeys(self.market_url, timeout_s=REDIS_S),
        } | what
        return Sharing(self.store, self.books, **parts, life_us=LIFE_US)

    def begin(self, book: Book = FIRST_BOOK) -> None:
        self.store.restore(book_version=book.version, content=encode_book(book), stops=(), keys=b"[]")

    def report(self, account_id: str = "A", *positions: Position, **what: Any) -> None:
        fields: dict[str, Any] = {"equity": Decimal(100_000), "margin_used": Decimal(0)} | what
        held = {position.symbol: position for position in positions}
        assert apply_report(self.store, self.books, AccountReport(account_id=account_id, positions=held, **fields))

    def approve(self, account_id: str = "A", **what: Any) -> None:
        fields: dict[str, Any] = {"symbol": "BTCUSDT", "side": Side.BUY, "quantity": Decimal("0.1")} | what
        price = builders.MARKS[fields["symbol"]]
        order = Order(order_id=f"o-{next(self._ids)}", account_id=account_id, price=Decimal(price), **fields)
        steps = check_steps((order,), new_id=new_decision_id, known=self.books.last)
        (answered,) = run_sync(steps, self.store, self.books)
        assert answered.approved, answered.decision

    def account(self, account_id: str = "A") -> dict[str, Any] | None:
        text = self.reader.get(f"account:state:{account_id}")
        found: dict[str, Any] | None = None if text is None else json.loads(text)
        return found

    def snapshot(self) -> dict[str, str]:
        found: dict[str, str] = self.reader.hgetall("risk:snapshot:current")
        return found

    def names(self) -> set[str]:
        """Return the keys for others, in both databases."""
        own = ("risk:{L", "celery:")
        return {
            name for client in (self.reader, self.market) for name in client.scan_iter("*") if not name.startswith(own)
        }

    def now_us(self) -> int:
        return self.store.load(Load(accounts=())).now_us

    def received_ms(self, account_id: str = "A") -> int:
        (view,) = self.store.load(Load(accounts=(AccountQuery(account_id=account_id),))).accounts
        assert view.state is not None
        return int(json.loads(view.state)["received_at_us"]) // 1000


@pytest.fixture
def empty(clean_redis, redis_server) -> Iterator[World]:
    world = World(clean_redis, redis_server.url_of(1))
    yield world
    world.store.close()


@pytest.fixture
def world(empty: World) -> World:
    empty.begin()
    empty.store.put_prices({"BTCUSDT": ("50000", 0), "ETHUSDT": ("3000", 0)})
    return empty


def held(symbol: str = "BTCUSDT", quantity: str = "2", **what: Any) -> Position:
    return Position(symbol=symbol, quantity=Decimal(quantity), entry_price=Decimal(49_000), **what)


# ------------------------------------------------------------------------------------- nothing that is not so


def test_before_a_restore_nothing_is_said(empty):
    empty.store.put_prices({"BTCUSDT": ("1", 0)})
    assert not empty.sharing.share()
    assert empty.names() == set()


def test_an_account_without_a_state_is_not_there(world):
    world.report("B")
    assert world.sharing.share()
    assert (world.account("A"), world.snapshot()["accounts_valued"]) == (None, "1")


def test_a_state_that_is_too_old_for_a_check_is_not_written(world):
    world.report("A", held())
    aged = replace(FIRST_BOOK.parameters, state_max_age_us=1)
    world.store.publish_book(2, encode_book(replace(FIRST_BOOK, version=2, parameters=aged)))
    assert world.sharing.share()
    assert world.account() is None


def test_what_an_old_state_holds_stays_in_the_sums(world):
    world.report("A", held())
    aged = replace(FIRST_BOOK.parameters, state_max_age_us=1)
    world.store.publish_book(2, encode_book(replace(FIRST_BOOK, version=2, parameters=aged)))
    world.sharing.share()
    found = world.snapshot()
    assert (found["gross_exposure"], found["accounts_valued"], found["accounts_fresh"]) == ("100000", "1", "0")


def test_an_account_ends_when_its_state_is_too_old(world):
    young = replace(FIRST_BOOK.parameters, state_max_age_us=4_000_000)
    world.store.publish_book(2, encode_book(replace(FIRST_BOOK, version=2, parameters=young)))
    world.report("A")
    for _ in range(2):
        world.sharing.share()
        assert world.reader.pexpiretime("account:state:A") == world.received_ms() + 4_000


def test_what_is_renewed_ends_when_it_no_longer_is(world):
    world.report("A")
    world.sharing.share()
    for name in ("account:state:A", "risk:snapshot:current", "risk:policies"):
        assert LIFE_US / 2 < world.reader.pttl(name) * 1000 <= LIFE_US


def test_every_key_ends(world):
    world.report("A", held())
    world.sharing.share()
    assert world.names() == {
        "account:state:A",
        "risk:snapshot:current",
        "risk:policies",
        "market:prices:BTCUSDT",
        "market:prices:ETHUSDT",
    }
    for client in (world.reader, world.market):
        assert all(client.pttl(name) > 0 for name in world.names() if client.exists(name))


def test_without_a_price_there_are_no_figures(world):
    world.report("A", held("XRPUSDT"))
    world.sharing.share()
    found = world.account()
    assert found is not None
    assert (found["fresh"], found["metrics"], found["positions"][0]["mark"]) == (False, {}, None)
    assert (world.snapshot()["accounts"], world.snapshot()["accounts_valued"]) == ("2", "0")


def test_figures_with_an_old_price_are_said_not_to_be_fresh(world):
    world.report("A", held())
    aged = replace(FIRST_BOOK.parameters, price_max_age_us=1)
    world.store.publish_book(2, encode_book(replace(FIRST_BOOK, version=2, parameters=aged)))
    world.sharing.share()
    found = world.account()
    assert found is not None
    assert (found["fresh"], found["metrics"]["gross_exposure"]) == (False, "100000")


def test_an_account_that_cannot_be_read_keeps_nobody_else_out(world):
    change = AccountChange(account_id="A", expected_version=0, state=b"{")
    load = Load(accounts=(AccountQuery(account_id="A"),))
    world.store.commit(Commit(expect=None, changes=(change,), journal=(), reload=load))
    world.report("B")
    assert world.sharing.share()
    assert world.account("A") is None
    assert world.account("B") is not None


# ------------------------------------------------------------------------------------------------- what is said


def test_an_account_is_said_exactly(world):
    world.report(
        "A",
        held(quantity="-0.00000001", margin=Decimal("0.5")),
        equity=Decimal("100000.123456789012"),
        margin_used=Decimal(10_000),
        peak_equity=Decimal(105_000),
        daily_start_equity=Decimal(98_000),
        sequence=7,
    )
    world.approve("A", quantity=Decimal("0.10"))
    world.sharing.share()
    found = world.account()
    assert found is not None
    assert found["equity"] == found["balance"] == "100000.123456789012"
    assert (found["margin_used"], found["peak_equity"], found["daily_start_equity"]) == ("10000", "105000", "98000")
    assert found["positions"] == [
        {
            "symbol": "BTCUSDT",
            "exchange": "",
            "quantity": "-0.00000001",
            "entry_price": "49000",
            "mark": "50000",
            "margin": "0.5",
        }
    ]
    assert found["open_orders"] == [
        {
            "symbol": "BTCUSDT",
            "exchange": "",
            "buy_count": 1,
            "sell_count": 0,
            "buy_quantity": "0.1",
            "sell_quantity": "0",
            "buy_notional": "5000",
            "sell_notional": "0",
        }
    ]
    assert (found["account_id"], found["version"], found["sequence"]) == ("A", 2, 7)
    assert (found["fresh"], found["enabled"], found["trading_state"]) == (True, True, "ACTIVE")
    assert found["policy_book_version"] == FIRST_BOOK.version
    assert found["state_at"].endswith("Z")
    assert found["state_at"] < found["written_at"]


def test_the_metrics_are_those_of_the_specification(world):
    world.report(
        "A",
        held(),
        margin_used=Decimal(10_000),
        peak_equity=Decimal(105_000),
        daily_start_equity=Decimal(98_000),
    )
    world.sharing.share()
    found = world.account()
    assert found is not None
    metrics = found["metrics"]
    assert (metrics["drawdown_daily"], metrics["drawdown_max"], metrics["margin_ratio"]) == ("0", "0.047619", "10")
    assert (metrics["gross_exposure"], metrics["leverage"], metrics["unrealized_pnl"]) == ("100000", "1", "2000")


def test_without_margin_the_ratio_is_infinite_and_without_equity_there_is_none(world):
    world.report("A")
    world.report("B", equity=Decimal(-200_000), margin_used=Decimal(1))
    world.sharing.share()
    a, b = world.account("A"), world.account("B")
    assert a is not None
    assert b is not None
    assert (a["metrics"]["margin_ratio"], b["metrics"]["margin_ratio"]) == ("Infinity", None)
    assert (world.snapshot()["leverage"], world.snapshot()["margin_ratio"]) == ("", "")


def test_the_firm_is_the_sum_of_its_accounts(world):
    world.report("A", held(), margin_used=Decimal(10_000), peak_equity=Decimal(125_000))
    world.report("B", held("ETHUSDT", "-10"), equity=Decimal(50_000))
    world.approve("B", symbol="ETHUSDT", quantity=Decimal("0.1"))
    world.sharing.share()
    found = world.snapshot()
    assert (found["accounts"], found["accounts_valued"], found["accounts_fresh"]) == ("2", "2", "2")
    assert (found["equity"], found["gross_exposure"]) == ("150000", "130000")
    assert (found["net_exposure"], found["leverage"]) == ("70300", "0.866667")
    assert (found["margin_used"], found["margin_reserved"], found["margin_ratio"]) == ("10000", "0", "15")
    assert found["margin_available"] == "140000"
    assert (found["worst_drawdown"], found["worst_drawdown_account"]) == ("0.2", "A")
    assert (found["open_positions"], found["pending_orders"], found["pending_notional"]) == ("2", "1", "300")
    assert (found["trading_state"], found["stops"], found["policy_book_version"]) == ("ACTIVE", "0", "1")
    assert found["oldest_state_at"] < found["written_at"]


def test_a_firm_without_accounts_has_nothing(world):
    world.sharing.share()
    found = world.snapshot()
    assert (found["equity"], found["leverage"], found["oldest_state_at"]) == ("0", "", "")
    assert Firm(0).margin_ratio is None


@pytest.mark.parametrize(
    ("stops", "of_all", "of_a"),
    [
        ((Stop(id="1"),), "HALTED", "HALTED"),
        ((Stop(id="1", state=TradingState.REDUCING),), "REDUCING", "REDUCING"),
        ((Stop(id="1", scope=StopScope.ACCOUNT, scope_id="A"),), "ACTIVE", "HALTED"),
        ((Stop(id="1", state=TradingState.REDUCING), Stop(id="2")), "HALTED", "HALTED"),
    ],
)
def test_a_stop_is_said(world, stops, of_all, of_a):
    world.report("A")
    world.store.set_stops(stops)
    world.sharing.share()
    found = world.account()
    assert found is not None
    assert (world.snapshot()["trading_state"], found["trading_state"]) == (of_all, of_a)
    assert world.snapshot()["stops"] == str(len(stops))


def test_reservations_that_are_over_are_open_no_more_however_many(world):
    world.report("A", equity=Decimal(10_000_000))
    for _ in range(70):
        world.approve("A", quantity=Decimal("0.001"), ttl_us=1)
    world.sharing.share()
    found = world.account()
    assert found is not None
    assert (found["open_orders"], found["metrics"]["open_orders"]) == ([], "0")


# --------------------------------------------------------------------------------------------------- the book


def test_the_book_is_said_as_it_was_published(world):
    world.sharing.share()
    assert world.reader.get("risk:policies") == encode_book(FIRST_BOOK).decode()
    following = replace(FIRST_BOOK, version=2)
    world.store.publish_book(2, encode_book(following))
    world.sharing.share()
    assert world.reader.get("risk:policies") == encode_book(following).decode()


@pytest.mark.parametrize("foreign", ["text", "no text"])
def test_what_somebody_else_put_in_the_place_of_the_book_is_written_over(world, foreign):
    world.sharing.share()
    world.reader.delete("risk:policies")
    world.reader.set("risk:policies", "{}") if foreign == "text" else world.reader.rpush("risk:policies", "{}")
    world.sharing.share()
    assert world.reader.get("risk:policies") == encode_book(FIRST_BOOK).decode()
    assert 0 < world.reader.pttl("risk:policies") * 1000 <= LIFE_US


def test_a_book_that_stays_is_not_fetched_again(world, monkeypatch):
    world.sharing.share()
    monkeypatch.setattr(type(world.store), "fetch_book", None)
    world.reader.delete("risk:policies")
    world.sharing.share()
    assert world.reader.get("risk:policies") == encode_book(FIRST_BOOK).decode()


def test_the_history_that_a_book_carries_is_left_out(world):
    returns = Returns(
        version="1", symbols=("BTCUSDT",), days=1, since="2026-01-02", until="2026-01-02", values=bytes(8)
    )
    following = replace(FIRST_BOOK, version=2, returns=returns)
    world.store.publish_book(2, encode_book(following))
    world.sharing.share()
    assert world.reader.get("risk:policies") == encode_book(replace(FIRST_BOOK, version=2)).decode()


# ------------------------------------------------------------------------------------------------------- prices


def test_a_price_is_a_plain_number_that_ends_when_it_is_too_old(world):
    world.store.put_prices({"SHIB": ("1.10E-8", 0)})
    world.sharing.share()
    received_ms = world.store.prices(["SHIB"])["SHIB"].received_at_us // 1000
    assert world.market.get("market:prices:SHIB") == "0.000000011"
    assert world.market.get("market:prices:BTCUSDT") == "50000"
    assert world.market.pexpiretime("market:prices:SHIB") == received_ms + 30_000


def test_a_price_that_has_not_come_again_ends_no_later(world):
    world.sharing.share()
    ends = world.market.pexpiretime("market:prices:BTCUSDT")
    world.store.put_prices({"SOLUSDT": ("150", 0)})
    for each in (world.sharing, world.new_sharing()):
        each.share()
        assert world.market.pexpiretime("market:prices:BTCUSDT") == ends
        assert world.market.get("market:prices:SOLUSDT") == "150"


def test_a_price_that_somebody_else_put_there_is_written_over(world):
    world.sharing.share()
    ends = world.market.pexpiretime("market:prices:BTCUSDT")
    world.market.set("market:prices:BTCUSDT", "1")
    world.market.delete("market:prices:ETHUSDT")
    world.sharing.share()
    assert world.market.get("market:prices:BTCUSDT") == "50000"
    assert world.market.pexpiretime("market:prices:BTCUSDT") == ends
    assert world.market.get("market:prices:ETHUSDT") == "3000"


def test_a_price_that_is_too_old_or_no_price_is_not_written(world):
    long_ago = world.now_us() - 60_000_000
    world.store.put_prices({"OLD": ("1", long_ago), "ZERO": ("0", 0)})
    world.sharing.share()
    assert world.market.get("market:prices:OLD") is world.market.get("market:prices:ZERO") is None


def test_prices_are_not_written_by_a_clock_that_differs(world):
    class Ahead(SharedKeys):
        def now_us(self) -> int:
            return super().now_us() + 2_000_000

    world.report("A")
    with pytest.raises(StateUnavailable, match=r"clock of MARKET_REDIS_URL differs .* by 2\.0 s"):
        world.new_sharing(market=Ahead(world.market_url, timeout_s=REDIS_S)).share()
    assert world.account() is not None
    assert world.market.keys("*") == []


def test_prices_that_come_from_there_are_not_written_back(world):
    world.report("A")
    world.new_sharing(market=None).share()
    assert world.account() is not None
    assert world.market.keys("*") == []


# ----------------------------------------------------------------------------------------- who writes, and faults


def test_one_process_writes_at_a_time(world):
    world.report("A")
    world.reader.set("risk:shared:turn", "1", px=5_000)
    assert not world.sharing.share()
    assert world.account() is None
    world.reader.delete("risk:shared:turn")
    assert world.sharing.share()
    assert not world.reader.exists("risk:shared:turn")


def test_a_turn_that_fails_is_given_back(world, monkeypatch):
    def fail(_sharing: Sharing) -> bool:
        raise StateUnavailable("away")

    with monkeypatch.context() as failing:
        failing.setattr(Sharing, "_share", fail)
        with pytest.raises(StateUnavailable):
            world.sharing.share()
    assert world.sharing.share()


def test_a_turn_of_somebody_who_is_gone_ends(world):
    keys = SharedKeys(world.url, timeout_s=REDIS_S)
    assert keys.take_turn("turn", longest_ms=60_000)
    assert not keys.take_turn("turn", longest_ms=60_000)
    assert 0 < world.reader.pttl("turn") <= 60_000


@pytest.mark.parametrize(
    "ask",
    [
        SharedKeys.now_us,
        lambda keys: keys.end_turn("turn"),
        lambda keys: keys.write([SharedText("name", "text", 1)]),
        lambda keys: keys.write_fields("name", {"field": "text"}, ends_at_us=1),
    ],
)
def test_a_redis_that_is_away_is_said_to_be(ask):
    with pytest.raises(StateUnavailable, match="cannot be written"):
        ask(SharedKeys("redis://127.0.0.1:1/0", timeout_s=0.5))


# ------------------------------------------------------------------------------------------------------ the task


@pytest.fixture
def process(world, settings) -> Iterator[World]:
    """The process's own wiring."""
    forget_stores()
    BOOKS.forget()
    sharing.cache_clear()
    yield world
    forget_stores()
    BOOKS.forget()
    sharing.cache_clear()


def test_the_task_writes_them_all(process):
    process.report("A", held())
    tasks.share_keys()
    assert process.account() is not None
    assert process.market.get("market:prices:BTCUSDT") == "50000"
    assert process.reader.pttl("risk:snapshot:current") <= 5_000


def test_the_task_writes_no_prices_that_were_pulled(process, settings):
    settings.RISK_PRICE_PROVIDER = "redis"
    process.report("A", held())
    tasks.share_keys()
    assert process.account() is not None
    assert process.market.keys("*") == []


def test_the_task_outlives_an_outage(process, monkeypatch, caplog):
    def away(_sharing: Sharing) -> bool:
        raise StateUnavailable("connection refused")

    monkeypatch.setattr(Sharing, "share", away)
    tasks.share_keys()
    assert "connection refused" in caplog.text


def test_it_runs_every_second_where_there_is_redis(settings):
    assert schedule()["share-keys"]["schedule"] == 1.0
    settings.REDIS_URL = ""
    assert "share-keys" not in schedule()


def test_keys_outlive_some_times_that_were_missed(process, settings):
    settings.RISK_SHARED_KEYS_INTERVAL = timedelta(seconds=30)
    assert sharing()._life_us == 150_000_000
