"""What the journal keeps: enough to work every decision out again, to the byte (promise 4)."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskcore.book import decode_book, encode_book
from riskcore.compiled import CompiledBook
from riskcore.decide import encode_decision, reevaluate
from riskcore.journal import DecisionEntry, Inputs, decode_entry
from riskcore.types import TradingState
from tests.riskcore.builders import BUY, SELL, book, order, policy, position, rate, state, stop
from tests.riskcore.store import DictStore
from tests.riskcore.test_oracle import number_of_orders
from tests.riskcore.worlds import Scene
from tests.support.properties import examples


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b'{"kind":"rumour"}', b'{"kind":"decision"}', b"\xff"])
def test_an_entry_that_is_none_is_an_error(content: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode_entry(content)


def test_every_decision_of_a_busy_account_comes_out_again_to_the_byte() -> None:
    rules = book(
        policy("gross_exposure", "<=", 400_000),
        rate("order_rate", 30),
        rate("repeated_orders", 2),
        rate("consecutive_rejects", 3),
    )
    store = DictStore(rules, state(position(3)))
    random = Random(4)
    for _place in range(200):
        store.now_us += random.choice((0, 1_000_000, 7_000_000))
        store.put_state(
            state(position(random.choice((-3, 0, 3))), received_at_us=store.now_us - random.choice((0, 10**7)))
        )
        for symbol, known in list(store.prices.items()):
            store.prices[symbol] = msgspec.structs.replace(known, received_at_us=store.now_us)
        store.set_stops(*random.choice([(), (), (), (stop(),), (stop(TradingState.REDUCING),)]))
        store.ask(
            order(
                random.choice((1, 2, 9)),
                random.choice((BUY, SELL)),
                price=random.choice((49_000, 50_000, 51_000)),
                order_id=f"o{random.randrange(150)}",
                ttl_us=random.choice((1, 0)),
                what_if=random.random() < 0.1,
            )
        )
    entries = store.decisions()
    assert len(entries) > 100
    reasons = {msgspec.json.decode(entry.decision)["reason"] for entry in entries}
    assert {None, "policy_violation", "emergency_stop_active", "self_match", "duplicate_order"} < reasons
    again = CompiledBook(decode_book(encode_book(rules)))
    for entry in entries:
        assert reevaluate(entry.inputs, again) == bytes(entry.decision)


@given(st.randoms(use_true_random=False))
@examples(200)
def test_a_decision_is_the_same_whenever_and_wherever_it_is_worked_out(random: Random) -> None:
    scene = Scene(random)
    elsewhere = CompiledBook(decode_book(encode_book(scene.book.book)))
    for step in scene.orders(number_of_orders(random)):
        kept = msgspec.json.decode(msgspec.json.encode(step.inputs), type=Inputs)
        content = encode_decision(step.decision)
        assert reevaluate(step.inputs, scene.book) == content
        assert reevaluate(kept, elsewhere) == content


def test_an_entry_reads_as_it_was_written() -> None:
    store = DictStore(book())
    store.ask(order(1))
    entry = decode_entry(store.journal[0])
    assert isinstance(entry, DecisionEntry)
    assert msgspec.json.encode(entry) == store.journal[0]
