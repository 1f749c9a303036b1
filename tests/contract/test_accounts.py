"""Load and commit: what is there is read at one moment, and nothing is written on ground that moved."""

from __future__ import annotations

from itertools import count

import pytest
from msgspec.structs import replace

from riskcore.ports import AccountView, Answer, Commit, Committed, Load, Loaded, Stop
from riskcore.types import Side
from state.redis_store import RedisStore
from tests.contract.subjects import (
    ANSWER,
    accounts,
    change,
    commit,
    query,
    reservation,
    restored,
    view,
)
from tests.support.patience import REDIS_S

ALPHA = "account-0"


def test_an_account_that_was_never_written_is_empty(store):
    assert view(store, ALPHA, order_ids=("o1",), symbols=("BTCUSDT",), keys=("BTCUSDT",)) == AccountView(
        account_id=ALPHA,
        version=0,
        state=None,
        ledger=None,
        prices={},
        answers={},
        expired=(),
        own_bids={},
        own_asks={},
        reservations={},
    )


def test_a_load_of_no_account_brings_the_control_and_the_time(store):
    control = restored(store)
    loaded = store.load(Load(accounts=()))
    assert (loaded.control, loaded.accounts) == (control, ())
    assert abs(loaded.now_us - control.epoch) < 60_000_000


def test_what_was_committed_is_loaded_as_it_was(store):
    state, ledger = b'{"equity":"1E+3","name":"\xc3\xa9"}', b'{"daily_notional":"0.10"}'
    what = change(ALPHA, state=state, ledger=ledger, add=(reservation("o1"),), answers={"o1": ANSWER})
    assert commit(store, what) == Committed()
    found = view(store, ALPHA, order_ids=("o1", "o2"), reservations=("o1", "o2"))
    assert (found.version, found.state, found.ledger) == (1, state, ledger)
    assert found.answers == {"o1": ANSWER}
    assert found.reservations == {"o1": reservation("o1")}


def test_an_answer_may_hold_any_bytes(store):
    answer = Answer("f" * 64, b"line\nline\r\n\x00\xff")
    commit(store, change(ALPHA, answers={"o1": answer}))
    assert view(store, ALPHA, order_ids=("o1",)).answers == {"o1": answer}


def test_a_commit_leaves_alone_what_it_does_not_name(store):
    commit(store, change(ALPHA, state=b"{1}", symbols=("BTCUSDT",), ledger=b"{2}"))
    commit(store, change(ALPHA, 1, ledger=b"{3}"))
    commit(store, change(ALPHA, 2, state=b"{4}"))
    found = view(store, ALPHA)
    assert (found.version, found.state, found.ledger) == (3, b"{4}", b"{3}")


def test_the_version_stays_when_neither_state_nor_ledger_is_written(store):
    commit(store, change(ALPHA, ledger=b"{}"))
    commit(store, change(ALPHA, 1, answers={"o1": ANSWER}))
    assert view(store, ALPHA).version == 1


def test_accounts_whose_names_run_together_stay_apart(store):
    right = "a"
    tail = next(str(number) for number in count() if store.lane_of(f"a:{number}") == store.lane_of(right))
    left = f"{right}:{tail}"
    commit(store, change(left, ledger=b"{}", add=(reservation("o", left),), answers={"x": ANSWER}))
    found = view(store, right, order_ids=(f"{tail}:x",), keys=(f"{tail}:BTCUSDT",), reservations=("o",))
    assert (found.answers, found.own_bids, found.reservations) == ({}, {}, {})


def test_a_load_of_several_accounts_answers_in_their_order_with_the_prices_of_each(store):
    first, second = accounts(store, 2)
    store.put_prices({"BTCUSDT": ("1", 0), "ETHUSDT": ("2", 0), "SOLUSDT": ("3", 0)})
    commit(store, change(first, state=b"{}", symbols=("BTCUSDT",)))
    loaded = store.load(
        Load(accounts=(query(second, symbols=("SOLUSDT",)), query(first, symbols=("ETHUSDT", "XRPUSDT"))))
    )
    assert [(one.account_id, sorted(one.prices)) for one in loaded.accounts] == [
        (second, ["SOLUSDT"]),
        (first, ["BTCUSDT", "ETHUSDT"]),
    ]


class TestConflict:
    """Each precondition by itself: when it does not hold, nothing is written and the reply is a load."""

    ORDER = change(ALPHA, 1, ledger=b"{new}", add=(reservation("o2"),), answers={"o2": ANSWER})

    @pytest.fixture
    def control(self, store):
        control = restored(store)
        commit(store, change(ALPHA, ledger=b"{old}", add=(reservation("o1"),), answers={"o1": ANSWER}))
        return control

    @staticmethod
    def refused(store, what, expect):
        """Commit what must be refused, and return the reply after seeing that it left no trace."""
        wanted = query(ALPHA, order_ids=("o1", "o2"), keys=("BTCUSDT",), reservations=("o1", "o2"))
        before = store.load(Load(accounts=(wanted,)))
        reply = store.commit(
            Commit(expect=expect, changes=(what,), journal=(b"entry",), reload=Load(accounts=(wanted,)))
        )
        after = store.load(Load(accounts=(wanted,)))
        assert isinstance(reply, Loaded)
        assert before.now_us <= reply.now_us <= after.now_us
        assert (before.control, before.accounts) == (reply.control, reply.accounts)
        assert (before.control, before.accounts) == (after.control, after.accounts)
        assert store.journal_length(store.lane_of(ALPHA)) == 0
        return reply

    def test_nothing_moved_so_it_is_written(self, store, control):
        assert commit(store, self.ORDER, expect=control) == Committed()

    def test_another_generation(self, store, control):
        self.refused(store, self.ORDER, replace(control, generation="another"))

    def test_another_epoch(self, store, control):
        store.set_stops([Stop(id="s")])
        assert self.refused(store, self.ORDER, control).control.stops == (Stop(id="s"),)

    def test_another_book(self, store, control):
        store.publish_book(2, b"{}")
        assert self.refused(store, self.ORDER, control).control.book_version == 2

    def test_a_stop_and_a_book_do_not_concern_who_expects_nothing(self, store, control):
        store.set_stops([Stop(id="s")])
        store.publish_book(2, b"{}")
        assert commit(store, self.ORDER, expect=None) == Committed()

    @pytest.mark.parametrize("version", [0, 2])
    def test_another_version_of_the_account(self, store, control, version):
        self.refused(store, replace(self.ORDER, expected_version=version), control)

    def test_an_order_that_was_answered_meanwhile(self, store, control):
        reply = self.refused(store, replace(self.ORDER, answers={"o1": ANSWER}), control)
        assert reply.accounts[0].answers == {"o1": ANSWER}

    def test_a_reservation_that_is_there_already(self, store, control):
        self.refused(store, replace(self.ORDER, add=(reservation("o1"),)), control)

    def test_a_reservation_to_remove_that_is_not_there(self, store, control):
        self.refused(store, replace(self.ORDER, remove=(reservation("o3"),)), control)

    @pytest.mark.parametrize(
        "difference",
        [{"quantity": 1}, {"price": 99}, {"side": Side.SELL}, {"exchange": "X"}, {"expires_at_us": 5}],
        ids=str,
    )
    def test_a_reservation_to_remove_that_is_not_as_given(self, store, control, difference):
        self.refused(store, replace(self.ORDER, remove=(reservation("o1", **difference),)), control)

    def test_one_account_of_two_moved(self, store, control):
        first, second = accounts(store, 2)
        assert first == ALPHA
        reply = commit(store, change(second, ledger=b"{}"), replace(self.ORDER, expected_version=7))
        assert isinstance(reply, Loaded)
        assert [(one.account_id, one.version) for one in reply.accounts] == [(second, 0), (first, 1)]
        assert view(store, second).ledger is None


def test_an_order_is_remembered_once(store):
    commit(store, change(ALPHA, answers={"o1": ANSWER}))
    again = commit(store, change(ALPHA, answers={"o1": Answer("f2", b"{}")}))
    assert isinstance(again, Loaded)
    assert view(store, ALPHA, order_ids=("o1",)).answers == {"o1": ANSWER}


def test_a_thousand_orders_over_many_accounts_are_one_commit(store):
    ids = accounts(store, 100)
    control = restored(store)
    changes = [
        change(
            account_id,
            state=b"{}",
            symbols=tuple(f"S{number}" for number in range(20)),
            ledger=b"{}",
            add=tuple(reservation(f"o{number}", account_id) for number in range(10)),
            answers={f"o{number}": ANSWER for number in range(10)},
        )
        for account_id in ids
    ]
    entries = tuple(b"%d" % number for number in range(1000))
    assert commit(store, *changes, expect=control, journal=entries) == Committed()
    orders = tuple(f"o{number}" for number in range(10))
    loaded = store.load(Load(accounts=tuple(query(one, order_ids=orders, reservations=orders) for one in ids)))
    assert all(len(one.answers) == len(one.reservations) == 10 for one in loaded.accounts)
    lane = store.lane_of(ids[0])
    assert [entry for _, entry in store.read_journal(lane, "0", 2000)] == list(entries)


def test_a_thousand_orders_of_one_account_are_one_commit(store):
    orders = tuple(f"o{number}" for number in range(1000))
    symbols = tuple(f"S{number}" for number in range(9000))
    store.put_prices(dict.fromkeys(symbols, ("1.5", 0)))
    what = change(ALPHA, state=b"{}", symbols=symbols, add=tuple(map(reservation, orders)))
    assert commit(store, replace(what, answers=dict.fromkeys(orders, ANSWER))) == Committed()
    found = view(store, ALPHA, order_ids=orders)
    assert (len(found.answers), len(found.prices)) == (1000, 9000)
    assert len(store.reservations(ALPHA)) == 1000


def test_a_commit_may_change_an_account_only_once(store):
    with pytest.raises(ValueError, match="more than once"):
        commit(store, change(ALPHA, ledger=b"{}"), change(ALPHA, ledger=b"{}"))


def test_accounts_ever_written_are_listed(store):
    assert store.account_ids() == ()
    commit(store, change("beta", state=b"{}"))
    commit(store, change("alpha", ledger=b"{}"))
    commit(store, change("gamma", answers={"o1": ANSWER}))
    view(store, "delta")
    assert store.account_ids() == ("alpha", "beta")


def test_requests_over_several_lanes_are_refused(clean_redis):
    store = RedisStore(clean_redis, lanes=3, timeout_s=REDIS_S)
    ids = [f"account-{number}" for number in range(9)]
    with pytest.raises(ValueError, match="several lanes"):
        store.load(Load(accounts=tuple(map(query, ids))))
    with pytest.raises(ValueError, match="several lanes"):
        commit(store, *(change(one, ledger=b"{}") for one in ids))


def test_prices_come_for_symbols_that_a_ledger_adds_until_a_state_says_which_there_are(store):
    store.put_prices({"BTCUSDT": ("1", 0), "ETHUSDT": ("2", 0), "SOLUSDT": ("3", 0), "BTC": ("4", 0)})
    commit(store, change(ALPHA, state=b"{}", symbols=("BTCUSDT",)))
    commit(store, change(ALPHA, 1, ledger=b"{1}", symbols=("ETHUSDT", "BTC", "BTCUSDT")))
    commit(store, change(ALPHA, 2, ledger=b"{2}"))
    assert sorted(view(store, ALPHA).prices) == ["BTC", "BTCUSDT", "ETHUSDT"]
    commit(store, change(ALPHA, 3, state=b"{}", symbols=("SOLUSDT",)))
    assert sorted(view(store, ALPHA).prices) == ["SOLUSDT"]


def test_prices_come_for_the_symbols_of_an_account_that_has_no_state_yet(store):
    store.put_prices({"BTCUSDT": ("1", 0)})
    commit(store, change(ALPHA, ledger=b"{}", symbols=("BTCUSDT",)))
    assert sorted(view(store, ALPHA).prices) == ["BTCUSDT"]
