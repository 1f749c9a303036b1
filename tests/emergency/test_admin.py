"""The admin: one stops trading, another re-enables it, each with a reason and a confirmation; nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from audit.models import AccountGrant
from emergency.models import EmergencyStop, StopAccount
from emergency.records import add_step
from state.store import StateUnavailable
from tests.emergency.test_lifting import breach
from tests.emergency.world import engage, row

LIST, ADD = "admin:emergency_emergencystop_changelist", "admin:emergency_emergencystop_add"
NEW: dict[str, Any] = {"scope": "global", "scope_id": "", "state": "HALTED", "reason": "fat finger", "confirm": "on"}
LIFT: dict[str, Any] = {"what": "re_enable", "why": "all is well", "confirm": "on"}


def browser(name: str, *permissions: str) -> Client:
    """Return a browser of somebody with these permissions, or with all."""
    user = User.objects.create(username=name, is_staff=True, is_superuser=not permissions)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def page(stop_id: object) -> str:
    return reverse("admin:emergency_emergencystop_change", args=(stop_id,))


def errors(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, "the form was saved"
    return dict(answer.context["adminform"].form.errors)


class TestToStop:
    @pytest.mark.parametrize(
        ("missing", "field"),
        [
            ({"reason": ""}, "reason"),
            ({"confirm": ""}, "confirm"),
            ({"scope": "account"}, "scope_id"),
            ({"scope": "account", "scope_id": "nobody"}, "scope_id"),
            ({"scope": "symbol"}, "scope_id"),
            ({"scope_id": "desk-1"}, "scope_id"),
            ({"state": "ACTIVE"}, "state"),
        ],
    )
    def test_without_what_it_needs_nothing_is_stopped(self, world, missing, field):
        answer = browser("olga").post(reverse(ADD), {**NEW, **missing})
        assert field in errors(answer)
        assert world.up() == []

    def test_it_stops_in_the_name_of_who_is_signed_in(self, world):
        what = {"scope": "symbol", "scope_id": "btcusdt", "state": "REDUCING", "unwind": "on"}
        answer = browser("olga").post(reverse(ADD), {**NEW, **what})
        assert answer.status_code == 302
        (found,) = EmergencyStop.objects.all()
        assert (found.scope_id, found.state, found.unwind) == ("BTCUSDT", "REDUCING", True)
        assert (found.triggered_by, found.trigger, found.reason) == ("olga", "person", "fat finger")
        assert not world.approves()

    def test_a_live_state_that_is_away_is_said(self, world, monkeypatch):
        def refuse(*_args, **_named):
            raise StateUnavailable("connection refused")

        client = browser("olga")
        with monkeypatch.context() as away:
            away.setattr(type(world.store), "raise_stop", refuse)
            answer = client.post(reverse(ADD), NEW)
        assert "not known to be in force" in str(errors(answer))

    def test_one_that_is_in_force_already_is_shown(self, world):
        engaged = engage()
        answer = browser("olga").post(reverse(ADD), NEW, follow=True)
        assert "was in force already" in answer.content.decode()
        assert world.up() == [engaged.stop_id]

    def test_it_needs_permission(self, world):
        client = browser("viktor", "view_emergencystop", "lift_stop")
        assert client.post(reverse(ADD), NEW).status_code == 403
        assert world.up() == []


class TestToReEnable:
    @pytest.mark.parametrize("missing", [{"what": ""}, {"what": "go_home"}, {"why": ""}, {"confirm": ""}])
    def test_without_what_it_needs_nothing_is_lifted(self, world, missing):
        engaged = engage()
        assert list(missing) == list(errors(browser("bob").post(page(engaged.stop_id), {**LIFT, **missing})))
        assert not world.approves()

    def test_it_lifts_in_the_name_of_who_is_signed_in(self, world):
        engaged = engage()
        assert browser("bob").post(page(engaged.stop_id), LIFT).status_code == 302
        assert (row(engaged).lifted_by, row(engaged).lifted_reason) == ("bob", "all is well")
        assert world.approves()

    def test_who_stopped_it_is_refused(self, world):
        engaged = engage(triggered_by="alice")
        assert "somebody else" in str(errors(browser("alice").post(page(engaged.stop_id), LIFT)))
        assert not world.approves()

    def test_a_breach_takes_two_people(self, world):
        engaged = engage()
        breach(world)
        bob, carol = browser("bob"), browser("carol")
        assert "Emergency Drawdown Stop" in str(errors(bob.post(page(engaged.stop_id), LIFT)))
        answer = bob.post(page(engaged.stop_id), {**LIFT, "force": "on"}, follow=True)
        assert "until a second person" in answer.content.decode()
        assert row(engaged).in_force
        carol.post(page(engaged.stop_id), {**LIFT, "force": "on"})
        assert (row(engaged).lifted_by, row(engaged).approved_by) == ("bob", "carol")
        assert world.approves(account_id="desk-2")

    def test_it_needs_permission(self, world):
        engaged = engage()
        client = browser("viktor", "view_emergencystop", "engage_stop")
        assert client.post(page(engaged.stop_id), LIFT).status_code == 403
        assert not world.approves()

    def test_what_was_lifted_stays_as_it_is(self, world):
        engaged = engage()
        client = browser("bob")
        client.post(page(engaged.stop_id), LIFT)
        before = row(engaged).lifted_at
        assert client.post(page(engaged.stop_id), LIFT).status_code == 403
        assert row(engaged).lifted_at == before


class TestToGiveUp:
    def test_the_oms_is_asked_no_more_and_then_again_and_trading_stays_stopped(self, world):
        engaged = engage()
        client = browser("bob")
        assert client.post(page(engaged.stop_id), {**LIFT, "what": "give_up"}).status_code == 302
        assert (row(engaged).given_up, row(engaged).given_up_by) == (True, "bob")
        assert "has given up already" in str(errors(client.post(page(engaged.stop_id), {**LIFT, "what": "give_up"})))
        client.post(page(engaged.stop_id), {**LIFT, "what": "go_on"})
        assert not row(engaged).given_up
        assert not world.approves()

    def test_it_needs_permission(self, world):
        engaged = engage()
        client = browser("viktor", "view_emergencystop")
        assert client.post(page(engaged.stop_id), {**LIFT, "what": "give_up"}).status_code == 403
        assert not row(engaged).given_up


class TestToRead:
    def test_what_is_left_of_a_stop(self, world):
        engaged = engage(unwind=True)
        held = [{"symbol": "BTCUSDT", "exchange": "", "quantity": "1.5"}]
        left = {"account_id": "desk-3", "why": "nobody listens", "remaining": 2, "positions": held}
        add_step(engaged.stop_id, "trouble", residuals=[left])
        shown = browser("viktor", "view_emergencystop").get(page(engaged.stop_id)).content.decode()
        assert "nobody listens" in shown
        assert "1.5" in shown

    def test_the_list_the_timeline_and_the_accounts(self, world):
        engaged = engage(reason="the exchange is on fire")
        client = browser("viktor", "view_emergencystop", "view_stopaccount")
        listed = client.get(reverse(LIST)).content.decode()
        assert "the exchange is on fire" in listed
        shown = client.get(page(engaged.stop_id)).content.decode()
        assert "in_force" in shown
        assert 'name="why"' not in shown
        url = f"{reverse('admin:emergency_stopaccount_changelist')}?stop__id__exact={engaged.stop_id}"
        assert url.replace("&", "&amp;") in shown
        assert "desk-3" in client.get(url).content.decode()
        kept = StopAccount.objects.filter(stop=row(engaged))[0]
        assert "equity" in client.get(reverse("admin:emergency_stopaccount_change", args=(kept.pk,))).content.decode()

    def test_nobody_deletes_or_rewrites_one(self, world):
        engaged = engage()
        client = browser("olga")
        assert client.post(reverse("admin:emergency_emergencystop_delete", args=(engaged.stop_id,))).status_code == 403
        client.post(page(engaged.stop_id), {**LIFT, "reason": "another one", "triggered_by": "nobody", "confirm": ""})
        assert (row(engaged).reason, row(engaged).triggered_by) == ("a test", "alice")


class TestWhoIsForOneAccount:
    def desk_1(self, *permissions: str) -> Client:
        client = browser("dora", *permissions)
        dora = User.objects.get(username="dora")
        AccountGrant.objects.create(user=dora, account_id="desk-1")
        client.force_login(dora)  # a session ends with a change of rights
        return client

    @pytest.mark.parametrize("what", [{}, {"scope": "account", "scope_id": "desk-2"}], ids=["everything", "another"])
    def test_other_accounts_are_not_stopped_by_hand(self, world, what):
        answer = self.desk_1("engage_stop").post(reverse(ADD), {**NEW, **what})
        assert "some accounts only" in str(errors(answer))
        assert world.up() == []

    def test_their_account_is_stopped(self, world):
        self.desk_1("engage_stop").post(reverse(ADD), {**NEW, "scope": "account", "scope_id": "desk-1"})
        assert len(world.up()) == 1

    def test_stops_of_other_accounts_are_neither_shown_nor_lifted(self, world):
        mine, other = (engage(scope="account", scope_id=each) for each in ("desk-1", "desk-2"))
        client = self.desk_1("view_emergencystop", "lift_stop")
        shown = client.get(reverse(LIST)).content.decode()
        assert mine.stop_id in shown
        assert other.stop_id not in shown
        client.post(page(other.stop_id), LIFT)
        assert row(other).in_force

    def test_a_stop_of_everything_is_shown_without_what_it_found_in_accounts_and_not_lifted(self, world):
        engaged = engage()
        client = self.desk_1("view_emergencystop", "lift_stop")
        shown = client.get(page(engaged.stop_id)).content.decode()
        assert "a test" in shown
        assert "as they were" not in shown
        assert client.post(page(engaged.stop_id), LIFT).status_code == 403
        assert row(engaged).in_force

    def test_accounts_as_they_were_are_shown_of_their_own_only(self, world):
        world.feed()
        engage()
        client = self.desk_1("view_stopaccount")
        shown = client.get(reverse("admin:emergency_stopaccount_changelist")).content.decode()
        assert "desk-1" in shown
        assert "desk-2" not in shown
