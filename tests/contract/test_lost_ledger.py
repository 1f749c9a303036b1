"""Reservations whose ledger is gone: no room is given a second time, and a restore writes the ledger anew."""

from __future__ import annotations

import msgspec
import pytest

from riskcore.ledger import decode_ledger, encode_ledger, reserve
from riskcore.ports import Committed, Loaded
from riskcore.types import Ledger
from riskportal.accounts import put_back
from riskportal.rebuild import Rebuilt
from state import keys
from state.store import LOST_LEDGER
from tests.contract.subjects import change, commit, reservation, restored, view

ALPHA = "account-0"
HELD = reservation("held")
LEDGER = encode_ledger(reserve(Ledger(), HELD))


def test_reservations_without_a_ledger_have_one_that_cannot_be_read(store):
    commit(store, change(ALPHA, state=b"{}", add=(HELD,)))
    found = view(store, ALPHA)
    assert (found.version, found.ledger) == (1, LOST_LEDGER)
    with pytest.raises(msgspec.DecodeError):
        decode_ledger(found.ledger)


def test_no_check_writes_the_first_ledger_over_reservations(store):
    control = restored(store)
    commit(store, change(ALPHA, add=(HELD,)))
    reply = commit(store, change(ALPHA, ledger=b"{}"), expect=control, journal=(b"1",))
    assert isinstance(reply, Loaded)
    assert store.read_journal(store.lane_of(ALPHA), "0", 10) == []
    assert commit(store, change(ALPHA, ledger=LEDGER)) == Committed()


class TestVanished:
    """The record was deleted or evicted, its reservations were not."""

    @pytest.fixture(autouse=True)
    def vanished(self, redis_store, redis_server):
        commit(redis_store, change(ALPHA, state=b"{}", ledger=LEDGER, add=(HELD,)))
        with redis_server.connect() as client:
            client.delete(f"{keys.prefix(redis_store.lane_of(ALPHA))}account:{ALPHA}")

    def test_its_ledger_cannot_be_read(self, redis_store):
        found = view(redis_store, ALPHA)
        assert (found.version, found.state, found.ledger) == (0, None, LOST_LEDGER)

    def test_nor_can_it_after_the_next_report(self, redis_store):
        assert commit(redis_store, change(ALPHA, state=b"{}")) == Committed()
        found = view(redis_store, ALPHA)
        assert (found.version, found.state, found.ledger) == (1, b"{}", LOST_LEDGER)

    def test_a_check_that_saw_nothing_of_the_account_is_refused(self, redis_store):
        what = change(ALPHA, ledger=b"{}", add=(reservation("next"),))
        reply = commit(redis_store, what, expect=restored(redis_store))
        assert isinstance(reply, Loaded)
        assert redis_store.reservations(ALPHA) == (HELD,)

    def test_other_accounts_can_be_read(self, redis_store):
        assert view(redis_store, "account-1").ledger is None

    def test_a_restore_writes_its_ledger_from_what_is_held(self, redis_store):
        put_back(redis_store, ALPHA, Rebuilt(ledger=Ledger(), reservations=(HELD,)))
        assert view(redis_store, ALPHA).ledger == LEDGER
