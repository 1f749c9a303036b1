"""A new book is in force on the next check: every decision is by one book, the one that it names."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from riskcore.calendar import microseconds
from tests.races.client import Storm, connected
from tests.races.control import ChangeThreshold, Drain
from tests.races.houses import order

CLIENTS = 24
CHANGES = 6
BETWEEN = 60

# Orders of 5 pieces: below the one limit on their quantity, above the other.
WIDE, TIGHT = Decimal(10), Decimal(2)


async def test_every_decision_is_by_the_book_that_it_names(house):
    accounts = [house.fresh_account("book") for _ in range(4)]
    house.prepare(*accounts)
    storm = Storm(lambda client, number: order(f"{client}-{number}", accounts[client // 2 % 4], "5"))
    thresholds: dict[int, Decimal] = {}
    live_from_us: list[tuple[int, int]] = []
    first = await house.aperform(ChangeThreshold(policy="book", threshold=Decimal(9)))
    thresholds[first.book_version] = Decimal(9)
    async with connected(house.mixed(CLIENTS), house.key) as clients:
        storm.start(clients)
        for number in range(CHANGES):
            await storm.go_on(BETWEEN)
            threshold = TIGHT if number % 2 == 0 else WIDE
            changed = await house.aperform(ChangeThreshold(policy="book", threshold=threshold))
            thresholds[changed.book_version] = threshold
            live_from_us.append((changed.now_us, changed.book_version))
        await storm.go_on(BETWEEN)
        await storm.end()
    decisions = [answer.decision for answer in storm.answers.values()]
    assert {each["policy_book_version"] for each in decisions} == set(thresholds)
    for each in decisions:
        version = each["policy_book_version"]
        if each["reason"] != "contention":
            assert each["approved"] is (thresholds[version] >= 5), each
        decided_us = microseconds(datetime.fromisoformat(each["timestamp"]))
        assert version >= max((book for since_us, book in live_from_us if decided_us > since_us), default=0), each
    await house.aperform(Drain())
    verified = msgspec.json.decode(house.installation.manage("verify_decisions", "--json").splitlines()[-1])
    assert verified["differing"] == 0
    assert verified["checked"] >= len(decisions)
