"""Reports every account's state every so many seconds, over REST, and another price now and then:

python -m bench.reporter HOST PORT SECONDS ACCOUNTS EVERY_S      (the API key on standard input)
"""

from __future__ import annotations

import http.client
import sys
import time
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from bench import world

# Another price comes so often, and is larger than the one before by so much.
CHANGE_S = 3.0
STEP = Decimal("0.01")


class Reported(Struct, frozen=True, kw_only=True):
    """What was reported: how many states, how many of them were not taken, and when each price was sent.

    `latest_s` is how much later than due a state was sent at most.
    """

    states: int
    refused: int
    latest_s: float
    prices: list[tuple[Decimal, float]]


class _Door:
    """One connection to the door of the feeds."""

    def __init__(self, host: str, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=10)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def put(self, path: str, body: Any) -> bool:
        """Report, and return whether it was taken: not on a machine so busy that the live state answers too late."""
        self._connection.request("PUT", path, msgspec.json.encode(body), self._headers)
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status not in (200, 503):
            raise RuntimeError(f"{path} was answered {answer.status}: {said[:300].decode(errors='replace')}")
        return answer.status == 200


def report(door: _Door, seconds: float, accounts: int, every_s: float) -> Reported:
    """Report for so many seconds."""
    names = world.account_ids(accounts)
    started, refused, latest_s = time.monotonic(), 0, 0.0
    prices: list[tuple[Decimal, float]] = []
    count = int(seconds * len(names) / every_s)
    for number in range(count):
        due = started + every_s * number / len(names)
        time.sleep(max(0.0, due - time.monotonic()))
        latest_s = max(latest_s, time.monotonic() - due)
        if time.monotonic() - started >= CHANGE_S * len(prices):
            price = world.MARK + STEP * (len(prices) + 1)
            # From before it is sent: nobody can show it earlier. One that is not taken is shown to nobody.
            prices.append((price, time.time()))
            door.put("/risk/prices", {"prices": [{"symbol": world.SYMBOLS[0], "price": price}]})
        refused += not door.put(f"/risk/accounts/{names[number % len(names)]}/state", _state(number))
    return Reported(states=count, refused=refused, latest_s=latest_s, prices=prices)


def _state(number: int) -> dict[str, Any]:
    """Return a report that differs from the one before it; it names no marks, which are the feed's."""
    one = world.report("")
    held = [
        {"symbol": each.symbol, "quantity": each.quantity, "entry_price": each.entry_price, "margin": each.margin}
        for each in one.positions.values()
    ]
    equity = one.equity + Decimal(number % 997) / 100
    return {"equity": equity, "margin_used": one.margin_used, "positions": held}


def main() -> None:
    """Report as the arguments say, and write what was reported as JSON."""
    host, port, seconds, accounts, every_s = sys.argv[1:6]
    door = _Door(host, int(port), sys.stdin.readline().strip())
    sys.stdout.write(msgspec.json.encode(report(door, float(seconds), int(accounts), float(every_s))).decode())


if __name__ == "__main__":
    main()
