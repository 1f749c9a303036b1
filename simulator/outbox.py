"""What riskportal is to be told: everything that happened to orders, in its order, until it was told; and snapshots."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable

from simulator.line import Away, Clock, Line, Refused
from simulator.orders import Event
from simulator.venue import Venue

_TOGETHER = 500
_PAUSE_S = 0.2


class Troubles:
    """What is wrong between us and riskportal, by what it was that failed; true while there is something.

    `say` is told of the first trouble and of the end of the last one, not of every try.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._found: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def text(self) -> str:
        """The first of what is wrong, empty where nothing is."""
        return next(iter(self._found.values()), "")

    def notice(self, what: str, problem: str) -> None:
        """Note a trouble, or with an empty `problem` that there is none of this kind."""
        before = bool(self._found)
        if problem:
            self._found[what] = problem
        else:
            self._found.pop(what, None)
        if bool(self._found) != before:
            self._say(f"riskportal is {problem}" if problem else "riskportal answers again")

    async def tried(self, what: str, call: Awaitable[None]) -> bool:
        """Make a call that comes again anyway; return whether it was taken."""
        try:
            await call
        except (Away, Refused) as problem:
            self.notice(what, f"{type(problem).__name__.lower()}: {problem}")
            return False
        self.notice(what, "")
        return True


class Outbox:
    """Tells a line what happens to the accounts of a venue: of each account one thing at a time."""

    def __init__(self, line: Line, venue: Venue, clock: Clock, troubles: Troubles) -> None:
        self.reported: set[str] = set()
        self._line, self._venue, self._clock, self._troubles = line, venue, clock, troubles
        self._events: dict[str, list[Event]] = defaultdict(list)
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._news = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        """Whether everything was told."""
        return not any(self._events.values())

    def put(self, events: Iterable[Event]) -> None:
        """Take over what happened."""
        for event in events:
            self._events[event.account_id].append(event)
            self._news.set()

    async def run(self) -> None:
        """Tell what comes, again and again where it is not taken."""
        while True:
            await self._news.wait()
            self._news.clear()
            waiting = [account_id for account_id, events in self._events.items() if events]
            await asyncio.gather(*(self.emptied(account_id) for account_id in waiting))
            if not self.is_empty:
                await asyncio.sleep(_PAUSE_S)
                self._news.set()

    async def report(self, account_id: str) -> bool:
        """Tell an account as it stands; return whether it was taken."""
        # One at a time of each account, or an older report might arrive last.
        async with self._turns[account_id]:
            # No pause between the two: a snapshot has in it whatever has an earlier stamp.
            statement, now_us = self._venue.statement(account_id), self._clock()
            taken = await self._troubles.tried(f"state {account_id}", self._line.state(statement, now_us))
        if taken:
            self.reported.add(account_id)
        return taken

    async def emptied(self, account_id: str) -> bool:
        """Tell what has happened to an account's orders; return whether all of it was taken."""
        async with self._turns[account_id]:
            while told := self._events[account_id][:_TOGETHER]:
                statement, now_us = self._venue.statement(account_id), self._clock()
                try:
                    await self._line.events(told, statement, now_us)
                except Away as problem:
                    self._troubles.notice(f"events {account_id}", f"away: {problem}")
                    return False
                except Refused as problem:
                    # It would be refused for ever: snapshots tell what is held, reservations run out.
                    self._troubles.notice(f"events {account_id}", f"refused: {problem}")
                else:
                    self._troubles.notice(f"events {account_id}", "")
                del self._events[account_id][: len(told)]
        return True

    async def last_words(self) -> None:
        """Tell what is left, and how every account stands, once."""
        for account_id in self._venue.desks:
            if not await self.emptied(account_id) or not await self.report(account_id):
                return
