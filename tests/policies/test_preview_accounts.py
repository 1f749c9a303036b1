"""The accounts as they stand, under the book in force and a proposed one."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from feeds.apply import apply_report
from feeds.books import BOOKS
from policies.book import latest, loaded
from policies.models import Account
from policies.preview import accounts as looking
from policies.preview.impact import Accounts, AccountUse, LimitUse
from policies.preview.standing import look_at_accounts
from policies.services import do_create_account, do_create_profile
from riskcore.book import Book, Mode, Operator, PolicyType, Scope
from riskcore.compiled import CompiledBook
from riskcore.firm import FIRM
from riskcore.report import AccountReport
from riskcore.schedule import ActiveWindow
from riskcore.types import Position, Side, position_key
from tests.emergency.world import World
from tests.policies.preview_world import PRICES, PROFILE, WHO, orders, send, trading
from tests.policies.previewing import policy

# Two desks, each with 100,000: the first long one BTC (leverage 0.5), the second short ten ETH and long 400 SOL (0.9).
HELD = {
    "desk-00": {"BTCUSDT": "1"},
    "desk-01": {"ETHUSDT": "-10", "SOLUSDT": "400"},
}


def report(account_id: str, held: dict[str, str], equity: int = 100_000, exchange: str = "") -> AccountReport:
    positions = {
        position_key(symbol, exchange): Position(
            symbol=symbol,
            quantity=Decimal(quantity),
            entry_price=PRICES[symbol],
            mark_price=PRICES[symbol],
            exchange=exchange,
        )
        for symbol, quantity in held.items()
    }
    return AccountReport(account_id=account_id, equity=Decimal(equity), margin_used=Decimal(0), positions=positions)


@pytest.fixture(params=["redis", "memory"])
def world(request, settings, tmp_path, transactional_db) -> Iterator[World]:
    states = [report(name, held) for name, held in HELD.items()]
    yield from trading(request, settings, tmp_path, kind=request.param, desks=len(states), states=states)


def in_force() -> Book:
    newest = latest()
    assert newest is not None
    return loaded(newest.version)


def proposed(*policies: Any, **parts: Any) -> Book:
    """Return the book in force with these limits instead of its own."""
    return replace(in_force(), policies=policies, **parts)


def look(world: World, before: Book, after: Book) -> Accounts:
    return look_at_accounts(world.store, CompiledBook(before), CompiledBook(after), lambda _: None)


def use_of(limit: LimitUse, account_id: str) -> AccountUse:
    (found,) = (use for use in limit.uses if use.account_id == account_id)
    return found


def shares(limit: LimitUse) -> dict[str, tuple[str, str]]:
    """Return the utilisations before and after, by account."""
    return {
        use.account_id: tuple(f"{each.utilisation}" if each else "none" for each in (use.before, use.after))  # type: ignore[misc]
        for use in limit.uses
    }


LEVERAGE = policy("leverage", 2)


def test_a_limit_that_changes_is_told_with_what_is_used_of_it(world):
    found = look(world, proposed(LEVERAGE), proposed(replace(LEVERAGE, threshold=Decimal("0.6"))))
    (limit,) = found.limits
    assert (limit.name, limit.accounts, limit.broken_before, limit.broken_after) == ("leverage", 2, 0, 1)
    assert shares(limit) == {
        FIRM: ("0.350000", "1.166667"),
        "desk-01": ("0.450000", "1.500000"),
        "desk-00": ("0.250000", "0.833333"),
    }


def test_what_breaks_at_once_is_told_and_the_firm_is_one_of_them(world):
    found = look(world, proposed(LEVERAGE), proposed(replace(LEVERAGE, threshold=Decimal("0.6"))))
    assert [(one.use.account_id, one.use.message) for one in found.breaches] == [
        (FIRM, "leverage: leverage 0.700000 breaks <= 0.6"),
        ("desk-01", "leverage: leverage 0.900000 breaks <= 0.6"),
    ]
    assert (found.broken, found.healed, found.looked_at, found.unknown) == (2, 0, 2, 0)


def test_what_is_broken_already_is_no_news(world):
    tight = replace(LEVERAGE, threshold=Decimal("0.8"))
    found = look(world, proposed(tight), proposed(replace(tight, threshold=Decimal("0.6"))))
    assert [one.use.account_id for one in found.breaches] == [FIRM]


def test_what_holds_again_is_counted(world):
    found = look(world, proposed(replace(LEVERAGE, threshold=Decimal("0.6"))), proposed(LEVERAGE))
    assert (found.broken, found.healed) == (0, 2)


def test_a_broken_emergency_limit_stops_trading_and_comes_first(world):
    after = proposed(
        policy("gross_exposure", 1), policy("leverage", "0.8", type=PolicyType.EMERGENCY, id="e", name="Stop")
    )
    found = look(world, proposed(), after)
    assert [(one.name, one.type) for one in found.breaches] == [
        ("Stop", PolicyType.EMERGENCY),
        ("gross_exposure", PolicyType.HARD),
        ("gross_exposure", PolicyType.HARD),
        ("gross_exposure", PolicyType.HARD),
    ]
    assert (found.stopped, found.tripping) == (1, 1)


def test_a_broken_hard_limit_trips_in_accounts_and_not_in_the_firm(world):
    found = look(world, proposed(LEVERAGE), proposed(replace(LEVERAGE, threshold=Decimal("0.6"))))
    assert (found.stopped, found.tripping) == (0, 1)


def test_a_broken_soft_limit_trips_nothing(world):
    found = look(world, proposed(), proposed(replace(LEVERAGE, threshold=Decimal("0.1"), type=PolicyType.SOFT)))
    assert (found.broken, found.stopped, found.tripping) == (3, 0, 0)


def test_limits_that_do_not_change_are_not_told(world):
    other = policy("gross_exposure", 1)
    found = look(world, proposed(LEVERAGE, other), proposed(replace(LEVERAGE, threshold=Decimal(3)), other))
    assert [limit.name for limit in found.limits] == ["leverage"]
    assert found.broken == 0


def test_no_account_is_looked_at_where_no_limit_changes(world):
    found = look(world, proposed(LEVERAGE), replace(proposed(LEVERAGE), version=99))
    assert (found.looked_at, found.limits) == (0, ())


def test_a_limit_on_a_symbol_is_told_of_each_account_where_most_is_used(world):
    after = proposed(policy("position_value", 45_000))
    (limit,) = look(world, proposed(), after).limits
    assert use_of(limit, "desk-01").symbol == "SOLUSDT"
    assert (limit.accounts, limit.broken_after) == (2, 2)


def test_a_limit_of_some_is_told_of_those_alone(world):
    after = proposed(replace(LEVERAGE, scope=Scope.ACCOUNT, scope_ids=("desk-01",)))
    (limit,) = look(world, proposed(), after).limits
    assert shares(limit) == {"desk-01": ("none", "0.450000")}


def test_a_profile_that_changes_is_told_of_the_accounts_that_have_it(world):
    before = in_force()
    profiles = tuple(
        replace(each, allowed_leverage=Decimal(1)) if each.name == "wide" else each for each in before.profiles
    )
    (limit,) = look(world, before, replace(before, profiles=profiles)).limits
    assert shares(limit) == {"desk-01": ("0.112500", "0.900000"), "desk-00": ("0.062500", "0.500000")}


def test_an_account_that_gets_another_profile_is_held_against_that(world):
    do_create_profile(**WHO, name="narrow", **{**PROFILE, "allowed_leverage": Decimal("0.4")})
    before = in_force()
    moved = tuple(replace(each, profile="narrow") if each.id == "desk-00" else each for each in before.accounts)
    found = look(world, before, replace(before, accounts=moved))
    assert [(one.use.account_id, one.name) for one in found.breaches] == [("desk-00", "Profile narrow: leverage")]
    assert shares(found.limits[0]) == {"desk-00": ("0.062500", "1.250000")}


def test_open_orders_count_as_everywhere(world):
    (order,) = orders(["desk-00"])
    (sent,) = send(
        world,
        [replace(order, symbol="BTCUSDT", side=Side.BUY, quantity=Decimal("0.2"), price=PRICES["BTCUSDT"])],
    )
    assert sent.told.approved, sent.told
    (limit,) = look(world, proposed(), proposed(LEVERAGE)).limits
    assert shares(limit)["desk-00"] == ("none", "0.300000")


def test_a_limit_that_is_not_in_force_just_now_is_on_nobody(world):
    long_ago = (ActiveWindow(since="2020-01-01", until="2020-01-02"),)
    found = look(world, proposed(), proposed(replace(LEVERAGE, threshold=Decimal("0.1"), active=long_ago)))
    assert (found.looked_at, found.broken, found.limits) == (2, 0, ())


def test_a_limit_in_shadow_is_broken_for_nobody(world):
    found = look(world, proposed(), proposed(replace(LEVERAGE, threshold=Decimal("0.1"), mode=Mode.SHADOW)))
    assert (found.broken, found.limits) == (0, ())


def test_an_account_of_which_nothing_is_known_is_counted(world):
    do_create_account(**WHO, account_id="silent", profile="wide")
    found = look(world, proposed(), proposed(LEVERAGE))
    assert (found.looked_at, found.unknown) == (3, 1)
    assert Account.objects.filter(pk="silent").exists()


def test_a_limit_on_an_exchange_is_on_what_is_there(world):
    assert apply_report(world.store, BOOKS, report("desk-00", {"BTCUSDT": "1"}, exchange="KRAKEN"))
    after = proposed(replace(LEVERAGE, scope=Scope.EXCHANGE, scope_ids=("KRAKEN",)))
    (limit,) = look(world, proposed(), after).limits
    assert use_of(limit, "desk-00").exchange == "KRAKEN"


def test_a_floor_and_an_infinite_ratio_are_told(world):
    after = proposed(policy("margin_ratio", 1, operator=Operator.AT_LEAST))
    (limit,) = look(world, proposed(), after).limits
    use = use_of(limit, "desk-00").after
    assert use is not None
    assert (use.value, use.utilisation, use.holds) == (Decimal("Infinity"), Decimal(0), True)


def test_of_many_accounts_those_that_use_most_are_kept_and_all_are_counted(world, monkeypatch):
    monkeypatch.setattr(looking, "MOST_ACCOUNTS", 1)
    monkeypatch.setattr(looking, "MOST_BREACHES", 1)
    after = proposed(policy("leverage", "0.1", scope=Scope.ACCOUNT, scope_ids=("desk-00", "desk-01")))
    found = look(world, proposed(), after)
    assert ([use.account_id for use in found.limits[0].uses], found.limits[0].accounts) == (["desk-01"], 2)
    assert (len(found.breaches), found.broken) == (1, 2)
