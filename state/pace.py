"""How the checks of one process leave room for those of another that work on the same account.

Within a process an account's checks take turns. Between processes nobody holds anything, so that one that dies
holds up nobody: a check whose account has moved is decided again, and may lose again. Left to themselves, a
process that is a little faster than another wins for as long as it has orders.

That the loser waits is of little help: decided again at once, on what the loss has loaded, it is as early as it
can be. So the winner waits. A process that has met another on an account leaves it alone for a moment after each
write but the first that it makes there running, longer each time, until the other has written or nobody seems to
be there. An account on which no check was ever lost is never waited for. Only whoever goes on losing waits too:
then there are many, and they keep each other from it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from math import inf

from riskcore.ports import AccountChange, Commit, Load
from state.requests import counts_as_version

# Accounts are told apart by their hash, so that those which never come again cost nothing; two may share a slot.
_SLOTS = 1024

# How long an account is left alone after so many writes running, give or take a half, in seconds: first about
# what another process takes to decide and commit, then what one under load takes. After the last it must be gone.
# Timers of event loops tick in milliseconds, so less would be nothing there.
ROOM_S = (0.0, 0.0, 0.001, 0.001, 0.002, 0.002, 0.004, 0.004, 0.008, 0.008)
_ALONE = len(ROOM_S)

# Whoever has not written an account for so long, in seconds, keeps nobody from it.
_SELDOM_S = 0.005

# Whoever has lost this often in one check makes room after its first write already.
_CROWDED = 2

# The longest pause after each loss running, in seconds: 16 ms in all, which an order may wait.
PAUSES_S = (*(0.0,) * 6, *(0.001,) * 4, *(0.002,) * 4, 0.004)


class Pace:
    """When to wait, for one of the parties that do not take turns with each other.

    Parameters
    ----------
    clock
        Seconds that only go forward.
    chance
        A random number of at least 0 and below 1.
    sleep, sleep_in_task
        Wait for so many seconds: a thread, a task.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], object] = time.sleep,
        sleep_in_task: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock, self._chance = clock, chance
        self.sleep, self.sleep_in_task = sleep, sleep_in_task
        # By slot: writes running since another process was met, when the last one was, and the version it made.
        self._running = [_ALONE] * _SLOTS
        self._wrote_at = [-inf] * _SLOTS
        self._version = [0] * _SLOTS

    def before(self, load: Load) -> float:
        """Return the seconds to wait before a load, so that others have their turn on its accounts; mostly 0."""
        return max([self._room_s(_slot(query.account_id)) for query in load.accounts], default=0.0)

    def _room_s(self, slot: int) -> float:
        running = self._running[slot]
        if running == _ALONE:
            return 0.0
        since_s = self._clock() - self._wrote_at[slot]
        if since_s > _SELDOM_S:
            self._running[slot] = _ALONE
            return 0.0
        return max(0.0, ROOM_S[running] * (0.5 + self._chance()) - since_s)

    def after_loss(self, losses: int) -> float:
        """Return the seconds to wait after the `losses`-th lost commit of a check, before loading anew; mostly 0.

        They grow, differ by chance by up to a half, and are at most 16 ms over all losses.
        """
        if losses > len(PAUSES_S):
            return 0.0
        return PAUSES_S[losses - 1] * (1.0 - 0.5 * self._chance())

    def wrote(self, commit: Commit, losses: int) -> None:
        """Take note of a commit that was written, after so many that were lost."""
        now = self._clock()
        for change in commit.changes:
            slot = _slot(change.account_id)
            self._running[slot] = self._writes_running(slot, change, losses)
            self._wrote_at[slot] = now
            self._version[slot] = _version_after(change)

    def _writes_running(self, slot: int, change: AccountChange, losses: int) -> int:
        if losses:
            return min(losses, _CROWDED)
        running = self._running[slot]
        if running == _ALONE:
            return _ALONE
        # Another that has used the room needs it again.
        return running + 1 if change.expected_version == self._version[slot] else 1


def _slot(account_id: str) -> int:
    return hash(account_id) % _SLOTS


def _version_after(change: AccountChange) -> int:
    return change.expected_version + counts_as_version(change)
