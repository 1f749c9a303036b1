"""Each second: who is silent is noticed once, told, and stopped where that is so configured; nothing is forgotten."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from msgspec.structs import replace

from audit.models import AuditEvent
from emergency import flags, lease_stops
from emergency.keeping import keep
from emergency.leases import Kept, Lease, OnSilence, kept_leases, release_lease, renew_lease, swap
from emergency.models import EmergencyStop
from monitoring import leases as module
from monitoring import tasks
from monitoring.leases import TURN, Outcome, look_at_leases
from monitoring.models import LeaseRecord
from riskcore.types import Side, TradingState
from riskportal.restore import Outcome as Restore
from riskportal.restore import restore_if_empty
from state.store import StateUnavailable
from tests.emergency.world import World, database_away, engage, lift, long, order
from violations.models import Alert, Violation

MINUTE_US = 60_000_000


@pytest.fixture(autouse=True)
def no_pause(monkeypatch, settings) -> None:
    """Nobody waits: a test is no interruption, however slow, and what was lost is not waited for."""
    monkeypatch.setattr(module, "_INTERRUPTION_US", MINUTE_US)
    settings.RISK_RECOVERY_HOLD = timedelta()


def hold(world: World, holder: str = "oms-1", *accounts: str, ttl_s: int = 60, **what: Any) -> Lease:
    return renew_lease(
        world.store,
        holder=holder,
        accounts=accounts or ("desk-1",),
        ttl_s=ttl_s,
        on_silence=what.get("on_silence", OnSilence.ALERT),
        actor="key:oms",
        may_see=lambda _account: True,
    ).lease


def fall_silent(world: World, holder: str = "oms-1", *accounts: str, **what: Any) -> None:
    """Have an OMS hold a lease that has run out an hour ago, and everybody has known for long that it might."""
    look_at_leases(world.store)
    lease = hold(world, holder, *accounts, **what)
    kept = kept_leases(world.store, holder)[holder]
    assert swap(world.store, kept, replace(lease, ttl_us=1, renewed_at_us=lease.renewed_at_us - 60 * MINUTE_US))


def kept(world: World, holder: str = "oms-1") -> Kept:
    return kept_leases(world.store, holder)[holder]


def states() -> dict[str, str]:
    """Return the state of the alert of each holder."""
    rows = Alert.objects.values_list("policy_id", "state")
    return {policy_id.removeprefix("system.lease:"): state for policy_id, state in rows}


def stopped(world: World) -> list[tuple[str, str, str]]:
    """Return what is stopped on record, once that is written."""
    keep(world.store)
    return sorted(EmergencyStop.objects.values_list("scope_id", "state", "trigger"))


# ---------------------------------------------------------------------------------------------- who is silent
def test_who_renews_in_time_is_not_silent(world: World) -> None:
    hold(world)
    assert [look_at_leases(world.store) for _ in range(3)] == [Outcome.LOOKED] * 3
    assert not Violation.objects.exists()
    assert world.up() == []


def test_silence_is_told_once_and_over_when_the_oms_is_back(world: World) -> None:
    fall_silent(world, "oms-1", "desk-1", "desk-2")
    for _ in range(3):
        assert look_at_leases(world.store) is Outcome.LOOKED
    alert = Alert.objects.get()
    assert (alert.level, alert.state, alert.times_published, alert.account_id) == ("critical", "firing", 1, "")
    assert "oms-1 has been silent for 3600 s" in alert.message
    assert "desk-1, desk-2" in alert.message
    hold(world)
    look_at_leases(world.store)
    assert states() == {"oms-1": "resolved"}


def test_the_alert_of_one_account_is_seen_by_who_may_see_it(world: World) -> None:
    fall_silent(world, "oms-1", "desk-2")
    look_at_leases(world.store)
    assert Alert.objects.get().account_id == "desk-2"


def test_the_silence_of_one_says_nothing_of_another(world: World) -> None:
    fall_silent(world, "oms-1")
    hold(world, "oms-2", "desk-2")
    look_at_leases(world.store)
    assert states() == {"oms-1": "firing"}


def test_released_while_silent_the_alarm_is_over(world: World) -> None:
    fall_silent(world)
    look_at_leases(world.store)
    release_lease(world.store, "oms-1", actor="key:ops", may_see=lambda _account: True)
    look_at_leases(world.store)
    assert states() == {"oms-1": "resolved"}


def test_many_accounts_do_not_make_the_alert_long(world: World) -> None:
    fall_silent(world, "oms-1", *(f"desk-{number}" for number in range(1, 8)))
    look_at_leases(world.store)
    assert "desk-5 and 2 more" in Alert.objects.get().message


# -------------------------------------------------------------------------------------------------- its stops
def test_by_default_silence_stops_nothing(world: World) -> None:
    fall_silent(world)
    look_at_leases(world.store)
    assert world.up() == []
    assert world.approves()


@pytest.mark.parametrize("by", ["the lease", "the settings"])
def test_where_so_configured_its_accounts_may_only_reduce(world: World, settings, by: str) -> None:
    settings.RISK_LEASE_ON_SILENCE = "alert" if by == "the lease" else "reduce"
    world.feed(long(), account_id="desk-1")
    fall_silent(world, "oms-1", "desk-1", "desk-2", on_silence=OnSilence("reduce" if by == "the lease" else "alert"))
    look_at_leases(world.store)
    assert world.check(order()).reason == "emergency_stop_active"
    assert world.check(order(side=Side.SELL)).approved
    assert not world.approves(account_id="desk-2")
    assert world.approves(account_id="desk-3")
    assert stopped(world) == [("desk-1", "REDUCING", "lease"), ("desk-2", "REDUCING", "lease")]


def test_its_record_says_who_was_silent_and_how_the_account_was(world: World) -> None:
    world.feed(long(), account_id="desk-1")
    fall_silent(world, on_silence=OnSilence.REDUCE)
    look_at_leases(world.store)
    keep(world.store)
    row = EmergencyStop.objects.get()
    assert (row.triggered_by, row.in_force_known, row.unwind) == ("lease oms-1", True, False)
    assert "oms-1" in row.reason
    assert row.accounts.get().account_id == "desk-1"


def test_it_stops_once_and_coming_back_lifts_nothing(world: World) -> None:
    fall_silent(world, on_silence=OnSilence.REDUCE)
    for _ in range(3):
        look_at_leases(world.store)
    hold(world)
    look_at_leases(world.store)
    keep(world.store)
    row = EmergencyStop.objects.get()
    assert row.lifted_at is None
    assert not row.steps.filter(what="asked_again").exists()
    assert not world.approves()


def test_what_people_have_re_enabled_is_not_stopped_again_for_the_same_silence(world: World) -> None:
    fall_silent(world, on_silence=OnSilence.REDUCE)
    look_at_leases(world.store)
    lift(scope="account", scope_id="desk-1")
    for _ in range(3):
        look_at_leases(world.store)
    assert world.approves()
    assert states() == {"oms-1": "firing"}


def test_each_silence_is_one_of_its_own(world: World) -> None:
    fall_silent(world, on_silence=OnSilence.REDUCE)
    look_at_leases(world.store)
    lift(scope="account", scope_id="desk-1")
    fall_silent(world, on_silence=OnSilence.REDUCE)
    look_at_leases(world.store)
    assert not world.approves()


def test_an_account_that_is_halted_already_stays_so(world: World) -> None:
    engage(scope="account", scope_id="desk-1", state=TradingState.HALTED)
    fall_silent(world, on_silence=OnSilence.REDUCE)
    look_at_leases(world.store)
    assert stopped(world) == [("desk-1", "HALTED", "person")]
    assert EmergencyStop.objects.get().steps.filter(what="asked_again").count() == 1


def test_an_account_stopped_with_everything_is_still_stopped_when_that_is_lifted(world: World) -> None:
    engage()
    fall_silent(world, on_silence=OnSilence.REDUCE)
    look_at_leases(world.store)
    lift(scope="global")
    assert not world.approves()


def test_what_was_not_stopped_yet_is_stopped_although_the_oms_is_back(world: World, monkeypatch) -> None:
    fall_silent(world, on_silence=OnSilence.REDUCE)

    def dies(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "reduce_accounts", dies)
        with pytest.raises(KeyboardInterrupt):
            look_at_leases(world.store)
    assert world.up() == []
    hold(world)
    look_at_leases(world.store)
    assert not world.approves()
    found = kept(world).held
    assert found is not None
    assert found.to_stop == ()


def test_a_live_state_that_fails_half_way_is_gone_through_again(world: World, monkeypatch) -> None:
    fall_silent(world, "oms-1", "desk-1", "desk-2", on_silence=OnSilence.REDUCE)
    raise_flag = flags.raise_flag

    def fails(live: Any, asked: Any) -> Any:
        if asked.scope_id == "desk-2":
            raise StateUnavailable("gone")
        return raise_flag(live, asked)

    with monkeypatch.context() as patch:
        patch.setattr(lease_stops, "raise_flag", fails)
        with pytest.raises(StateUnavailable):
            look_at_leases(world.store)
    look_at_leases(world.store)
    assert stopped(world) == [("desk-1", "REDUCING", "lease"), ("desk-2", "REDUCING", "lease")]


# ------------------------------------------------------------------------------------------------------ alone
def test_one_looks_at_a_time(world: World) -> None:
    world.store.hold_lease(TURN, "other", MINUTE_US)
    assert look_at_leases(world.store) is Outcome.ELSEWHERE


def test_however_many_look_it_is_noticed_told_and_stopped_once(world: World) -> None:
    fall_silent(world, "oms-1", "desk-1", "desk-2", "desk-3", on_silence=OnSilence.REDUCE)

    def look() -> None:
        for _ in range(4):
            look_at_leases(world.store)
        connection.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stopped(world)) == len(world.up()) == 3
    assert Alert.objects.get().times_published == 1


def test_who_froze_before_a_stop_engages_it_no_more(world: World, monkeypatch) -> None:
    fall_silent(world, on_silence=OnSilence.REDUCE)
    notice = module._noticed

    def freezes(*arguments: Any) -> Kept:
        """Notice, then sleep for so long that another has stopped the account, and people have re-enabled it."""
        found = notice(*arguments)
        monkeypatch.setattr(module, "_noticed", notice)
        take_turn(world)
        assert look_at_leases(world.store) is Outcome.LOOKED
        lift(scope="account", scope_id="desk-1")
        return found

    monkeypatch.setattr(module, "_noticed", freezes)
    assert look_at_leases(world.store) is Outcome.TOO_LATE
    assert world.approves()
    assert len(stopped(world)) == 1


def take_turn(world: World) -> None:
    """End whoever's turn it is, as time would."""
    if world.url:
        import redis

        with redis.Redis.from_url(world.url) as client:
            client.hset(f"risk:{{L0}}:lease:{TURN}", "until", "1")
    else:
        leases: Any = world.store._leases  # type: ignore[attr-defined]
        holder, token, _ = leases._kept[TURN]
        leases._kept[TURN] = holder, token, 1


def test_the_task_goes_on_while_the_live_state_is_away(monkeypatch, caplog) -> None:
    def away(_store: object) -> None:
        raise StateUnavailable("gone")

    monkeypatch.setattr(tasks, "look_at_leases", away)
    tasks.check_leases()
    assert "for now: gone" in caplog.text


# ---------------------------------------------------------------------------------------- nothing is forgotten
def test_a_lease_is_on_record_until_it_is_released(world: World) -> None:
    hold(world, "oms-1", "desk-1", "desk-2", on_silence=OnSilence.REDUCE)
    look_at_leases(world.store)
    row = LeaseRecord.objects.get()
    assert (row.holder, row.accounts, row.ttl_us, row.on_silence) == (
        "oms-1",
        ["desk-1", "desk-2"],
        MINUTE_US,
        "reduce",
    )
    hold(world, "oms-1", "desk-2")
    look_at_leases(world.store)
    look_at_leases(world.store)
    release_lease(world.store, "oms-1", actor="key:ops", may_see=lambda _account: True)
    look_at_leases(world.store)
    assert not LeaseRecord.objects.exists()
    assert world.store.oms_leases() == {}
    told = AuditEvent.objects.filter(object_type="lease").order_by("sequence").values_list("action", "actor")
    assert list(told) == [("lease.grant", "key:oms"), ("lease.change", "key:oms"), ("lease.release", "key:ops")]


def test_a_lease_that_a_lost_live_state_forgot_runs_again_and_then_out(world: World) -> None:
    hold(world, on_silence=OnSilence.REDUCE)
    look_at_leases(world.store)
    lose(world)
    assert world.store.oms_leases() == {}
    look_at_leases(world.store)
    lease = kept(world).held
    assert lease is not None
    assert (lease.accounts, lease.on_silence, lease.actor) == (("desk-1",), "reduce", "key:oms")
    assert lease.ends_at_us > world.now_us()
    assert swap(world.store, kept(world), replace(lease, ttl_us=1, renewed_at_us=1)) is not None
    look_at_leases(world.store)
    assert states() == {"oms-1": "firing"}
    assert not world.approves()


def test_one_that_was_released_does_not_come_back_with_a_loss(world: World) -> None:
    hold(world)
    look_at_leases(world.store)
    release_lease(world.store, "oms-1", actor="key:oms", may_see=lambda _account: True)
    look_at_leases(world.store)
    lose(world)
    look_at_leases(world.store)
    assert world.store.oms_leases() == {}


def test_one_that_is_released_while_a_look_waits_for_the_database_stays_so(world: World, monkeypatch) -> None:
    hold(world)
    look_at_leases(world.store)

    def meanwhile(*_arguments: Any) -> bool:
        monkeypatch.setattr(module, "tell_faults", lambda *_: True)
        release_lease(world.store, "oms-1", actor="key:oms", may_see=lambda _account: True)
        return look_at_leases(world.store) is Outcome.LOOKED  # another process, which is faster

    monkeypatch.setattr(module, "tell_faults", meanwhile)
    look_at_leases(world.store)
    look_at_leases(world.store)
    assert not LeaseRecord.objects.exists()
    assert world.store.oms_leases() == {}


def lose(world: World) -> None:
    """Lose the live state and restore it."""
    world.lose()
    assert restore_if_empty(world.store).outcome is Restore.RESTORED
    world.feed()


def test_before_a_restore_nobody_is_silent(world: World) -> None:
    fall_silent(world)
    content = world.store.oms_leases()["oms-1"]
    world.lose()
    world.store.swap_oms_lease("oms-1", None, content)
    assert look_at_leases(world.store) is Outcome.RECOVERING
    assert not Alert.objects.exists()


def test_after_an_interruption_everybody_has_their_time_again(world: World, monkeypatch) -> None:
    monkeypatch.setattr(module, "_INTERRUPTION_US", 1)
    look_at_leases(world.store)
    lease = hold(world)
    assert swap(world.store, kept(world), replace(lease, renewed_at_us=lease.renewed_at_us - 2 * MINUTE_US))
    monkeypatch.setattr(module, "_INTERRUPTION_US", MINUTE_US)
    look_at_leases(world.store)
    assert states() == {}
    monkeypatch.setattr(module, "now_us", lambda live: world.now_us() + 2 * MINUTE_US)
    look_at_leases(world.store)
    assert states() == {"oms-1": "firing"}


def test_what_cannot_be_read_comes_back_from_its_record(world: World, caplog) -> None:
    hold(world)
    look_at_leases(world.store)
    content = world.store.oms_leases()["oms-1"]
    assert world.store.swap_oms_lease("oms-1", content, b"nonsense")
    look_at_leases(world.store)
    assert "cannot be read" in caplog.text
    assert kept(world).held is not None


# -------------------------------------------------------------------------------------- without the database
def test_without_the_database_silence_is_told_and_stops(world: World, caplog) -> None:
    fall_silent(world, on_silence=OnSilence.REDUCE)
    with database_away():
        assert look_at_leases(world.store) is Outcome.LOOKED
        assert not world.approves()
    assert "oms-1 has been silent" in caplog.text
    assert stopped(world) == [("desk-1", "REDUCING", "lease")]
    look_at_leases(world.store)
    assert states() == {"oms-1": "firing"}
    assert LeaseRecord.objects.count() == 1


def test_released_without_the_database_it_is_forgotten_when_that_is_back(world: World) -> None:
    hold(world)
    look_at_leases(world.store)
    with database_away():
        release_lease(world.store, "oms-1", actor="key:oms", may_see=lambda _account: True)
        look_at_leases(world.store)
    assert kept(world).held is None
    look_at_leases(world.store)
    assert not LeaseRecord.objects.exists()
    assert world.store.oms_leases() == {}
