"""Leases of OMSs: given, renewed and released, by whoever is for their accounts."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from msgspec.structs import replace

from emergency import leases
from emergency.errors import HeldByAnother, NoSuchLease, TooManyLeases
from emergency.leases import Lease, OnSilence, Renewed, kept_leases, release_lease, renew_lease, swap
from tests.emergency.world import World


def renew(world: World, **what: Any) -> Renewed:
    fields: dict[str, Any] = {
        "holder": "oms-1",
        "accounts": ["desk-1"],
        "ttl_s": 5,
        "on_silence": OnSilence.ALERT,
        "actor": "key:oms",
        "may_see": lambda _account: True,
    }
    return renew_lease(world.store, **{**fields, **what})


def release(world: World, holder: str = "oms-1", may_see: Any = lambda _account: True) -> Lease:
    return release_lease(world.store, holder, actor="key:ops", may_see=may_see)


def held(world: World, holder: str = "oms-1") -> Lease | None:
    return kept_leases(world.store, holder)[holder].held


def test_it_runs_from_the_moment_it_is_given(world: World) -> None:
    before = world.now_us()
    made = renew(world, accounts=["desk-2", "desk-1", "desk-2"])
    assert made.new
    assert before <= made.lease.renewed_at_us <= world.now_us()
    assert made.lease.ends_at_us == made.lease.renewed_at_us + 5_000_000
    assert made.lease.accounts == ("desk-1", "desk-2")
    assert held(world) == made.lease


def test_a_renewal_is_as_it_is_asked_for_now(world: World) -> None:
    first = renew(world)
    second = renew(world, accounts=["desk-3"], ttl_s=9, on_silence=OnSilence.REDUCE)
    assert not second.new
    assert (second.lease.accounts, second.lease.ttl_us, second.lease.on_silence) == (("desk-3",), 9_000_000, "reduce")
    assert second.lease.granted_at_us == first.lease.granted_at_us
    assert second.lease.renewed_at_us > first.lease.renewed_at_us
    assert held(world) == second.lease


def test_a_renewal_ends_a_silence_and_says_so_but_lifts_nothing(world: World) -> None:
    renew(world)
    kept = kept_leases(world.store)["oms-1"]
    assert kept.lease is not None
    assert swap(world.store, kept, replace(kept.lease, silent_since_us=7, to_stop=("desk-1",)))
    again = renew(world)
    assert again.was_silent_since_us == 7
    assert (again.lease.silent_since_us, again.lease.to_stop) == (0, ("desk-1",))


def test_whoever_is_for_other_accounts_neither_renews_nor_releases(world: World) -> None:
    renew(world, accounts=["desk-1", "desk-2"])

    def of_one(account: str) -> bool:
        return account == "desk-1"

    with pytest.raises(HeldByAnother):
        renew(world, may_see=of_one)
    with pytest.raises(HeldByAnother):
        release(world, may_see=of_one)
    found = held(world)
    assert found is not None
    assert found.accounts == ("desk-1", "desk-2")


def test_released_it_is_nobody_s_and_may_be_given_anew(world: World) -> None:
    first = renew(world)
    assert release(world) == first.lease
    assert held(world) is None
    with pytest.raises(NoSuchLease):
        release(world)
    assert renew(world).new


@pytest.mark.parametrize("holder", ["oms-1", "nobody"])
def test_what_nobody_holds_is_not_released(world: World, holder: str) -> None:
    with pytest.raises(NoSuchLease):
        release(world, holder)


def test_what_cannot_be_read_is_written_anew_by_its_holder(world: World) -> None:
    world.store.swap_oms_lease("oms-1", None, b"nonsense")
    assert kept_leases(world.store)["oms-1"].lease is None
    assert renew(world).new
    assert held(world) is not None


def test_there_is_a_bound_to_how_many_there_are(world: World, monkeypatch) -> None:
    monkeypatch.setattr(leases, "MOST_LEASES", 2)
    renew(world, holder="one")
    renew(world, holder="two")
    with pytest.raises(TooManyLeases):
        renew(world, holder="three")
    assert not renew(world, holder="two").new


def test_of_many_at_once_each_renews(world: World) -> None:
    made: list[Renewed] = []
    threads = [threading.Thread(target=lambda: made.append(renew(world))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.new for each in made].count(True) == 1
    assert len(made) == 6


@pytest.mark.parametrize(
    ("own", "of_settings", "reduces"),
    [("alert", "alert", False), ("reduce", "alert", True), ("alert", "reduce", True), ("reduce", "reduce", True)],
)
def test_a_lease_may_only_be_stricter_than_the_settings(world: World, settings, own, of_settings, reduces) -> None:
    settings.RISK_LEASE_ON_SILENCE = of_settings
    assert renew(world, on_silence=OnSilence(own)).lease.reduces is reduces
