"""The emergency pages: what is in force and how far it has come, what was, leases and drills; and who may do what."""

from __future__ import annotations

from uuid import uuid4

from audit.acting import acting
from dashboard.stopping import Progress, phases
from emergency.leases import OnSilence, renew_lease
from emergency.lifting import FORCE_LASTS
from emergency.records import add_step
from emergency.words import Status
from state.store import StateUnavailable
from tests.dashboard.world import ALL, MARKUP, signed_in
from tests.emergency.world import engage, lift, long, person, row

VIEW = "emergency.view_emergencystop"


def test_who_may_not_see_stops_is_refused(world):
    reader = signed_in("rita", "policies.view_account")
    for path in ("/emergency/", f"/emergency/{uuid4()}/"):
        assert VIEW in reader.read(path, 403)


def test_a_stop_of_an_account_of_others_is_as_little_there_as_one_that_never_was(world):
    made = engage(scope="account", scope_id="desk-2", reason="secret")
    reader = signed_in("dora", *ALL, accounts=("desk-1",))
    reader.get(f"/emergency/{made.stop_id}/", 404)
    reader.get(f"/emergency/{uuid4()}/", 404)
    assert "secret" not in reader.read("/emergency/")


def test_without_a_stop_it_says_so_and_how_to_stop(world, vera):
    page = vera.read("/emergency/")
    assert "No stop is in force." in page
    assert "No stop was ever lifted." in page
    assert "manage.py drill" in page
    assert "POST /risk/lease" in page


def test_a_stop_in_force_is_there_with_who_why_and_how_far_it_has_come(world, vera):
    made = engage(reason="fat finger", unwind=True)
    page = vera.read("/emergency/")
    assert "fat finger" in page
    assert "alice" in page
    for status in Status:
        assert f"<strong>{status}</strong>" in page
    assert f"/emergency/{made.stop_id}/" in page
    assert "Re-enable trading" in page


def test_a_stop_of_everything_comes_before_the_newest(world, vera):
    whole, part = engage(), engage(scope="account", scope_id="desk-1")
    assert [stop.id for stop in vera.get("/emergency/").context["stops"]] == [whole.stop_id, part.stop_id]


def test_it_is_there_while_the_live_state_is_away(world, vera, monkeypatch):
    made = engage(reason="fat finger")

    def refuse(*_: object, **__: object) -> None:
        raise StateUnavailable("connection refused")

    monkeypatch.setattr(type(world.store), "control", refuse)
    monkeypatch.setattr(type(world.store), "oms_leases", refuse)
    page = vera.read("/emergency/")
    assert "The live state cannot be reached" in page
    assert "fat finger" in page
    assert "Nobody can say now" in page
    assert "fat finger" in vera.read(f"/emergency/{made.stop_id}/")


def test_a_stop_that_is_over_says_who_lifted_it_and_why(world, vera):
    made = engage()
    lift(made.stop_id, reason="all is well again")
    page = vera.read("/emergency/")
    assert "No stop is in force." in page
    assert "all is well again" in vera.read(f"/emergency/{made.stop_id}/")
    assert "Re-enable trading" not in vera.read(f"/emergency/{made.stop_id}/")


def test_the_accounts_are_there_as_they_were(world, vera):
    world.feed(long("BTCUSDT", "2"), account_id="desk-1")
    made = engage()
    world.feed(account_id="desk-1")
    page = vera.read(f"/emergency/{made.stop_id}/")
    assert "Accounts at that moment" in page
    assert "2 BTCUSDT" in page


def test_what_it_found_in_other_accounts_is_not_for_those_who_are_for_some(world):
    made = engage(reason="fat finger")
    reader = signed_in("dora", *ALL, accounts=("desk-1",))
    page = reader.read(f"/emergency/{made.stop_id}/")
    assert "fat finger" in page
    assert "is shown to those who are for all of them" in page
    assert "Accounts at that moment" not in page
    assert "desk-2" not in page


def test_the_form_is_only_there_for_those_who_may_and_did_not_stop_it_themselves(world):
    made = engage(by=person("olga"))
    assert 'data-act="re-enable"' not in signed_in("rita", VIEW).read(f"/emergency/{made.stop_id}/")
    own = signed_in("olga", *ALL).read(f"/emergency/{made.stop_id}/")
    assert "You triggered this stop" in own
    other = signed_in("bob", *ALL).read(f"/emergency/{made.stop_id}/")
    assert "You triggered this stop" not in other
    assert 'name="force"' in other
    limited = signed_in("dora", *ALL, accounts=("desk-1",)).read(f"/emergency/{made.stop_id}/")
    assert 'data-act="re-enable"' not in limited


def test_who_asked_to_lift_it_in_spite_of_a_breach_is_named_until_it_lapses(world, vera):
    made = engage()
    stop = row(made)
    stop.force_asked_at, stop.force_asked_by, stop.force_reason = stop.engaged_at, "bob", "a bad mark"
    stop.save(by_service=True)
    page = vera.read(f"/emergency/{made.stop_id}/")
    assert "bob asked to re-enable trading in spite of a breach: a bad mark" in page
    assert f"{stop.engaged_at + FORCE_LASTS:%H:%M:%S}" in page
    assert "Approve in spite of the breach" in page


def test_leases_are_there_with_their_silence(world, vera):
    renew_lease(
        world.store,
        holder="oms-1",
        accounts=["desk-1"],
        ttl_s=2,
        on_silence=OnSilence.REDUCE,
        actor="key:oms",
        may_see=lambda _: True,
    )
    page = vera.read("/emergency/")
    assert "oms-1" in page
    assert "accounts may only reduce" in page


def test_markup_in_reasons_and_names_is_inert(world, vera):
    made = engage(by=person("olga"), reason=MARKUP)
    for path in ("/emergency/", f"/emergency/{made.stop_id}/"):
        assert "<script>alert" not in vera.read(path)


def test_phases_have_their_times_and_what_was_not_needed_says_so(world):
    made = engage(unwind=True)
    stop = row(made)
    add_step(stop.pk, Status.CANCELLED, "", at=stop.engaged_at)
    add_step(stop.pk, Status.FLAT, "", at=stop.engaged_at)
    live = {"engaged_at": stop.engaged_at, "unwind": True, "status": "flat", "in_force": True, "given_up": False}
    found = phases(live, list(stop.steps.all()))
    progress = [phase.progress for phase in found]
    assert progress == [Progress.DONE, Progress.DONE, Progress.NOTHING, Progress.DONE, Progress.NOW]
    over = phases({**live, "in_force": False}, list(stop.steps.all()))
    assert over[-1].progress is Progress.NEVER
    waiting = phases({**live, "given_up": True}, list(stop.steps.all()))
    assert waiting[-1].progress is Progress.WAITING


def test_a_stop_that_unwinds_nothing_has_three_phases():
    live = {"engaged_at": None, "unwind": False, "status": None, "in_force": True, "given_up": None}
    assert [phase.status for phase in phases(live, [])] == [Status.BLOCKED, Status.CANCELLED, Status.COMPLETED]


def test_history_is_read_a_page_at_a_time(world, vera):
    for _ in range(27):
        lift(engage().stop_id)
    first = vera.get("/emergency/")
    assert len(first.context["history"]) == 25
    assert len(vera.get(f"/emergency/?cursor={first.context['older']}").context["history"]) == 2
    vera.get("/emergency/?cursor=x", 404)


def test_it_takes_as_many_queries_for_many_stops_as_for_one(world, vera):
    machine = acting("key:ops", ["emergency.engage_stop"])
    engage(scope="account", scope_id="desk-1", by=machine)
    few = vera.queries("/emergency/")
    for number in (2, 3, 4):
        engage(scope="account", scope_id=f"desk-{number}", by=machine)
    assert vera.queries("/emergency/") == few
