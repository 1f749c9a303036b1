"""Checks of several processes on one account: who waits, for how long, and that nobody is kept from it."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Generator
from itertools import count
from typing import Any

import pytest

from riskcore.engine import MAX_ATTEMPTS
from riskcore.ports import Commit, Committed, Load, Loaded
from state.async_memory_store import AsyncMemoryStore
from state.driver import run_async, run_sync
from state.memory_store import MemoryStore
from state.pace import Pace
from tests.contract.subjects import change, query, view

LOAD = Load(accounts=(query("a"),))
LEDGER = b"{}"
MS = 0.001

Steps = Generator[Load | Commit, Loaded | Committed, int | None]


class NoBooks:
    """Steps that need no book."""

    def get(self, version: int) -> None:
        return None

    def put(self, version: int, content: bytes) -> Any:
        raise AssertionError("nobody asked for a book")


def write_steps(attempts: int = MAX_ATTEMPTS, ledger: bytes | None = LEDGER) -> Steps:
    """Change the account as a check does; return how often that was lost, None where it was given up."""
    reply = yield LOAD
    for lost in range(attempts):
        assert isinstance(reply, Loaded)
        what = change("a", reply.accounts[0].version, ledger=ledger)
        reply = yield Commit(expect=None, changes=(what,), journal=(), reload=LOAD)
        if isinstance(reply, Committed):
            return lost
    return None


class Contested(MemoryStore):
    """A store on which another process writes the account just before each of the next `rivals` commits."""

    rivals = 0

    def commit(self, what: Commit) -> Committed | Loaded:
        if self.rivals:
            self.rivals -= 1
            self.let_another_write()
        return super().commit(what)

    def let_another_write(self) -> None:
        version = view(self, "a").version
        written = Commit(expect=None, changes=(change("a", version, ledger=LEDGER),), journal=(), reload=LOAD)
        assert super().commit(written) == Committed()


class World:
    """A store, and a process whose clock moves with its pauses alone. `chance` is what every draw gives."""

    def __init__(self, drive: Callable[[Steps, MemoryStore, Pace], int | None]) -> None:
        self.store = Contested()
        self.now, self.chance = 100.0, 0.5
        self.pauses: list[float] = []
        self.while_waiting: Callable[[], None] = lambda: None
        self._drive = drive
        self.pace = Pace(
            clock=lambda: self.now, chance=lambda: self.chance, sleep=self._sleep, sleep_in_task=self._sleep_in_task
        )

    def write(self, *, rivals: int = 0, attempts: int = MAX_ATTEMPTS) -> int | None:
        """Change the account, losing to so many rivals; return how often it was lost."""
        self.store.rivals = rivals
        return self._drive(write_steps(attempts), self.store, self.pace)

    def ask_what_if(self) -> None:
        """Commit on condition that the account has not moved, without moving it."""
        assert self._drive(write_steps(ledger=None), self.store, self.pace) == 0

    def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        self.while_waiting()

    async def _sleep_in_task(self, seconds: float) -> None:
        self._sleep(seconds)


def in_a_thread(steps: Steps, store: MemoryStore, pace: Pace) -> int | None:
    return run_sync(steps, store, NoBooks(), pace)


def in_a_task(steps: Steps, store: MemoryStore, pace: Pace) -> int | None:
    return asyncio.run(run_async(steps, AsyncMemoryStore(store), NoBooks(), pace))


@pytest.fixture(params=[in_a_thread, in_a_task])
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


# ------------------------------------------------------------------------------------------------- losing
def test_six_losses_are_made_good_at_once(world):
    assert world.write(rivals=6) == 6
    assert world.pauses == []


def test_the_seventh_loss_is_waited_after(world):
    assert world.write(rivals=7) == 7
    assert len(world.pauses) == 1


def test_what_another_writes_during_a_pause_is_seen_before_the_next_attempt(world):
    """What the lost commit has loaded is older than the pause: decided on that, it would be lost again."""
    world.while_waiting = world.store.let_another_write
    assert world.write(rivals=8) == 8


@pytest.mark.parametrize("attempts", [MAX_ATTEMPTS, 64])
def test_a_check_waits_sixteen_ms_in_all_however_often_it_loses(world, attempts):
    world.chance = 0.0  # the longest pauses
    assert world.write(rivals=attempts, attempts=attempts) is None
    assert sum(world.pauses) == pytest.approx(16 * MS)


def test_pauses_grow_up_to_the_last_attempt_and_none_follows_it(world):
    world.write(rivals=MAX_ATTEMPTS)
    assert len(world.pauses) == MAX_ATTEMPTS - 1 - 6
    assert world.pauses == sorted(world.pauses)
    assert world.pauses[0] < world.pauses[-1]


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 1.0), (0.5, 0.75), (0.999, 0.5005)])
def test_pauses_differ_by_chance_by_up_to_a_half(world, chance, pause):
    world.chance = chance
    world.write(rivals=7)
    assert world.pauses == pytest.approx([pause * MS])


# ------------------------------------------------------------------------------------------------ winning
def test_who_never_lost_never_waits(world):
    """Others, such as a feed, may have written in between."""
    for _ in range(5):
        assert world.write() == 0
        world.store.let_another_write()
    for _ in range(5):
        assert world.write() == 0
    assert world.pauses == []


def test_who_lost_once_makes_room_after_the_second_write_and_each_that_follows(world):
    world.write(rivals=1)
    world.write()
    assert world.pauses == []
    world.write()
    world.write()
    assert world.pauses == pytest.approx([1 * MS, 1 * MS])


def test_who_lost_twice_makes_room_after_the_first_write(world):
    world.write(rivals=2)
    world.write()
    assert world.pauses == pytest.approx([1 * MS])


def test_room_begins_small_however_often_one_lost(world):
    world.write(rivals=6)
    for _ in range(3):
        world.write()
    assert world.pauses == pytest.approx([1 * MS, 1 * MS, 2 * MS])


def test_a_what_if_of_ones_own_is_not_taken_for_anothers_write(world):
    world.write(rivals=1)
    world.ask_what_if()
    world.write()
    world.write()
    assert world.pauses == pytest.approx([1 * MS, 1 * MS])


def test_room_grows_while_nobody_comes_and_ends_with_the_account_being_ones_own(world):
    world.write(rivals=1)
    for _ in range(20):
        world.write()
    assert world.pauses == pytest.approx([each * MS for each in (1, 1, 2, 2, 4, 4, 8, 8)])


def test_room_that_another_has_used_is_made_anew(world):
    world.write(rivals=1)
    for _ in range(6):
        world.write()
    assert world.pauses[-1] == pytest.approx(4 * MS)
    world.store.let_another_write()
    for _ in range(3):
        world.write()
    assert world.pauses[-2:] == pytest.approx([4 * MS, 1 * MS])


@pytest.mark.parametrize(("chance", "room"), [(0.0, 0.5), (0.5, 1.0), (0.999, 1.499)])
def test_room_differs_by_chance(world, chance, room):
    world.chance = chance
    world.write(rivals=2)
    world.write()
    assert world.pauses == pytest.approx([room * MS])


def test_time_that_has_passed_since_the_write_is_not_waited_again(world):
    world.write(rivals=2)
    world.now += 0.6 * MS
    world.write()
    assert world.pauses == pytest.approx([0.4 * MS])
    world.now += 1.1 * MS
    world.write()
    assert len(world.pauses) == 1


def test_who_writes_seldom_keeps_nobody_waiting_and_waits_for_nobody(world):
    world.write(rivals=2)
    world.now += 5.1 * MS
    for _ in range(5):
        world.write()
    assert world.pauses == []


def test_other_accounts_are_not_waited_for(world):
    world.write(rivals=2)
    others = (Load(accounts=(query(f"account-{number}"),)) for number in range(10))
    assert not all(world.pace.before(load) for load in others)  # by chance one may share the account's slot
    assert world.pace.before(Load(accounts=())) == 0


def test_a_check_of_several_accounts_waits_for_the_one_that_needs_it(world):
    world.write(rivals=2)
    assert world.pace.before(Load(accounts=(query("b"), query("a"), query("c")))) == pytest.approx(1 * MS)


# ---------------------------------------------------------------------------------------------- processes
class _VirtualSelector(selectors.SelectSelector):
    """Lets time pass instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which nothing takes time but sleeping, and that takes none of ours."""

    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


class Distant(AsyncMemoryStore):
    """A store for a process that takes `trip_s` from a decision to its being written, more or less."""

    def __init__(self, store: MemoryStore, trip_s: float, chance: random.Random) -> None:
        super().__init__(store)
        self._trip_s, self._chance = trip_s, chance

    async def load(self, load: Load) -> Loaded:
        await self._travel()
        found = await super().load(load)
        await self._travel()
        return found

    async def commit(self, what: Commit) -> Committed | Loaded:
        await self._travel()
        found = await super().commit(what)
        await self._travel()
        return found

    async def _travel(self) -> None:
        await asyncio.sleep(self._trip_s / 2 * self._chance.uniform(0.8, 1.2))


class Hasty(Pace):
    """Waits for nobody."""

    def before(self, load: Load) -> float:
        return 0.0

    def after_loss(self, losses: int) -> float:
        return 0.0


async def given_up(make_pace: Callable[..., Pace], *trips_s: float) -> list[int]:
    """Let processes change one account for two seconds, one change after the other.

    Returns how many each of them gave up. `trips_s` is how long each takes from a decision to its being written.
    """
    store, loop = MemoryStore(), asyncio.get_running_loop()

    async def process(seed: int, trip_s: float) -> int:
        chance, lost = random.Random(seed), 0
        distant = Distant(store, trip_s, chance)
        pace = make_pace(clock=loop.time, chance=chance.random)
        while loop.time() < 2:
            lost += await run_async(write_steps(), distant, NoBooks(), pace) is None
        return lost

    return await asyncio.gather(*(process(seed, trip_s) for seed, trip_s in zip(count(), trips_s)))


def in_virtual_time(make_pace: Callable[..., Pace], *trips_s: float) -> list[int]:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(given_up(make_pace, *trips_s))


def test_a_process_of_half_the_speed_is_not_kept_from_an_account():
    trips = 0.3 * MS, 0.6 * MS
    assert in_virtual_time(Hasty, *trips)[1] > 10, "this is no contention"
    assert in_virtual_time(Pace, *trips) == [0, 0]
