"""Several orders at once: decided in order and with cumulative effect, or all or none."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random

import msgspec
import pytest
from msgspec.structs import replace

from riskcore.batch import Answered, _best, fingerprint
from riskcore.decide import encode_decision, reevaluate
from riskcore.ledger import encode_ledger, release, reserve
from riskcore.ports import AccountChange, Stop
from riskcore.reasons import Reason
from riskcore.release import release_steps
from riskcore.types import Decision, Order, Side, TradingState
from tests.riskcore.builders import (
    BUY,
    SECOND,
    SELL,
    account,
    book,
    holding,
    order,
    policy,
    position,
    rate,
    state,
    stop,
    without_history,
)
from tests.riskcore.store import DictStore, Kept

TWO_ALLOWED = book(policy("order_quantity", "<=", 5), policy("gross_exposure", "<=", 100_000))


def reasons(answers):
    return [answer.reason for answer in answers]


def test_the_orders_of_a_batch_use_up_one_limit_together() -> None:
    store = DictStore(TWO_ALLOWED)
    answers = store.check(order(1), order(1), order(1))
    assert reasons(answers) == [None, None, Reason.POLICY_VIOLATION]
    assert len(store.held()) == 2


def test_an_order_after_a_blocked_one_may_still_pass() -> None:
    assert reasons(DictStore(TWO_ALLOWED).check(order(6), order(1))) == [Reason.POLICY_VIOLATION, None]


def test_a_batch_is_one_load_and_one_commit() -> None:
    store = DictStore(TWO_ALLOWED)
    known = store.books[1]
    store.check(order(1), order(1), known=known)
    assert [type(trip).__name__ for trip in store.trips] == ["Load", "Commit"]


def test_an_own_order_whose_price_is_no_number_blocks_what_may_meet_it() -> None:
    store = DictStore(TWO_ALLOWED)
    assert store.ask(order(1)).approved
    store._best = no_number  # type: ignore[method-assign]
    assert reasons(store.check(order(1, SELL), order(1))) == [Reason.STALE_ACCOUNT_STATE] * 2


def no_number(kept: Kept, side: Side, keys: tuple[str, ...]) -> dict[str, str]:
    return dict.fromkeys(keys, "cheap")


def test_the_best_price_beside_one_that_is_no_number_is_none() -> None:
    assert _best(["1", "2.50"], max) == "2.50"
    assert _best(["1", "2.50"], min) == "1"
    for broken in ("NaN", "sNaN", "cheap", ""):
        assert not Decimal(_best(["1", broken], max)).is_finite()


def test_a_batch_may_name_several_accounts() -> None:
    store = DictStore(
        book(policy("gross_exposure", "<=", 60_000), accounts=(account("A"), account("B"))),
        state(),
        state(account_id="B"),
    )
    answers = store.check(order(1), order(1, account_id="B"), order(1), order(1, account_id="B"))
    assert reasons(answers) == [None, None, Reason.POLICY_VIOLATION, Reason.POLICY_VIOLATION]
    assert len(store.held("A")) == len(store.held("B")) == 1


def test_an_order_would_match_one_before_it_in_its_batch() -> None:
    answers = DictStore(TWO_ALLOWED).check(order(1, price=50_000), order(1, SELL, price=50_000))
    assert reasons(answers) == [None, Reason.SELF_MATCH]


def test_the_best_price_of_a_batch_is_the_one_that_matches() -> None:
    store = DictStore(book())
    first = store.check(order(1, price=49_000), order(1, price=48_000), order(1, SELL, price=48_500))
    assert reasons(first) == [None, None, Reason.SELF_MATCH]
    second = store.check(order(1, SELL, price=51_000), order(1, SELL, price=52_000), order(1, price=51_500))
    assert reasons(second) == [None, None, Reason.SELF_MATCH]


# ------------------------------------------------------------------------------------- the same id twice


def test_another_order_under_an_id_of_the_same_batch_is_a_duplicate() -> None:
    answers = DictStore(TWO_ALLOWED).check(order(1, order_id="x"), order(2, order_id="x"))
    assert reasons(answers) == [None, Reason.DUPLICATE_ORDER]


def test_the_same_order_twice_in_a_batch_is_approved_and_reserved_once() -> None:
    store, twice = DictStore(TWO_ALLOWED), order(1)
    first, second = store.check(twice, twice)
    assert (first.replayed, second.replayed) == (False, True)
    assert first.decision == second.decision
    assert len(store.held()) == len(store.journal) == 1


def test_two_accounts_may_use_one_order_id() -> None:
    store = DictStore(book(accounts=(account("A"), account("B"))), state(), state(account_id="B"))
    answers = store.check(order(1, order_id="x"), order(2, order_id="x", account_id="B"))
    assert reasons(answers) == [None, None]


# --------------------------------------------------------------------------------------------- all or none


def test_an_atomic_batch_with_one_bad_order_approves_none() -> None:
    store = DictStore(TWO_ALLOWED)
    answers = store.check(order(1), order(6), order(1), atomic=True)
    assert reasons(answers) == [Reason.BATCH_REJECTED, Reason.POLICY_VIOLATION, Reason.BATCH_REJECTED]
    assert not store.held()
    assert not store.ledger().open


def test_an_atomic_batch_of_good_orders_is_approved_whole() -> None:
    store = DictStore(TWO_ALLOWED)
    assert reasons(store.check(order(1), order(1), atomic=True)) == [None, None]
    assert len(store.held()) == 2


def test_a_refused_atomic_batch_does_not_approve_an_order_that_is_in_it_twice() -> None:
    store, twice = DictStore(TWO_ALLOWED), order(1)
    answers = store.check(twice, twice, order(6), atomic=True)
    assert [answer.approved for answer in answers] == [False, False, False]
    assert not store.held()


def test_a_refused_atomic_batch_still_repeats_an_approval_from_before_it() -> None:
    store, earlier = DictStore(TWO_ALLOWED), order(1)
    before = store.ask(earlier)
    again, refused = store.check(earlier, order(6), atomic=True)
    assert again.replayed
    assert again.decision == before.decision
    assert refused.reason is Reason.POLICY_VIOLATION


def test_an_order_of_a_refused_atomic_batch_may_be_sent_again() -> None:
    store, good = DictStore(TWO_ALLOWED), order(1)
    store.check(good, order(6), atomic=True)
    assert store.ask(good).approved


def test_a_refused_atomic_batch_is_a_reject_of_its_bad_orders_alone() -> None:
    store = DictStore(book(policy("order_quantity", "<=", 5), rate("consecutive_rejects", 10)))
    store.check(order(1), order(6), order(2), atomic=True)
    assert store.ledger().consecutive_rejects == 1
    store.check(order(7), order(6), atomic=True)
    assert store.ledger().consecutive_rejects == 3


def test_a_refused_atomic_batch_counts_as_messages() -> None:
    store = DictStore(book(policy("order_quantity", "<=", 5), rate("order_rate", 3)))
    store.check(order(1), order(6), order(2), atomic=True)
    assert store.ask(order(1)).reason is Reason.RATE_LIMIT_EXCEEDED


def test_a_bad_order_of_a_refused_atomic_batch_is_remembered_and_a_good_one_is_not() -> None:
    store = DictStore(book(policy("order_quantity", "<=", 5)))
    good, bad = order(1), order(6)
    first = store.check(good, bad, atomic=True)
    assert store.ask(bad).replayed
    assert store.ask(bad).decision == first[1].decision
    assert store.ask(good).approved


def test_an_atomic_batch_that_is_too_much_together_says_which_order_was_and_why() -> None:
    store = DictStore(TWO_ALLOWED)
    orders = [order(1), order(1), order(1)]
    answers = store.check(*orders, atomic=True)
    assert reasons(answers) == [Reason.BATCH_REJECTED, Reason.BATCH_REJECTED, Reason.POLICY_VIOLATION]
    assert not store.held()
    assert [bytes(entry.decision) for entry in store.decisions()] == [answer.decision for answer in answers]
    assert store.ledger().consecutive_rejects == 0
    assert [store.ask(one).approved for one in reversed(orders)] == [True, True, False]


def test_an_order_that_sank_an_atomic_batch_twice_is_told_so_twice_and_kept_once() -> None:
    store, twice = DictStore(TWO_ALLOWED), order(1)
    answers = store.check(order(1), order(1), twice, twice, atomic=True)
    assert reasons(answers) == [Reason.BATCH_REJECTED] * 2 + [Reason.POLICY_VIOLATION] * 2
    assert [answer.replayed for answer in answers] == [False, False, False, True]
    assert len(store.decisions()) == 3
    assert store.ask(twice).approved


# ------------------------------------------------------------------------------------ approvals that ended


def test_an_approval_is_repeated_only_while_its_reservation_is_held() -> None:
    store = DictStore(book())
    once = order(1)
    assert store.ask(once).approved
    assert store.ask(once).replayed
    store.drive(release_steps("A", once.order_id, actor="oms", reason="closed"))
    again = store.ask(once)
    assert (again.approved, again.reason) == (False, Reason.RESERVATION_ENDED)


def test_a_reducing_order_approved_before_a_stop_in_reducing_is_repeated_into_it() -> None:
    store = DictStore(book(), state(position(10)))
    closing, opening = order(10, SELL), order(1)
    assert store.ask(opening).approved
    assert store.ask(closing).approved
    store.set_stops(Stop(id="s", state=TradingState.REDUCING))
    assert store.ask(closing).replayed
    assert store.ask(opening).reason is Reason.EMERGENCY_STOP_ACTIVE
    store.set_stops(Stop(id="s", state=TradingState.HALTED))
    assert store.ask(closing).reason is Reason.EMERGENCY_STOP_ACTIVE


@pytest.mark.parametrize("what", [{"reduce_only": True}, {"stop_id": "s"}])
def test_an_order_that_may_only_reduce_is_not_repeated_once_it_would_open_a_position(what) -> None:
    store = DictStore(book(), state(position(2)))
    closing = order(2, SELL, **what)
    assert store.ask(closing).approved
    assert store.ask(closing).replayed
    store.put_state(state())  # somebody else has closed it
    again = store.ask(closing)
    assert (again.approved, again.reason) == (False, Reason.NOT_REDUCING)


def test_a_reducing_order_that_is_filled_in_part_is_repeated_into_a_stop_in_reducing() -> None:
    store, closing = DictStore(book(), state(position(10))), order(10, SELL)
    assert store.ask(closing).approved
    fill(store, closing, 4)
    store.put_state(state(position(6)))
    store.set_stops(Stop(id="s", state=TradingState.REDUCING))
    assert store.ask(closing).replayed
    store.put_state(state(position(5)))
    assert store.ask(closing).reason is Reason.EMERGENCY_STOP_ACTIVE


def fill(store: DictStore, filled: Order, quantity: int) -> None:
    """Shrink the reservation of an order that is filled in part, as the feed of fills does."""
    held = store.held()[filled.order_id]
    left = replace(held, quantity=held.quantity - quantity)
    ledger = encode_ledger(reserve(release(store.ledger(), [held]), left))
    kept = store.accounts["A"]
    kept.apply(AccountChange(account_id="A", expected_version=kept.version, ledger=ledger, remove=(held,), add=(left,)))


def test_an_own_order_that_names_no_exchange_is_met_by_one_that_does_and_the_other_way_about() -> None:
    for first, second in (("", "X"), ("X", "")):
        store = DictStore(book())
        assert store.ask(order(1, BUY, price=50_000, exchange=first)).approved
        assert store.ask(order(1, SELL, price=50_000, exchange=second)).reason is Reason.SELF_MATCH


# ------------------------------------------------------------------------------------------------ evidence


def test_every_decision_of_a_batch_comes_out_again_from_the_journal() -> None:
    store = DictStore(TWO_ALLOWED)
    store.check(order(1), order(1), order(1), order(6))
    store.check(order(1), order(6), atomic=True)
    entries = store.decisions()
    assert len(entries) == 6
    assert all(reevaluate(entry.inputs, store.books[1]) == bytes(entry.decision) for entry in entries)


def test_a_decision_on_records_that_are_no_json_is_kept_and_comes_out_again() -> None:
    for broken in (b'{"account_id":', b"\xff\xfe", b"", b"nonsense", b'"a" "b"'):
        store = DictStore(TWO_ALLOWED)
        store.accounts["A"].state = broken
        answered = store.ask(order(1))
        assert answered.reason is Reason.STALE_ACCOUNT_STATE
        (entry,) = store.decisions()
        assert bytes(entry.decision) == answered.decision
        assert reevaluate(entry.inputs, store.books[1]) == answered.decision


def test_a_decision_on_a_ledger_that_is_no_json_is_kept_and_comes_out_again() -> None:
    store = DictStore(TWO_ALLOWED)
    store.accounts["A"].ledger = b"{"
    answered = store.ask(order(1))
    assert answered.reason is Reason.STALE_ACCOUNT_STATE
    (entry,) = store.decisions()
    assert reevaluate(entry.inputs, store.books[1]) == answered.decision


def test_the_answer_is_the_decision_that_the_journal_keeps() -> None:
    store = DictStore(TWO_ALLOWED, state(position(1)))
    (answered,) = store.check(order(1))
    assert bytes(store.decisions()[0].decision) == answered.decision
    assert json.loads(answered.decision)["approved"] is answered.approved is True


def test_the_fingerprint_tells_every_difference_of_two_requests() -> None:
    one = order(1, order_id="x")
    others = [
        order(2, order_id="x"),
        order(1, SELL, order_id="x"),
        order(1, order_id="x", price=1),
        order(1, order_id="x", reduce_only=True),
        order(1, order_id="x", what_if=True),
        order(1, order_id="x", timestamp_us=1),
        order(1, order_id="x", stop_id="s"),
    ]
    assert fingerprint(one) == fingerprint(order(1, order_id="x"))
    assert fingerprint(one) not in {fingerprint(other) for other in others}


def test_a_decision_has_one_spelling() -> None:
    store = DictStore(TWO_ALLOWED)
    store.ask(order(1))
    entry = store.decisions()[0]
    assert encode_decision(msgspec.json.decode(entry.decision, type=Decision)) == bytes(entry.decision)


def test_whatever_is_asked_together_what_is_held_is_what_was_approved_and_the_journal_has_it_all() -> None:
    seen = set()
    for seed in range(150):
        random = Random(seed)
        limits = random.sample(
            [rate("order_rate", 6), rate("repeated_orders", 2), policy("order_quantity", "<=", 3)], 2
        )
        rules = book(policy("gross_exposure", "<=", 200_000), *limits, accounts=(account("A"), account("B")))
        store = DictStore(rules, state(position(2)), state(account_id="B"))
        pool = [an_order(random) for _ in range(10)]
        for _ in range(6):
            store.now_us += random.choice((0, 0, SECOND))
            if random.random() < 0.2:
                store.set_stops(*random.choice([(), (stop(),), (stop(TradingState.REDUCING),)]))
            if random.random() < 0.2:
                lose_a_race(store, random.sample(pool, 2))
            atomic, journaled = random.random() < 0.5, len(store.journal)
            answers = store.check(*random.choices(pool, k=random.choice((1, 2, 4))), atomic=atomic)
            check_answers(store, answers, atomic=atomic, journaled=journaled)
            seen |= {answer.reason for answer in answers}
        for entry in store.decisions():
            assert reevaluate(entry.inputs, store.books[1]) == bytes(entry.decision)
    assert {None, Reason.BATCH_REJECTED, Reason.DUPLICATE_ORDER, Reason.RESERVATION_ENDED} < seen


def an_order(random: Random) -> Order:
    return order(
        random.choice((1, 2, 5)),
        random.choice((BUY, BUY, SELL)),
        price=random.choice((50_000, 51_000)),
        account_id=random.choice("AAB"),
        order_id=f"o{random.randrange(8)}",
        what_if=random.random() < 0.1,
        ttl_us=random.choice((0, SECOND)),
    )


def lose_a_race(store: DictStore, orders: list[Order]) -> None:
    """Let other orders come first, just before the next commit."""

    def race(_commit: object) -> None:
        store.before_commit = lambda _commit: None
        store.check(*orders)

    store.before_commit = race


def check_answers(store: DictStore, answers: tuple[Answered, ...], *, atomic: bool, journaled: int) -> None:
    for account_id in ("A", "B"):
        anew = holding(*store.held(account_id).values()).open
        assert without_history(store.ledger(account_id).open) == without_history(anew)
    if atomic and not all(answer.approved for answer in answers):
        assert all(answer.replayed for answer in answers if answer.approved)
    kept = [bytes(entry.decision) for entry in store.decisions()[journaled:]]
    for answer in answers:
        if answer.approved and not answer.order.what_if:
            assert answer.order.order_id in store.held(answer.order.account_id)
        if not answer.replayed:
            assert kept.count(answer.decision) == 1


def test_an_order_sent_twice_in_an_atomic_batch_that_it_sinks_is_told_the_same_twice() -> None:
    store = DictStore(book(policy("gross_exposure", "<=", 100_000)))
    too_much = order(2)
    answers = store.check(order(1), too_much, too_much, atomic=True)
    assert reasons(answers) == [Reason.BATCH_REJECTED, Reason.POLICY_VIOLATION, Reason.POLICY_VIOLATION]
    assert answers[1].decision == answers[2].decision
    assert len(store.decisions()) == 2
