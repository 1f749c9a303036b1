"""Published books: which was in force when, what one says, what two differ in, and the way back to one."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from msgspec.structs import replace

from audit.acting import acting
from policies import services
from policies.book import latest, loaded
from policies.books.finding import book_at, neighbours, request_of, visible
from policies.books.restoring import OTHERWISE, edits_to_restore
from policies.books.services import do_restore_book
from policies.books.telling import counted, differences_of, sections_of
from policies.changes import create
from policies.compare import compare_books
from policies.direction import Direction, judge
from policies.errors import NothingToChange
from policies.models import CHANGE_LIMITS, Account, Book, CapitalProfile, Instrument, Override, Policy, RestrictedSymbol
from policies.requests.services import do_publish_request
from policies.requests.trying import edits_of, try_edits
from riskcore import book as core
from riskcore.book import Parameters, Returns, Scope
from tests.policies.requesting import ALICE, approved, draft, seen, setting
from tests.policies.subjects import WHO, account, instrument, limit, profile, restriction
from tests.riskcore import builders


# ----------------------------------------------------------------------------------------------- as of when
def test_the_book_of_a_moment_is_the_newest_that_was_published_by_then(defaults):
    first = limit().book
    second = restriction().book
    assert book_at(first.created_at) == first
    assert book_at(second.created_at - timedelta(microseconds=1)) == first
    assert book_at(timezone.now()) == second


def test_before_the_first_book_there_is_none(defaults):
    assert book_at(defaults.created_at - timedelta(microseconds=1)) is None


def test_a_book_has_the_request_that_made_it(live):
    request = approved(draft(setting(Policy.objects.get(name="Max Account Leverage"), threshold="12")))
    do_publish_request(acting=ALICE, **seen(request))
    newest, first = Book.objects.all()
    assert request_of(newest) == request
    assert request_of(first) is None


def test_a_book_knows_its_neighbours(defaults):
    second = limit().book
    assert neighbours(1) == (None, second)
    assert neighbours(2) == (defaults, None)


# -------------------------------------------------------------------------------------------- who sees what
def test_who_is_for_some_accounts_sees_nothing_of_the_others():
    whole = builders.book(
        builders.policy("leverage", "<=", 3, id="both", **builders.scoped(Scope.ACCOUNT, "A", "B")),
        builders.policy("leverage", "<=", 4, id="theirs", **builders.scoped(Scope.ACCOUNT, "B")),
        builders.policy("leverage", "<=", 5, id="all"),
        accounts=(builders.account("A"), builders.account("B")),
        restrictions=(
            builders.restriction(),
            builders.restriction(account_id="B"),
            builders.restriction(account_id="A"),
        ),
    )
    seen = visible(whole, acting("ann", (), ("A",)))
    assert [each.id for each in seen.accounts] == ["A"]
    assert [each.account_id for each in seen.restrictions] == ["", "A"]
    assert [(each.id, each.scope_ids) for each in seen.policies] == [("both", ("A",)), ("all", ())]
    assert visible(whole, ALICE) is whole


# ------------------------------------------------------------------------------------------------- in words
def words_of(book: Any, title: str) -> list[tuple[str, str]]:
    section = next(each for each in sections_of(book) if each.title == title)
    return [(line.name, line.words) for line in section.lines]


def test_every_part_of_a_book_is_said_in_words():
    book = builders.book(
        builders.policy("leverage", "<=", 10, name="Max Leverage"),
        profiles=(builders.profile("low", allowed_leverage=Decimal(2), strategies=("s1",)),),
        accounts=(
            builders.account("A", "low", exchange="ONE", reservation_ttl_us=90_000_000),
            builders.account("B", "low", enabled=False),
        ),
        instruments=(
            builders.instrument(tick_size="0.10", margin_rate="0.2"),
            builders.instrument("ETHUSDT"),
            builders.instrument("XRPUSDT", average_daily_volume="31250.50"),
        ),
        restrictions=(builders.restriction(account_id="A", close_only=True, until_us=builders.NOW),),
        returns=Returns(version="h", symbols=("A",), days=2, since="2026-01-01", until="2026-01-02", values=b""),
    )
    assert words_of(book, "Limits") == [("Max Leverage", "Leverage of every account stays at or below 10 - hard")]
    assert words_of(book, "Capital profiles") == [
        (
            "low",
            "Leverage up to 2, one order up to 100,000,000,000 % of equity, losses up to 100 % a day and 100 % a week, "
            "up to 1,000,000 open positions, only strategy s1",
        )
    ]
    assert words_of(book, "Accounts") == [
        ("A", "Profile low, on ONE where an order names no exchange, approvals hold their exposure for 90 s"),
        ("B", "Disabled, its orders are blocked; profile low"),
    ]
    assert words_of(book, "Instruments") == [
        ("BTCUSDT", "Prices in steps of 0.1, initial margin 20 %"),
        ("ETHUSDT", "No rule is known"),
        ("XRPUSDT", "Average daily volume 31,250.5"),
    ]
    assert words_of(book, "Restricted symbols") == [
        ("BTCUSDT", "Orders of account A may only reduce a position until 2026-01-07 12:00:00 UTC: a delisting")
    ]
    assert words_of(book, "History of prices") == [("Returns", "A: 2 days to 2026-01-02")]
    settings = dict(words_of(book, "Settings that decisions depend on"))
    assert settings["Oldest account state"] == "5 s"
    assert settings["CRITICAL from a utilisation of"] == "90 %"
    assert settings["Start of the trading day"] == "00:00"
    assert settings["Oldest returns for value at risk"] == "10 days"
    assert settings["A silent monitor blocks"] == "no"


def test_a_volume_that_is_not_known_is_said_so_on_either_side():
    known, not_known = builders.instrument(average_daily_volume=1_000), builders.instrument()
    for before, after, words in (
        (known, not_known, ("1,000", "not known")),
        (not_known, known, ("not known", "1,000")),
    ):
        (told,) = differences_of(builders.book(instruments=(before,)), builders.book(instruments=(after,)))
        assert (told.field, told.before, told.after) == ("average daily volume", *words)


def test_limits_come_in_the_order_in_which_they_are_reported():
    book = builders.book(
        builders.policy("leverage", "<=", 10, name="B"),
        builders.policy("open_orders", "<=", 10, name="A"),
        builders.policy("gross_exposure", "<=", 10, name="C", priority=1),
    )
    assert [name for name, _ in words_of(book, "Limits")] == ["C", "A", "B"]


def test_a_long_part_is_found_by_text():
    book = builders.book(accounts=tuple(builders.account(f"desk-{number}") for number in range(10)))
    accounts = sections_of(book, most=3)[2]
    assert (accounts.count, accounts.hidden, len(accounts.lines)) == (10, 7, 3)
    found = sections_of(book, "DESK-7", most=3)
    assert [line.name for section in found for line in section.lines] == ["desk-7"]


# ------------------------------------------------------------------------------------------------ compared
def test_a_difference_is_said_with_its_direction():
    (told,) = differences_of(
        builders.book(builders.policy("drawdown_max", "<=", "0.20")),
        builders.book(builders.policy("drawdown_max", "<=", "0.25")),
    )
    assert (told.part, told.name, told.field) == ("Limit", "Limit on drawdown_max", "threshold")
    assert (told.before, told.after, told.direction) == ("20 %", "25 %", Direction.LOOSENS)
    assert told.why == "a higher ceiling on drawdown from the peak"


def test_what_is_new_is_said_whole():
    (told,) = differences_of(builders.book(), builders.book(builders.policy("leverage", "<=", 10)))
    assert (told.field, told.before) == ("added", "")
    assert told.after == "Leverage of every account stays at or below 10 - hard"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"strategies": ()}, {"strategies": ("s1", "s2")}, ("all", "s1 and s2")),
        ({"max_daily_loss": Decimal("0.02")}, {"max_daily_loss": Decimal("0.015")}, ("2 %", "1.5 %")),
        ({"max_open_positions": 1000}, {"max_open_positions": 10}, ("1,000", "10")),
    ],
)
def test_a_value_is_shown_as_people_read_it(before, after, said):
    one, other = builders.profile(**before), builders.profile(**after)
    (told,) = differences_of(builders.book(profiles=(one,)), builders.book(profiles=(other,)))
    assert (told.before, told.after) == said


def test_differences_are_counted_by_direction():
    before = builders.book(builders.policy("leverage", "<=", 10), builders.policy("open_orders", "<=", 5))
    after = builders.book(builders.policy("leverage", "<=", 8), builders.policy("open_orders", "<=", 6))
    assert counted(differences_of(before, after)) == ((Direction.LOOSENS, 1), (Direction.TIGHTENS, 1))


# ------------------------------------------------------------------------------------------------- restored
def change_everything() -> None:
    """Change what of every kind there is, so that every kind of edit is needed to go back."""
    leverage = Policy.objects.get(name="Max Account Leverage")
    services.do_change_policy(
        **WHO,
        policy_id=leverage.pk,
        expected_version=leverage.version,
        name="Leverage",
        threshold=Decimal(3),
        operator="<",
        scope="profile",
        scope_ids=["low"],
        type="soft",
        priority=7,
        on_breach="scale_down",
        mode="shadow",
        active_windows=["Mon-Fri 09:00-17:00 UTC"],
        effective_until=timezone.now() + timedelta(days=9),
        rollout_percent=20,
        test_group="a",
        volatility_symbol="BTCUSDT",
        volatility_reference=Decimal("0.6"),
    )
    timed = Policy.objects.get(name="Timed")
    services.do_change_policy(
        **WHO,
        policy_id=timed.pk,
        expected_version=timed.version,
        active_windows=[],
        effective_from=None,
        volatility_symbol="",
    )
    exposure = Policy.objects.get(name="Max Gross Exposure")
    services.do_change_policy(**WHO, policy_id=exposure.pk, expected_version=exposure.version, enabled=False)
    limit("A later limit")
    normal = CapitalProfile.objects.get(pk="normal")
    services.do_change_profile(
        **WHO, name="normal", expected_version=normal.version, allowed_leverage=Decimal(2), strategies=["s1"]
    )
    profile("later")
    services.do_change_account(
        **WHO,
        account_id="desk-1",
        expected_version=1,
        profile="low",
        enabled=False,
        exchange="one",
        reservation_ttl_s=None,
    )
    account("desk-2")
    services.do_change_instrument(
        **WHO, symbol="BTCUSDT", expected_version=1, tick_size=Decimal(0), order_types=["LIMIT"]
    )
    services.do_change_instrument(**WHO, symbol="XYZ", expected_version=1, average_daily_volume=Decimal(9))
    services.do_change_instrument(**WHO, symbol="ABC", expected_version=1, average_daily_volume=Decimal(0))
    instrument("ETHUSDT")
    for row in RestrictedSymbol.objects.filter(active=True, symbol="DOGEUSDT"):
        services.do_lift_symbol(**WHO, restriction_id=row.pk, expected_version=row.version)
    restriction("LATERUSDT")


@pytest.fixture
def old(defaults) -> int:
    """The number of a book with something of every kind, of which everything was changed since."""
    account("desk-1", reservation_ttl_s=30)
    instrument("BTCUSDT", lot_size=Decimal("0.001"), margin_rate=Decimal("0.2"))
    instrument("XYZ")
    instrument("ABC", average_daily_volume=Decimal("7.5"))
    restriction("DOGEUSDT", side="SELL", account_id="desk-1", until=timezone.now() + timedelta(days=1))
    limit(
        "Timed",
        active_windows=["Tue 22:00-02:00 Europe/Berlin", "Mon 09:00-17:00 UTC"],
        effective_from=timezone.now() + timedelta(days=1),
        volatility_symbol="ETHUSDT",
        volatility_reference=Decimal("0.5"),
        volatility_most=Decimal("1.5"),
    )
    version = restriction("XRPUSDT", close_only=True).book.version
    change_everything()
    return version


def test_the_edits_lead_back_to_what_the_book_says(old):
    after = try_edits(edits_to_restore(loaded(old)).edits).after
    left = {(each.part, each.name, each.field) for each in compare_books(loaded(old), after)}
    assert left == {
        ("profiles", "later", "added"),  # a row is never deleted
        ("accounts", "desk-2", "added"),
        ("instruments", "ETHUSDT", "added"),
    }
    assert not any(each.direction.counts_as_looser for each in judge(loaded(old), after))


def test_every_field_of_a_book_is_one_of_its_row():
    for item, model in (
        (core.Policy, Policy),
        (core.Profile, CapitalProfile),
        (core.Account, Account),
        (core.Instrument, Instrument),
    ):
        names = set(item.__struct_fields__) - {"id", "name", "symbol", "version"} - set(OTHERWISE)
        assert names <= set(model.CHANGEABLE)


def test_what_is_newer_than_the_book_is_disabled(old):
    edits = {(edit.kind, edit.key): edit.fields for edit in edits_to_restore(loaded(old)).edits}
    later = Policy.objects.get(name="A later limit")
    assert edits["policy", str(later.pk)] == {"enabled": False}
    assert edits["account", "desk-2"] == {"enabled": False}
    assert edits["instrument", "ETHUSDT"] == {"tick_size": "0"}


def test_a_volume_that_the_book_does_not_know_is_not_known_again(old):
    edits = {edit.key: edit.fields for edit in edits_to_restore(loaded(old)).edits if edit.kind == "instrument"}
    assert (edits["XYZ"], edits["ABC"]) == ({"average_daily_volume": "0"}, {"average_daily_volume": "7.5"})


def test_a_restriction_that_is_still_there_stays_as_it_is(old):
    kept = RestrictedSymbol.objects.get(symbol="XRPUSDT")
    assert str(kept.pk) not in {edit.key for edit in edits_to_restore(loaded(old)).edits}


def test_a_restriction_whose_time_is_over_is_not_made_again(old):
    later = timezone.now() + timedelta(days=2)
    restoring = edits_to_restore(loaded(old), now=later)
    assert [edit for edit in restoring.edits if edit.kind == "restriction" and not edit.expected_version] == []
    assert "Restrictions that are over by now are not made again: DOGEUSDT." in restoring.left


def test_it_is_told_what_stays_different(old):
    book = loaded(old)
    other = replace(book, parameters=Parameters(**{**_fields(book.parameters), "price_max_age_us": 1}))
    assert edits_to_restore(other).left == (
        "Settings come from the configuration, and stay: oldest price.",
        "Capital profiles that the book does not have stay: later.",
    )


def test_overrides_stay_and_that_is_told(old):
    until = timezone.now() + timedelta(hours=1)
    account = Account.objects.get(pk="desk-2")
    granted = Override(account=account, until=until, reason="r")
    create(granted, actor="alice", reason="r", action="override.grant")
    restoring = edits_to_restore(loaded(old))
    assert "override" not in {edit.kind for edit in restoring.edits}
    assert "Overrides stay, until they are taken back: of desk-2." in restoring.left
    assert not any("Overrides" in said for said in edits_to_restore(loaded(old), now=until).left)


def test_the_newest_book_needs_no_edit(old):
    newest = latest()
    assert newest is not None
    assert edits_to_restore(loaded(newest.version)).edits == ()
    with pytest.raises(NothingToChange, match=f"What book {newest.version} says is like that already"):
        do_restore_book(acting=acting("ann", [CHANGE_LIMITS]), version=newest.version, reason="again")


def test_a_book_is_restored_by_a_request(old):
    request = do_restore_book(acting=ALICE, version=old, reason="The new limits were wrong")
    assert (request.title, request.state, request.author) == (f"Restore book {old}", "draft", "alice")
    assert {edit.kind for edit in edits_of(request)} == {"policy", "profile", "account", "instrument", "restriction"}
    assert Account.objects.get(pk="desk-2").enabled
    assert Instrument.objects.get(pk="ETHUSDT").tick_size


def _fields(parameters: Parameters) -> dict[str, Any]:
    return {name: getattr(parameters, name) for name in parameters.__struct_fields__}
