"""Which orders a difference of two books concerns: never one too few, and few that it does not."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from policies.preview.reach import Reach
from riskcore.book import Account, Book, Instrument, Operator, Parameters, Profile, Restriction, Scope, VolatilityScale
from riskcore.compiled import CompiledBook
from riskcore.decide import decide
from tests.audit.subjects import BOOK, inputs
from tests.policies.previewing import book, policy
from tests.riskcore.test_glance import history
from tests.riskcore.worlds import LIMITED, SYMBOLS, scene

LIMIT = policy("leverage", 10)
(WIDE,) = BOOK.profiles
NARROW = replace(WIDE, name="narrow")


def concerns(before: Book, after: Book, **order: Any) -> bool:
    both = (Reach(CompiledBook(one), CompiledBook(other)) for one, other in ((before, after), (after, before)))
    there, back = (reach.concerns(inputs(**order).order) for reach in both)
    assert there is back
    return there


def test_books_that_say_the_same_concern_nobody():
    assert not concerns(book(LIMIT), replace(book(LIMIT), version=2))


@pytest.mark.parametrize(
    "changed",
    [
        {"threshold": Decimal(9)},
        {"operator": Operator.BELOW},
        {"priority": 1},
        {"name": "Another"},
        {"scope": Scope.EXCHANGE, "scope_ids": ("BINANCE",)},
    ],
)
def test_a_change_of_a_limit_on_every_account_concerns_every_order(changed):
    assert concerns(book(LIMIT), book(replace(LIMIT, **changed)))


def test_a_limit_that_is_new_concerns_every_order():
    assert concerns(book(), book(LIMIT))


@pytest.mark.parametrize(
    ("scope", "mine", "other"),
    [
        (Scope.ACCOUNT, "desk-1", "desk-2"),
        (Scope.SYMBOL, "BTCUSDT", "ETHUSDT"),
        (Scope.STRATEGY, "carry", "trend"),
        (Scope.PROFILE, "wide", "narrow"),
    ],
)
def test_a_limit_of_some_concerns_their_orders_alone(scope, mine, other):
    before = book(profiles=(WIDE, NARROW))
    after = [replace(before, policies=(replace(LIMIT, scope=scope, scope_ids=(name,)),)) for name in (mine, other)]
    assert concerns(before, after[0], strategy_id="carry")
    assert not concerns(before, after[1], strategy_id="carry")


def test_a_limit_that_moves_from_one_account_to_another_concerns_both():
    before, after = (book(replace(LIMIT, scope=Scope.ACCOUNT, scope_ids=(name,))) for name in ("desk-1", "desk-2"))
    assert concerns(before, after, account_id="desk-1")
    assert concerns(before, after, account_id="desk-2")
    assert not concerns(before, after, account_id="desk-3")


def test_a_profile_concerns_the_accounts_that_have_it():
    accounts = (Account(id="desk-1", profile="wide"), Account(id="desk-2", profile="narrow"))
    before = book(profiles=(WIDE, NARROW), accounts=accounts)
    after = replace(before, profiles=(replace(WIDE, max_open_positions=1), NARROW))
    assert concerns(before, after, account_id="desk-1")
    assert not concerns(before, after, account_id="desk-2")


def test_an_account_that_changes_concerns_its_own_orders():
    accounts = (Account(id="desk-1", profile="wide", enabled=False), Account(id="desk-2", profile="wide"))
    assert concerns(book(), book(accounts=accounts), account_id="desk-1")
    assert not concerns(book(), book(accounts=accounts), account_id="desk-2")


@pytest.mark.parametrize(
    "part",
    [
        {"instruments": (Instrument(symbol="BTCUSDT", lot_size=Decimal(1)),)},
        {"restrictions": (Restriction(symbol="BTCUSDT", reason="news"),)},
    ],
    ids=["rules", "restriction"],
)
def test_what_is_said_of_a_symbol_concerns_its_orders(part):
    assert concerns(book(), book(**part), symbol="BTCUSDT")
    assert not concerns(book(), book(**part), symbol="ETHUSDT")


def test_settings_concern_every_order():
    assert concerns(book(), book(parameters=Parameters(market_slippage=Decimal("0.1"))))


@pytest.mark.parametrize(
    ("limit", "concerned"),
    [
        (LIMIT, False),
        (policy("var_95", 1, scope=Scope.ACCOUNT, scope_ids=("desk-2",)), True),
        (replace(LIMIT, volatility=VolatilityScale(symbol="BTCUSDT", reference=Decimal("0.5"))), True),
    ],
    ids=["leverage", "value at risk", "volatility"],
)
def test_another_history_concerns_every_order_where_any_limit_goes_by_it(limit, concerned):
    assert concerns(book(limit, returns=history("BTCUSDT")), book(limit, returns=history("ETHUSDT"))) is concerned


def test_limits_in_another_order_concern_every_order():
    other = policy("gross_exposure", 1)
    assert concerns(book(LIMIT, other), book(other, LIMIT))


@pytest.mark.parametrize(
    "unusual", [{"operator": Operator.NOT_EQUAL}, {"metric": "var_95"}], ids=["inequality", "value at risk"]
)
def test_a_kind_of_limit_that_no_account_had_concerns_every_order(unusual):
    narrow = replace(LIMIT, scope=Scope.ACCOUNT, scope_ids=("desk-2",), **unusual)
    assert concerns(book(), book(narrow), account_id="desk-1")


@pytest.mark.parametrize("seed", range(60))
def test_an_order_that_is_not_concerned_is_decided_alike_word_for_word(seed):
    """Random accounts, limits and orders, and any limit of some: whoever it does not concern is told the same."""
    random, world = Random(seed), scene(seed)
    chosen = random.choice(
        (
            {"scope": Scope.SYMBOL, "scope_ids": (random.choice(SYMBOLS),)},
            {"scope": Scope.ACCOUNT, "scope_ids": ("B",)},
            {"scope": Scope.STRATEGY, "scope_ids": ("carry",)},
            {"scope": Scope.PROFILE, "scope_ids": ("other",)},
        )
    )
    metric = random.choice(LIMITED)
    operator = random.choice((Operator.AT_MOST, Operator.AT_LEAST, Operator.NOT_EQUAL))
    added = policy(metric, 1, id="added", operator=operator, **chosen)
    before = world.book.book
    after = CompiledBook(replace(before, policies=(*before.policies, added)))
    reach = Reach(world.book, after)
    for step in world.orders(20):
        if not reach.concerns(step.inputs.order):
            assert decide(step.inputs, after).decision == step.decision


def test_a_part_of_the_book_that_is_not_known_here_concerns_every_order():
    class Later(Book, frozen=True, kw_only=True):
        lately: int = 0

    fields = {name: getattr(book(), name) for name in Book.__struct_fields__}
    assert isinstance(WIDE, Profile)
    assert Reach(CompiledBook(Later(**fields)), CompiledBook(Later(**fields, lately=1))).of_all
