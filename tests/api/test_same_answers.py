"""Whichever door is asked, the answer is the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.hostile_bodies import NUMBERS, with_price
from tests.api.nats_door import NatsDoor
from tests.api.test_check_doors import without_time
from tests.api.world import BATCH, CHECK, AsgiDoor, Door, WsgiDoor, bearer, order, put_keys, record

DOORS = ("wsgi", "asgi", "nats")


@pytest.fixture
def doors(store, nats_server) -> Iterator[dict[str, Door]]:
    """Every door to one store."""
    asgi, nats = AsgiDoor(), NatsDoor(nats_server.url)
    yield {"wsgi": WsgiDoor(), "asgi": asgi, "nats": nats}
    asgi.close()
    nats.close()


@pytest.mark.parametrize("first", DOORS)
def test_an_order_gets_its_first_answer_at_every_door(ready, doors, first):
    answer = doors[first].post(CHECK, order())
    again = {name: door.post(CHECK, order()) for name, door in doors.items()}
    assert answer.json["approved"]
    assert {without_time(each) for each in again.values()} == {without_time(answer)}
    assert {each.headers["idempotency-replayed"] for each in again.values()} == {"true"}


def test_the_same_order_of_different_accounts_gets_the_same_decision(ready, doors):
    own = ("decision_id", "account_id", "reservation", "timestamp", "processing_time_us", "account_state_at")
    found = []
    for account_id, door in zip("ABC", doors.values(), strict=True):
        decision = door.post(CHECK, order(account_id=account_id)).json
        found.append({name: value for name, value in decision.items() if name not in own})
    assert found[0]["approved"]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("price", NUMBERS.values(), ids=NUMBERS)
def test_a_hostile_order_is_refused_with_the_same_problem(ready, doors, price):
    answers = [door.post(CHECK, with_price(order(), price)) for door in doors.values()]
    assert {answer.status for answer in answers} == {400}
    assert len({answer.body for answer in answers}) == 1


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"\xff", b"[" * 10_000, b'{"orders":[]}', b'{"orders":[{},{"price":NaN}]}']
)
@pytest.mark.parametrize("path", [CHECK, BATCH])
def test_a_hostile_body_is_refused_with_the_same_problem(ready, doors, path, body):
    answers = [door.post(path, body) for door in doors.values()]
    assert {answer.status for answer in answers} == {400}
    assert len({answer.body for answer in answers}) == 1


@pytest.mark.parametrize(
    ("key", "status"),
    [(None, 401), ("nonsense", 401), ("expired", 401), ("reader", 403), ("other", 403), ("slow", 429)],
)
def test_a_key_that_may_not_ask_is_refused_with_the_same_problem(ready, doors, key, status):
    put_keys(
        ready,
        record("expired", expires_at_us=1),
        record("reader", "read"),
        record("other", accounts=frozenset({"B"})),
        record("slow", per_second=1),
    )
    headers = {} if key is None else bearer(key)
    for door in doors.values() if key == "slow" else ():
        door.post(CHECK, order(), headers)
    answers = [door.post(CHECK, order(), headers) for door in doors.values()]
    assert {answer.status for answer in answers} == {status}
    assert len({answer.body for answer in answers}) == 1
    own = ("www-authenticate", "retry-after")
    assert len({tuple(answer.headers.get(name) for name in own) for answer in answers}) == 1
