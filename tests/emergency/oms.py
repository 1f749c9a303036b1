"""An OMS made by hand: it answers for accounts as it is told to, and a clock that moves when it is told to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bus.asking import Unanswered
from emergency.words import Command


@dataclass
class Oms:
    """Answers commands. `orders` and `positions`: how many of each it has, by account; the others are not its own.

    `says`: what it answers instead, by account ("" for all). `closes`: whether it closes what it is asked to.
    """

    orders: dict[str, int] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    says: dict[str, bytes | Unanswered] = field(default_factory=dict)
    closes: bool = True
    rejects: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[Command, dict[str, Any]]] = field(default_factory=list)
    done: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)

    def answer(self, requests: Sequence[tuple[str, bytes]]) -> list[bytes | Unanswered]:
        """Answer requests, as `bus.asking.ask_all` would."""
        return [self._answer(subject, payload) for subject, payload in requests]

    def of(self, command: Command) -> list[str]:
        """Return the accounts that a command was asked for, in that order."""
        return [body["account_id"] for kind, body in self.asked if kind is command]

    def _answer(self, subject: str, payload: bytes) -> bytes | Unanswered:
        command, body = Command(subject.removeprefix("execution.")), json.loads(payload)
        self.asked.append((command, body))
        account_id = body["account_id"]
        for name in (account_id, ""):
            if name in self.says:
                return self.says[name]
        if account_id not in self.orders:
            return Unanswered("no answer within 1.5 s")
        cancelled, closed = self.done.get((subject, body["stop_id"], account_id), (0, 0))
        cancelled += self.orders[account_id]
        self.orders[account_id] = 0
        held = self.positions.get(account_id, 0) if command is Command.CLOSE_ALL else 0
        if held and self.closes:
            closed, held = closed + held, 0
            self.positions[account_id] = 0
        self.done[subject, body["stop_id"], account_id] = cancelled, closed
        answer: dict[str, Any] = {
            "stop_id": body["stop_id"],
            "account_id": account_id,
            "command": command.value,
            "orders_canceled": cancelled,
            "positions_closed": closed,
            "remaining": held,
        }
        if command is Command.CLOSE_ALL:
            answer |= {"rejects": sum(self.rejects.values()), "reject_reasons": self.rejects}
        return json.dumps(answer).encode()


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s

    def passes(self, seconds: float) -> None:
        self.now_s += seconds
