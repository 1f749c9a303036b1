"""One check: what every door answers, on every store."""

from __future__ import annotations

import time
from decimal import Decimal

import msgspec
import pytest

from bench.hostile_bodies import NUMBERS, with_price
from riskcore.ports import AccountQuery, Load, Stop
from riskcore.types import TradingState
from tests.api.world import BATCH, CHECK, Answer, fill, key_text, order, publish, put_keys, record, report
from tests.riskcore import builders


def writes(store):
    """Everything that a check could have changed."""
    return [
        store.journal_length(0),
        [store.reservations(account_id) for account_id in "ABC"],
        store.load(Load(accounts=(AccountQuery(account_id="A"),))).accounts[0].version,
    ]


def test_an_order_within_its_limits_is_approved_and_reserved(ready, door):
    answer = door.post(CHECK, order())

    assert answer.status == 200
    assert answer.json["decision"] == "allow"
    assert answer.json["approved"] is True
    assert answer.json["processing_time_us"] > 0
    assert [held.order_id for held in ready.reservations("A")] == ["o-1"]


def test_a_refusal_says_its_status_in_its_body_too(ready, door):
    assert door.post(CHECK, b"{}").json["status"] == 400


def test_the_decision_is_what_the_journal_kept(ready, door):
    answer = door.post(CHECK, order())

    ((_, entry),) = ready.read_journal(0, "0", 10)
    kept = bytes(msgspec.json.decode(entry, type=dict[str, msgspec.Raw])["decision"])
    assert answer.body.startswith(kept[:-1] + b',"processing_time_us":')


def test_a_block_is_an_answer_not_an_error(store, door):
    fill(store, builders.policy("order_notional", "<=", 1000))

    answer = door.post(CHECK, order())

    assert answer.status == 200
    assert answer.json["approved"] is False
    assert answer.json["reason"] == "policy_violation"


@pytest.mark.parametrize("price", NUMBERS.values(), ids=NUMBERS)
def test_a_price_that_is_no_exact_number_is_refused_by_name_and_changes_nothing(ready, door, price):
    before = writes(ready)

    answer = door.post(CHECK, with_price(order(), price))

    assert answer.status == 400
    assert any(name.startswith("price") for name in answer.fields)
    assert writes(ready) == before


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"price":1,"price":2}', "price"),
        (b'{"order_id":"a","\\u006frder_id":"b"}', "order_id"),
        (b'{"order_id":"a\\"b","order_id":"a"}', "order_id"),
        (b'{"frobnicate":1}', "frobnicate"),
        (b'{"order_id":7}', "order_id"),
        (b'{"order_id":"\xff\xfe"}', "order_id"),
        (b'{"order_id":"a\\u0000"}', "order_id"),
        (b'{"order_id":" a"}', "order_id"),
        (b'{"order_id":""}', "order_id"),
        (b'{"order_id":"' + b"x" * 65 + b'"}', "order_id"),
        (b'{"symbol":"BTC USDT"}', "symbol"),
        (b'{"symbol":"BTC|USDT"}', "symbol"),
        ('{"symbol":"\uff22TC"}'.encode(), "symbol"),
        (b'{"exchange":"A|B"}', "exchange"),
        ('{"exchange":"\uff22INANCE"}'.encode(), "exchange"),
        (b'{"exchange":7}', "exchange"),
        (b'{"side":"HOLD"}', "side"),
        (b'{"order_type":"ICEBERG"}', "order_type"),
        (b'{"reduce_only":"true"}', "reduce_only"),
        (b'{"reduce_only":false,"stop_id":"s"}', "reduce_only"),
        (b'{"stop_id":""}', "stop_id"),
        (b'{"what_if":1}', "what_if"),
        (b'{"leverage":0}', "leverage"),
        (b'{"timestamp":1.5}', "timestamp"),
        (b'{"timestamp":0}', "timestamp"),
        (b'{"timestamp":99999999999999999}', "timestamp"),
        (b'{"reservation_ttl":0.5}', "reservation_ttl"),
        (b'{"reservation_ttl":86401}', "reservation_ttl"),
        (b'{"order_type":"LIMIT"}', "price"),
        (b'{"order_type":"STOP_LIMIT","price":0}', "price"),
        (b'{"order_type":"MARKET","price":1}', "price"),
        (b'{"account":"A","account_id":"B"}', "account"),
        (b"{}", "account_id"),
        (b"{}", "quantity"),
        (b'{"quantity":0}', "quantity"),
        (b"[]", "body"),
        (b"", "body"),
        (b'{"order_id":"a"}{}', "body"),
        (b"\xff", "body"),
        (b"[" * 10_000, "body"),
        (b'{"a":' * 3_000, "a.a.a.a.a.a.a.a"),
        (b'{"a":1,' * 2_000, "body"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(ready, door, body, named):
    before = writes(ready)

    answer = door.post(CHECK, body)

    assert answer.status == 400
    assert named in answer.fields
    assert writes(ready) == before


def test_every_wrong_field_is_named(ready, door):
    answer = door.post(CHECK, order(side="HOLD", quantity="-1", frobnicate=1, symbol=None, order_type="LIMIT", price=0))

    assert answer.fields == {"side", "quantity", "frobnicate", "symbol", "price"}


def test_a_body_that_is_too_long_is_refused(ready, door):
    answer = door.post(CHECK, b" " * 20_000)

    assert (answer.status, answer.json["code"]) == (413, "too_large")


# -------------------------------------------------------------------------------------------------- keys
def test_without_a_key_nobody_gets_in(ready, door):
    answer = door.post(CHECK, order(), {})

    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header",
    [
        f"Basic {key_text()}",
        "Bearer",
        "Bearer nonsense",
        f"Bearer {key_text(secret='t' * 64)}",
        f"Bearer {key_text('nobody')}",
        f"Bearer xx{key_text()[2:]}",
        "Bearer rp_oms_\u00ff",
    ],
)
def test_a_key_that_is_not_exactly_right_is_401(ready, door, header):
    assert door.post(CHECK, order(), {"Authorization": header}).status == 401


def test_an_expired_key_is_401(ready, door):
    put_keys(ready, record(expires_at_us=1))

    assert door.post(CHECK, order()).status == 401


def test_a_key_without_the_permission_is_403(ready, door):
    put_keys(ready, record("oms", "read", "feed"))

    answer = door.post(CHECK, order())

    assert (answer.status, answer.json["code"]) == (403, "not_allowed")


def test_a_key_for_another_account_is_403(ready, door):
    put_keys(ready, record(accounts=frozenset({"B"})))

    assert door.post(CHECK, order()).json["code"] == "not_this_account"
    assert door.post(CHECK, order(account_id="B")).status == 200


def test_a_revoked_key_is_out_within_a_second(ready, door):
    assert door.post(CHECK, order("o-1")).status == 200
    put_keys(ready)

    time.sleep(1.0)

    assert door.post(CHECK, order("o-2")).status == 401


def test_a_key_may_ask_so_often_and_no_more(ready, door):
    put_keys(ready, record(per_second=3))

    answers = [door.post(CHECK, order(f"o-{number}")) for number in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].headers["retry-after"] == "1"


# ------------------------------------------------------------------------------------------- idempotency
def test_the_same_order_again_gets_the_same_bytes(ready, door):
    first = door.post(CHECK, order())
    again = door.post(CHECK, order(quantity="1.0", price=50000))

    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert without_time(again) == without_time(first)
    assert ready.journal_length(0) == 1


def test_the_same_id_with_another_body_is_a_duplicate(ready, door):
    door.post(CHECK, order())

    answer = door.post(CHECK, order(quantity="2"))

    assert (answer.status, answer.json["reason"]) == (200, "duplicate_order")


def test_a_what_if_reserves_nothing_and_is_no_approval_of_the_order(ready, door):
    answer = door.post(CHECK, order(what_if=True))

    assert answer.json["approved"] is True
    assert answer.json["reservation"] is None
    assert ready.reservations("A") == ()
    assert "idempotency-replayed" not in door.post(CHECK, order()).headers


def test_a_reservation_lives_as_long_as_was_asked(ready, door):
    door.post(CHECK, order(reservation_ttl="1.5"))

    (held,) = ready.reservations("A")
    assert held.expires_at_us - held.created_at_us == 1_500_000


def test_amounts_are_taken_exactly(ready, door):
    door.post(CHECK, order(quantity="0.000000000001", price="50000.000000000001"))

    (held,) = ready.reservations("A")
    assert (held.quantity, held.price) == (Decimal("0.000000000001"), Decimal("50000.000000000001"))


# -------------------------------------------------------------------------------------- what has changed
def test_a_restricted_symbol_blocks_the_next_order(ready, door):
    assert door.post(CHECK, order("o-1")).json["approved"] is True

    publish(ready, version=2, restrictions=(builders.restriction(),))

    assert door.post(CHECK, order("o-2")).json["reason"] == "symbol_blocked"


def test_a_stop_blocks_the_next_order(ready, door):
    assert door.post(CHECK, order("o-1")).json["approved"] is True

    ready.set_stops((Stop(id="1", state=TradingState.HALTED),))

    assert door.post(CHECK, order("o-2")).json["reason"] == "emergency_stop_active"


def test_positions_count(ready, door):
    report(ready, "A", builders.position("2"))

    answer = door.post(CHECK, order(side="SELL", quantity="2", reduce_only=True))

    assert answer.json["approved"] is True


def test_a_position_is_closed_for_the_stop_that_unwinds_it(ready, door):
    report(ready, "A", builders.position("2"))
    ready.set_stops([Stop(id="s", unwind=True)])

    closing = order(side="SELL", quantity="2")

    assert door.post(CHECK, closing).json["reason"] == "emergency_stop_active"
    assert door.post(CHECK, {**closing, "order_id": "o-2", "stop_id": "s"}).json["approved"] is True


# ------------------------------------------------------------------------------------------------- faults
@pytest.mark.parametrize("path", [CHECK, BATCH])
def test_while_the_state_is_away_the_answer_is_503_and_a_block(ready, door, away, path):
    body = order() if path == CHECK else {"orders": [order()]}
    door.post(path, {**body, "what_if": True} if path == CHECK else {"orders": [order(what_if=True)]})
    away("load", "commit")

    answer = door.post(path, body)

    decision = answer.json if path == CHECK else answer.json["decisions"][0]
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json["status"] == 503
    assert (decision["approved"], decision["reason"]) == (False, "state_unavailable")


def test_while_nobody_knows_which_keys_are_good_the_answer_is_503_and_a_block(ready, door, away):
    away()

    answer = door.post(CHECK, order())

    assert answer.status == 503
    assert (answer.json["approved"], answer.json["reason"]) == (False, "state_unavailable")


def test_keys_that_were_known_are_good_for_a_second_and_no_longer(ready, door, away):
    assert door.post(CHECK, order("o-1")).status == 200
    away("fetch_keys")

    assert door.post(CHECK, order("o-2")).status == 200
    time.sleep(1.05)
    assert door.post(CHECK, order("o-3")).status == 503


def test_an_empty_state_is_503_and_a_block(store, door):
    answer = door.post(CHECK, order())

    assert answer.status == 503
    assert answer.json["approved"] is False


def test_a_state_that_lost_its_control_is_recovering(store, door):
    put_keys(store, record())

    answer = door.post(CHECK, order())

    assert (answer.status, answer.json["reason"], answer.json["approved"]) == (503, "recovering", False)


def without_time(answer: Answer) -> bytes:
    return answer.body.rpartition(b',"processing_time_us":')[0]
