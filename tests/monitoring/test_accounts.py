"""What is known of the accounts from one look to the next: what is read, what is worked out again, what is left out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from monitoring.accounts import Accounts, Seen
from monitoring.metrics import LEFT_OUT
from riskcore.book import Policy
from riskcore.compiled import CompiledBook
from riskcore.glance import Glance
from riskcore.ledger import encode_ledger
from riskcore.ports import AccountChange, Commit, Committed, Load
from riskcore.types import Position, Reservation, RiskLevel
from state.memory_store import MemoryStore
from state.store import EXPIRED_LIMIT
from tests.riskcore.builders import NOW, SECOND, account, compiled, holding, policy, position, reservation, state

D = Decimal


class House:
    """Accounts A, B and C in memory, under a clock that stands still, and who looks at them."""

    def __init__(self, *policies: Policy) -> None:
        self.now_us = NOW
        self.store = MemoryStore(lambda: self.now_us)
        self.restore()
        self.book = book(*policies)
        self.accounts = Accounts(self.store)
        self.put_prices(BTCUSDT="50000", ETHUSDT="3000")

    def restore(self) -> None:
        self.store.restore(book_version=1, content=b"{}", stops=(), keys=b"{}")

    def put_prices(self, **prices: str) -> None:
        self.store.put_prices({symbol: (price, 0) for symbol, price in prices.items()})

    def report(self, account_id: str, *positions: Position, **what: Any) -> None:
        content = msgspec.json.encode(state(*positions, account_id=account_id, **what))
        self.write(account_id, state=content)

    def reserve(self, account_id: str, *held: Reservation) -> None:
        self.write(account_id, ledger=encode_ledger(holding(*held)), add=held)

    def write(self, account_id: str, **what: Any) -> None:
        (record,) = [one for part in self.store.changed("", {account_id: ""}) for one in part.records]
        change = AccountChange(account_id=account_id, expected_version=record.version, **what)
        done = self.store.commit(Commit(expect=None, changes=(change,), journal=(), reload=Load(accounts=())))
        assert isinstance(done, Committed)

    def look(self) -> dict[str, Glance]:
        return {one.account_id: one for one in self.seen().accounts}

    def seen(self) -> Seen:
        return self.accounts.look(self.book)


def book(*policies: Policy, accounts: str = "ABC", **what: Any) -> CompiledBook:
    return compiled(*policies, accounts=tuple(map(account, accounts)), **what)


def gross(one: Glance) -> Decimal:
    assert one.whole is not None
    return one.whole.exposure.gross


# --------------------------------------------------------------------------------------------- what is seen


def test_accounts_that_were_never_reported_are_not_seen() -> None:
    house = House()
    assert house.seen() == Seen(NOW, (), None)
    house.report("B", position(1))
    assert house.look().keys() == {"B"}


def test_an_account_of_which_a_price_was_never_known_is_unknown_and_in_no_sum() -> None:
    house = House()
    house.report("A", position(1, "XRPUSDT"))
    house.report("B", position(1))
    seen = house.seen()
    assert [(one.account_id, one.level) for one in seen.accounts] == [("A", RiskLevel.UNKNOWN), ("B", RiskLevel.INFO)]
    assert seen.sums is not None
    assert seen.sums.state.equity == 100_000
    house.put_prices(XRPUSDT="2")
    assert gross(house.look()["A"]) == 2


def test_the_firm_is_the_sum_of_those_that_can_be_valued() -> None:
    house = House(policy("gross_exposure", "<=", 90_000))
    house.report("A", position(1))
    house.report("B", position(-1))
    seen = house.seen()
    firm = house.accounts.firm(seen.sums, house.book, seen.now_us)
    assert gross(firm) == 100_000
    assert [reading.limit.policy.id for reading in firm.broken] == ["gross_exposure"]


def test_of_a_firm_without_accounts_nothing_is_known() -> None:
    house = House()
    seen = house.seen()
    assert house.accounts.firm(seen.sums, house.book, seen.now_us).level is RiskLevel.UNKNOWN


# --------------------------------------------------------------------------------- what is worked out again


def test_what_has_not_changed_is_not_worked_out_again() -> None:
    house = House()
    house.report("A", position(1))
    before = house.look()["A"]
    house.now_us += 60 * SECOND
    assert house.look()["A"] is before


def test_a_price_changes_the_accounts_that_go_by_it() -> None:
    house = House()
    house.report("A", position(1))
    house.report("B", position(1, "ETHUSDT"))
    before = house.look()
    house.put_prices(BTCUSDT="51000")
    after = house.look()
    assert gross(after["A"]) == 51_000
    assert after["B"] is before["B"]


def test_a_report_changes_its_account() -> None:
    house = House()
    house.report("A", position(1))
    house.report("B", position(1))
    before = house.look()
    house.report("A", position(2))
    after = house.look()
    assert gross(after["A"]) == 100_000
    assert after["B"] is before["B"]


def test_an_approval_changes_its_account_and_so_does_its_end() -> None:
    house = House()
    house.report("A", position(1))
    house.look()
    house.reserve("A", reservation(1, expires_at_us=NOW + SECOND))
    assert gross(house.look()["A"]) == 100_000
    house.now_us += 2 * SECOND
    assert gross(house.look()["A"]) == 50_000


def test_where_more_is_over_than_comes_with_a_record_all_of_it_is_taken_off() -> None:
    house = House()
    house.report("A", position(1))
    held = [reservation(1, expires_at_us=NOW + SECOND) for _ in range(EXPIRED_LIMIT + 3)]
    house.reserve("A", *held, reservation(1))
    assert gross(house.look()["A"]) == 50_000 * (EXPIRED_LIMIT + 5)
    house.now_us += 2 * SECOND
    assert gross(house.look()["A"]) == 100_000


def test_under_another_book_everything_is_worked_out_again() -> None:
    house = House()
    house.report("A", position(1))
    house.report("B", position(1))
    house.look()
    house.book = book(policy("gross_exposure", "<=", 10), accounts="AC")
    found = house.look()
    assert found.keys() == {"A"}
    assert found["A"].broken != ()


def test_after_a_restore_everything_is_read_again() -> None:
    house = House()
    house.report("A", position(1))
    house.look()
    house.store = house.accounts._store = MemoryStore(lambda: house.now_us)
    house.restore()
    house.put_prices(BTCUSDT="50000")
    house.report("A", position(3))  # the same version as before, of another account
    assert gross(house.look()["A"]) == 150_000


def test_a_store_that_is_restored_half_way_is_read_again_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    house.report("A", position(1))
    one, other = [list(house.store.changed("", {name: ""})) for name in "AB"]
    parts = [*one, *(msgspec.structs.replace(part, generation="another") for part in other)]
    asked: list[str] = []

    def changed(generation: str, _known: object) -> Any:
        asked.append(generation)
        return iter(parts)

    monkeypatch.setattr(house.store, "changed", changed)
    house.look()
    house.look()
    assert asked == ["", ""]


# ------------------------------------------------------------------------------------------ what is left out


@pytest.mark.parametrize("what", [{"state": b"{}"}, {"ledger": b'"lost"'}])
def test_an_account_that_cannot_be_read_is_not_seen_and_that_is_said(what: dict[str, bytes], caplog) -> None:
    house = House()
    house.report("A", position(1))
    house.look()
    house.write("A", **what)
    before = LEFT_OUT._value.get()
    assert house.look() == {}
    assert LEFT_OUT._value.get() == before + 1
    assert "account A is left out for now, its limits are not watched" in caplog.text


def test_one_whose_reservations_do_not_fit_its_ledger_is_left_out_until_they_do(caplog) -> None:
    house = House()
    house.report("A", position(1))
    house.report("B", position(1))
    house.write("A", ledger=encode_ledger(holding()), add=(reservation(1, expires_at_us=NOW),))
    assert house.look().keys() == {"B"}
    assert "account A is left out for now" in caplog.text
    house.write("A", ledger=encode_ledger(holding(reservation(1))))
    assert house.look().keys() == {"A", "B"}


def test_one_that_cannot_be_worked_with_is_left_out_and_no_other(caplog) -> None:
    house = House()
    house.report("A", position("1E+999999"))
    house.report("B", position(1))
    seen = house.seen()
    assert [one.account_id for one in seen.accounts] == ["B"]
    assert seen.sums is not None
    assert seen.sums.state.equity == 100_000
    assert "account A is left out for now" in caplog.text
