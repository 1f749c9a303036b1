"""What riskportal's emergency stop asks of an OMS: cancel all orders, close all positions, and say how far that is.

A command is known by its kind, stop_id and account: sent again it does nothing twice, and is answered with how far it
has come; where it had given up, it goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

STOPS = "risk.emergency"
CANCEL_ALL, CLOSE_ALL = "execution.cancel_all", "execution.close_all"

# Between two looks at what is still to be closed, in seconds: longer each time that nothing has changed. After
# `TRIES_S` without an end a command is given up, until it is sent again.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
TRIES_S = 60.0

# How long a desk sends no orders of its own after a command, in seconds.
REST_S = 5.0

# Commands that are remembered.
_MOST = 1_000

_FIELDS = frozenset({"stop_id", "account_id", "scope"})
_SCOPES = ("global", "exchange", "account", "strategy", "symbol")


class Unreadable(Exception):
    """A command that cannot be understood: the field, and what is wrong with it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name} {message}")
        self.field, self.message = name, message


@dataclass(frozen=True)
class Command:
    """What is to be done, and to what. `account_id` "": every account. Scope as in a stop: its type and its id."""

    subject: str
    stop_id: str
    account_id: str = ""
    scope: str = "global"
    scope_id: str = ""

    def covers(self, account_id: str, symbol: str, strategy: str) -> bool:
        """Return whether an order or a position is meant. One that names no exchange may be on any."""
        if self.account_id not in ("", account_id):
            return False
        named = {"account": account_id, "symbol": symbol, "strategy": strategy}.get(self.scope)
        return named is None or named == self.scope_id


class Floor(Protocol):
    """Where commands are carried out."""

    def accounts(self) -> frozenset[str]:
        """Return the accounts that are traded for here."""
        ...

    def recall(self, command: Command) -> int:
        """Take the command's orders out of the market, and those asked about on their way there; return how many."""
        ...

    def working(self, command: Command) -> int:
        """Return how many of the command's orders are in the market."""
        ...

    def held(self, command: Command) -> set[tuple[str, str]]:
        """Return account and symbol of the command's positions."""
        ...

    async def close(self, account_id: str, symbol: str, stop_id: str) -> str:
        """Send an order that closes a position for a stop, where none works.

        Returns why it was not sent to the market, else "".
        """
        ...

    async def announce(self, progress: Mapping[str, Any]) -> None:
        """Tell how far a command has come."""
        ...


@dataclass
class Work:
    """How far a command has come. `targets`: the positions that it found; those still held are not closed."""

    command: Command
    orders_canceled: int = 0
    targets: set[tuple[str, str]] = field(default_factory=set)
    rejects: Counter[str] = field(default_factory=Counter)
    task: asyncio.Task[None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether it is still being worked at."""
        return self.task is not None and not self.task.done()


class Executor:
    """Carries out commands on a floor, each once. Belongs to the event loop that it is used in."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._works: dict[tuple[str, str, str], Work] = {}
        self._rests: dict[str, float] = {}

    async def hear(self, subject: str, payload: bytes) -> Mapping[str, Any] | None:
        """Take a command; return how far it has come, or what is wrong with it. None: it is for another OMS."""
        try:
            command = read_command(subject, payload)
        except Unreadable as error:
            return {"error": {"field": error.field, "message": error.message}}
        if command.account_id and command.account_id not in self._floor.accounts():
            return None
        return self.progress(self._begin(command))

    async def heed(self, subject: str, payload: bytes) -> None:
        """Take what riskportal says of its stops: what one asked for that was lifted is left off."""
        try:
            event = json.loads(payload)
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict) or event.get("event") != "stop_lifted":
            return
        for work in self._works.values():
            if work.command.stop_id == event.get("stop_id") and work.task is not None:
                work.task.cancel()

    def rests(self, account_id: str) -> bool:
        """Return whether a desk is to send no orders of its own: a command on it is under way, or was just now."""
        now_s = asyncio.get_running_loop().time()
        busy = any(work.is_under_way and work.command.account_id in ("", account_id) for work in self._works.values())
        return busy or now_s < self._rests.get(account_id, 0.0)

    def progress(self, work: Work) -> dict[str, Any]:
        """Return how far a command has come: `remaining` orders and, where they are to be closed, positions."""
        command = work.command
        held = self._floor.held(command) if command.subject == CLOSE_ALL else set()
        return {
            "stop_id": command.stop_id,
            "account_id": command.account_id or None,
            "command": command.subject.rpartition(".")[2],
            "orders_canceled": work.orders_canceled,
            "positions_closed": len(work.targets - held),
            "remaining": self._floor.working(command) + len(held),
            "rejects": work.rejects.total(),
            "reject_reasons": dict(work.rejects),
        }

    async def end(self) -> None:
        """Stop working at anything."""
        tasks = [work.task for work in self._works.values() if work.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, command: Command) -> Work:
        """Return a command's work, begun where there is something to do and nobody at it."""
        key = (command.subject, command.stop_id, command.account_id)
        work = self._works.get(key)
        is_new = work is None
        if work is None:
            work = self._works[key] = Work(command)
            self._forget()
        unfinished = command.subject == CLOSE_ALL and bool(self._floor.held(work.command))
        if is_new or (unfinished and not work.is_under_way):
            self._rest(work.command)
            work.orders_canceled += self._floor.recall(work.command)
            work.task = asyncio.get_running_loop().create_task(self._work(work))
        return work

    def _forget(self) -> None:
        over = [key for key, work in self._works.items() if not work.is_under_way]
        for key in over[: max(0, len(self._works) - _MOST)]:
            del self._works[key]

    def _rest(self, command: Command) -> None:
        until_s = asyncio.get_running_loop().time() + REST_S
        for account_id in self._floor.accounts() if not command.account_id else (command.account_id,):
            self._rests[account_id] = until_s

    async def _work(self, work: Work) -> None:
        """Close what is to be closed, and tell of every change."""
        await self._floor.announce(self.progress(work))
        if work.command.subject == CLOSE_ALL:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TRIES_S):
                    await self._flatten(work)
            self._rest(work.command)
            await self._floor.announce(self.progress(work))

    async def _flatten(self, work: Work) -> None:
        pause_s, before = _FIRST_PAUSE_S, self.progress(work)
        while held := self._floor.held(work.command):
            work.targets |= held
            for account_id, symbol in sorted(held):
                if reason := await self._floor.close(account_id, symbol, work.command.stop_id):
                    work.rejects[reason] += 1
            await asyncio.sleep(pause_s)
            progress = self.progress(work)
            closed = progress["positions_closed"] != before["positions_closed"]
            pause_s = _FIRST_PAUSE_S if closed else min(2 * pause_s, _LONGEST_PAUSE_S)
            if progress != before:
                await self._floor.announce(progress)
            before = progress


def read_command(subject: str, payload: bytes) -> Command:
    """Return the command in a message: {stop_id, account_id, scope}. Raises Unreadable."""
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Unreadable("body", f"is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise Unreadable("body", "must be an object with stop_id, account_id and scope")
    if unknown := sorted(content.keys() - _FIELDS):
        raise Unreadable(unknown[0], "is no field of a command")
    scope = content.get("scope") or {"type": "global"}
    if not isinstance(scope, dict) or scope.get("type") not in _SCOPES:
        raise Unreadable("scope", f"must be an object whose type is one of {', '.join(_SCOPES)}")
    scope_id = _text(scope.get("id") or "", "scope.id")
    if scope["type"] in ("account", "strategy", "symbol") and not scope_id:
        raise Unreadable("scope.id", f"is missing: which {scope['type']}?")
    stop_id = _text(content.get("stop_id"), "stop_id")
    if not stop_id:
        raise Unreadable("stop_id", "is missing")
    return Command(subject, stop_id, _text(content.get("account_id") or "", "account_id"), scope["type"], scope_id)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or len(value) > 64:
        raise Unreadable(name, "must be text of at most 64 characters")
    return value
