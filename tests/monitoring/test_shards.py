"""The accounts shared out over several monitors: each looks at its own, the first speaks for the firm."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from emergency.models import EmergencyStop
from feeds.books import BOOKS
from monitoring.metrics import PART_AGE
from monitoring.shards import EVERYTHING, Shard
from monitoring.tick import Monitor, Outcome
from riskcore.ports import Load
from riskcore.types import RiskLevel
from tests.emergency.world import ACCOUNTS, World, long
from tests.monitoring.conftest import INTERVAL
from tests.monitoring.test_tick import fall, signal, skipped
from violations.models import Violation

FIRST, SECOND, THIRD = Shard(0, 3), Shard(1, 3), Shard(2, 3)
MINUTE_US = 60_000_000


def monitor(world: World, shard: Shard, holder: str = "one") -> Monitor:
    return Monitor(world.store, BOOKS, INTERVAL, holder=holder, shard=shard)


def tick_all(world: World) -> list[Outcome]:
    """Look at every shard, the first one last: it adds up what the others have said."""
    return [monitor(world, shard).tick() for shard in (SECOND, THIRD, FIRST)]


def firm_violations() -> set[str]:
    return set(Violation.objects.filter(account_id="", closed_at=None).values_list("policy_name", flat=True))


# --------------------------------------------------------------------------------------------- who looks at what


def test_every_account_is_in_one_shard() -> None:
    names = [f"account-{number}" for number in range(500)]
    for name in names:
        assert sum(shard.has(name) for shard in FIRST.all()) == 1
    assert all(sum(map(shard.has, names)) > 50 for shard in FIRST.all())


def test_alone_a_shard_has_every_account() -> None:
    assert EVERYTHING.all() == [EVERYTHING]
    assert all(map(EVERYTHING.has, ACCOUNTS))


def test_each_shard_records_what_its_own_accounts_break(world: World) -> None:
    world.feed(long(quantity="11"))  # 550,000 of BTCUSDT in every account, of 500,000 that are allowed
    for shard in (SECOND, THIRD, FIRST):
        monitor(world, shard).tick()
        for account_id in filter(shard.has, ACCOUNTS):
            row = Violation.objects.get(account_id=account_id, policy_name="Max BTCUSDT Position")
            assert row.observations == 1
    assert Violation.objects.filter(policy_name="Max BTCUSDT Position").count() == len(ACCOUNTS)


def test_shards_do_not_close_what_others_have_opened(world: World) -> None:
    world.feed(long(quantity="11"))
    for _ in range(2):
        tick_all(world)
    assert set(Violation.objects.values_list("closed_at", flat=True)) == {None}


# ------------------------------------------------------------------------------------------------------ the firm


def test_the_firm_is_the_sum_over_all_shards(world: World) -> None:
    for account_id in ACCOUNTS:
        world.feed(long(quantity="4.2"), account_id=account_id)  # 1,050,000 in all, of 1,000,000 that are allowed
    assert tick_all(world) == [Outcome.LOOKED] * 3
    assert signal(world).risk_level is RiskLevel.CRITICAL
    row = Violation.objects.get(account_id="", policy_name="Max Gross Exposure")
    assert row.value == Decimal(1_050_000)


def test_where_the_whole_firm_falls_the_first_shard_stops_everything(world: World) -> None:
    for account_id in ACCOUNTS:
        fall(world, account_id, 740_000)
    tick_all(world)
    assert signal(world).action_required
    assert EmergencyStop.objects.filter(scope="global").count() == 1
    assert not any(world.approves(account_id=account_id) for account_id in ACCOUNTS)


def test_other_shards_say_nothing_of_the_firm(world: World) -> None:
    assert [monitor(world, shard).tick() for shard in (SECOND, THIRD)] == [Outcome.LOOKED] * 2
    assert signal(world) is None
    assert firm_violations() == set()


@pytest.mark.parametrize("there", [(), (SECOND,), (THIRD,)])
def test_while_a_part_is_missing_nothing_is_said_of_the_firm(world: World, caplog, there: tuple[Shard, ...]) -> None:
    for shard in there:
        monitor(world, shard).tick()
    assert monitor(world, FIRST).tick() is Outcome.LOOKED
    assert signal(world) is None
    assert "was never looked at" in caplog.text


def test_a_part_that_is_too_old_is_missing(world: World, caplog, monkeypatch) -> None:
    tick_all(world)
    before = signal(world)
    load, later_us = type(world.store).load, 4 * INTERVAL // timedelta(microseconds=1)

    def later(self, asked: Load):
        loaded = load(self, asked)
        return type(loaded)(
            now_us=loaded.now_us + later_us,
            control=loaded.control,
            accounts=loaded.accounts,
            signal=loaded.signal,
        )

    with monkeypatch.context() as context:
        context.setattr(type(world.store), "load", later)
        assert monitor(world, FIRST).tick() is Outcome.LOOKED
    assert signal(world) == before
    assert "was last looked at" in caplog.text
    assert PART_AGE.labels(SECOND.name)._value.get() >= 4 * INTERVAL.total_seconds()


def test_what_the_firm_broke_goes_on_while_a_part_is_missing(world: World) -> None:
    world.feed(long(quantity="4.2"))
    tick_all(world)
    before = firm_violations()
    assert before != set()
    world.feed()
    world.store.put_firm_part(SECOND.name, b"rubbish", token=2**60)
    monitor(world, FIRST).tick()
    assert firm_violations() == before


def test_a_part_that_cannot_be_read_is_missing(world: World, caplog) -> None:
    tick_all(world)
    world.store.put_firm_part(SECOND.name, b"rubbish", token=2**60)
    before = signal(world)
    assert monitor(world, FIRST).tick() is Outcome.LOOKED
    assert signal(world) == before
    assert "cannot be read" in caplog.text


def test_a_part_of_another_book_is_missing(world: World, caplog) -> None:
    tick_all(world)
    _, content = world.store.firm_parts(SECOND.name)[SECOND.name]
    other = content.replace(b'"book_version":', b'"book_version":9')
    assert world.store.put_firm_part(SECOND.name, other, token=2**60)
    before = signal(world)
    monitor(world, FIRST).tick()
    assert signal(world) == before
    assert "under book" in caplog.text


def test_parts_of_another_number_of_shards_are_not_mixed_with_these(world: World) -> None:
    tick_all(world)
    before = signal(world)
    assert Monitor(world.store, BOOKS, INTERVAL, holder="one", shard=Shard(0, 4)).tick() is Outcome.LOOKED
    assert signal(world) == before


# --------------------------------------------------------------------------------------------------------- alone


def test_of_two_monitors_of_a_shard_one_looks(world: World) -> None:
    found = [
        monitor(world, SECOND).tick(),
        monitor(world, SECOND, "other").tick(),
        monitor(world, THIRD, "other").tick(),
    ]
    assert found == [Outcome.LOOKED, Outcome.ELSEWHERE, Outcome.LOOKED]


def test_one_that_froze_while_looking_says_nothing_any_more(world: World) -> None:
    world.feed(long(quantity="11"))
    assert world.store.put_firm_part(SECOND.name, b"later", token=2**60)
    assert monitor(world, SECOND).tick() is Outcome.TOO_LATE
    assert not Violation.objects.exists()
    assert world.store.firm_parts(SECOND.name)[SECOND.name][1] == b"later"


def test_ticks_of_a_shard_that_nobody_made_are_counted(world: World, monkeypatch) -> None:
    shard = monitor(world, SECOND)
    shard.tick()
    before_us = 4 * INTERVAL // timedelta(microseconds=1)
    monkeypatch.setattr(
        "monitoring.tick.last_said_us", lambda store, _: store.load(Load(accounts=())).now_us - before_us
    )
    before = skipped()
    shard.tick()
    assert skipped() == before + 3
