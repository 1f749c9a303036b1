"""The admin: a saved form is a change request, needs a reason, and never overwrites what nobody saw."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import AuditEvent
from policies.models import (
    APPROVE_LIMITS,
    Account,
    Book,
    CapitalProfile,
    ChangeRequest,
    Instrument,
    Policy,
    RestrictedSymbol,
)
from policies.services import do_change_policy, do_lift_symbol
from tests.policies.subjects import WHO, account, instrument, limit, live_book, restriction
from tests.support.tampering import tamper

NEW_POLICY = {
    "name": "Max Order Quantity",
    "description": "",
    "enabled": "on",
    "metric": "order_quantity",
    "window_s": "0",
    "operator": "<=",
    "threshold": "50",
    "type": "hard",
    "on_breach": "block",
    "mode": "enforce",
    "active_windows": "",
    "rollout_percent": "100",
    "volatility_reference": "0",
    "volatility_least": "0.5",
    "volatility_most": "1",
    "scope": "symbol",
    "scope_ids": "ethusdt, BTCUSDT",
    "owner": "",
    "regulatory_tags": "RTS 6, 15c3-5",
    "priority": "100",
    "change_reason": "New desk",
}


@pytest.fixture
def officer(client, transactional_db):
    """A browser of somebody who may do everything."""
    client.force_login(User.objects.create(username="olga", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def viewer(client, db):
    """A browser of somebody who may look."""
    user = User.objects.create(username="viktor", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    return client


def address(row: Any, page: str = "change", *more: object) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}", args=(row.pk, *more))


def listed(model: Any, page: str = "changelist") -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}")


def typed(client: Any, url: str, **changes: Any) -> dict[str, Any]:
    """Return what the form at `url` would send, with some fields typed over."""
    form = client.get(url).context["adminform"].form
    sent: dict[str, Any] = {}
    for name, field in form.fields.items():
        value = form[name].value()
        shown = field.prepare_value(value)
        if shown is True:
            sent[name] = "on"
        elif shown is not None and shown is not False:
            sent[name] = shown
    return {**sent, **changes}


def problems(response: Any) -> str:
    assert response.status_code == 200
    return str(response.context["adminform"].form.errors)


def said(response: Any) -> str:
    return " ".join(str(each) for each in response.context["messages"])


def policy(name: str = "Max Account Leverage") -> Policy:
    found: Policy = Policy.objects.get(name=name)
    return found


def written() -> ChangeRequest:
    """Return the request that was written last."""
    found: ChangeRequest = ChangeRequest.objects.order_by("-id")[0]
    return found


def press(client: Any, what: str, **given: str) -> Any:
    """Press a button on the page of the request that was written last."""
    request = written()
    url = reverse("admin:policies_changerequest_act", args=(request.pk,))
    return client.post(url, {"what": what, "version": request.version, **given}, follow=True)


def test_a_saved_form_is_a_request_and_changes_nothing_yet(live, officer):
    url = address(policy())
    response = officer.post(url, typed(officer, url, threshold="8", change_reason="Review"), follow=True)
    request = written()
    assert response.redirect_chain[-1][0] == address(request)
    assert (request.author, request.reason, request.edits[0]["fields"]) == ("olga", "Review", {"threshold": "8"})
    assert live_book(live).version == 1
    assert "Publish now" in response.content.decode()


def test_what_tightens_is_live_with_the_next_button(live, officer):
    url = address(policy())
    officer.post(url, typed(officer, url, threshold="8", change_reason="Review"))
    assert "Book 2 is live" in said(press(officer, "publish"))
    assert {each.name: each.threshold for each in live_book(live).policies}["Max Account Leverage"] == Decimal(8)
    event = AuditEvent.objects.filter(action="policy.change").get()
    assert (event.actor, event.reason) == ("olga", "Review")
    assert Book.objects.get(version=2).actor == "olga"


def test_a_new_policy_is_a_new_book_and_live(live, officer):
    officer.post(listed(Policy, "add"), NEW_POLICY, follow=True)
    assert "Book 2 is live" in said(press(officer, "publish"))
    row = policy("Max Order Quantity")
    assert (row.scope_ids, row.regulatory_tags) == (["BTCUSDT", "ETHUSDT"], ["15c3-5", "RTS 6"])
    assert str(row.pk) in {each.id for each in live_book(live).policies}


def test_a_change_without_a_reason_is_refused(live, officer):
    url = address(policy())
    assert "change_reason" in problems(officer.post(url, typed(officer, url, threshold="8", change_reason=" ")))
    assert policy().threshold == 10


def test_a_change_of_nothing_is_refused(live, officer):
    url = address(policy())
    assert "nothing was changed" in problems(officer.post(url, typed(officer, url, change_reason="Review")))
    assert Book.objects.count() == 1


def test_a_stale_form_is_refused_and_shows_what_changed_meanwhile(live, officer):
    url = address(policy())
    form = typed(officer, url, threshold="8", change_reason="Review")
    do_change_policy(**WHO, policy_id=policy().pk, expected_version=1, threshold=Decimal(9))
    response = officer.post(url, form)
    assert "changed meanwhile by alice" in problems(response)
    assert "threshold 10 → 9" in problems(response)
    assert "at or below 9" in response.content.decode()
    assert policy().threshold == 9
    assert Book.objects.count() == 2


def test_a_form_without_the_version_that_was_seen_is_refused(live, officer):
    url = address(policy())
    form = typed(officer, url, threshold="8", change_reason="Review")
    del form["expected_version"]
    assert "changed meanwhile" in problems(officer.post(url, form))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", "NaN"),
        ("threshold", "Infinity"),
        ("threshold", "1e400"),
        ("threshold", "0.000000001"),
        ("window_s", "60"),
        ("scope_ids", "BTCUSDT"),
        ("name", "Max Drawdown"),
        ("metric", "luck"),
    ],
)
def test_a_value_that_cannot_be_is_refused_beside_its_field(live, officer, field, value):
    url = address(policy())
    response = officer.post(url, typed(officer, url, change_reason="Review", **{field: value}))
    assert field in response.context["adminform"].form.errors
    assert Book.objects.count() == 1


def test_without_the_live_state_the_change_is_kept_and_the_officer_told(live, away, officer):
    url = address(policy())
    officer.post(url, typed(officer, url, threshold="8", change_reason="Review"), follow=True)
    assert "cannot be reached" in said(press(officer, "publish"))
    assert policy().threshold == 8


def test_a_profile_an_account_and_an_instrument_are_made_and_changed(live, officer, settings):
    settings.RISK_LOOSENING_APPROVALS = 0
    add = {"name": "wide", "allowed_leverage": "9", "max_single_trade_risk": "0.5", "max_daily_loss": "0.1"}
    add |= {"max_weekly_loss": "0.2", "max_open_positions": "7", "strategies": "", "change_reason": "New desk"}
    officer.post(listed(CapitalProfile, "add"), add)
    press(officer, "publish")
    officer.post(
        listed(Account, "add"),
        {"id": "desk-1", "name": "", "enabled": "on", "profile": "wide", "exchange": "", "change_reason": "New desk"},
    )
    press(officer, "publish")
    rules = {"tick_size": "0.01", "lot_size": "0", "min_quantity": "0", "max_quantity": "0", "margin_rate": "0.1"}
    rules["average_daily_volume"] = "31250.5"
    officer.post(listed(Instrument, "add"), {**rules, "symbol": "btcusdt", "change_reason": "New desk"})
    press(officer, "publish")
    for row, changes in (
        (CapitalProfile.objects.get(pk="wide"), {"max_open_positions": "8"}),
        (Account.objects.get(pk="desk-1"), {"exchange": "binance"}),
        (Instrument.objects.get(pk="BTCUSDT"), {"order_types": "limit"}),
    ):
        url = address(row)
        officer.post(url, typed(officer, url, **changes, change_reason="Review"))
        assert "is live" in said(press(officer, "publish"))
    book = live_book(live)
    assert book.version == 7
    assert book.accounts[0].exchange == "BINANCE"
    assert book.instruments[0].order_types == ("LIMIT",)
    assert book.instruments[0].average_daily_volume == Decimal("31250.5")
    assert {each.name: each.max_open_positions for each in book.profiles}["wide"] == 8


def test_an_account_keeps_its_id(live, officer):
    account()
    url = address(Account.objects.get())
    officer.post(url, typed(officer, url, id="desk-2", name="Desk", change_reason="Review"))
    press(officer, "publish")
    assert [(row.id, row.name) for row in Account.objects.all()] == [("desk-1", "Desk")]


def test_a_symbol_is_restricted_by_one_and_freed_by_two(live, officer, signed_in):
    form = {"symbol": "dogeusdt", "side": "", "account": "", "until_0": "", "until_1": "", "change_reason": "Delisting"}
    officer.post(listed(RestrictedSymbol, "add"), form)
    press(officer, "publish")
    assert [(each.symbol, each.reason) for each in live_book(live).restrictions] == [("DOGEUSDT", "Delisting")]
    url = address(RestrictedSymbol.objects.get())
    form = typed(officer, url, change_reason="Listed again")
    assert "nothing was changed" in problems(officer.post(url, form))
    assert live_book(live).restrictions
    form.pop("active")
    officer.post(url, form)
    assert "somebody else has to approve it" in said(press(officer, "publish"))
    assert live_book(live).restrictions
    press(officer, "submit")
    press(signed_in("bob", APPROVE_LIMITS), "approve")
    press(officer, "publish")
    assert not live_book(live).restrictions
    assert AuditEvent.objects.filter(action="symbol.lift").exists()


def test_a_lifted_restriction_is_only_shown(live, officer):
    row = restriction().row
    url = address(row)
    form = typed(officer, url, change_reason="Listed again")
    do_lift_symbol(**WHO, restriction_id=row.pk, expected_version=1)
    assert officer.get(url).context["has_change_permission"] is False
    assert officer.post(url, form).status_code == 403


def test_history_says_who_changed_what_and_why(live, officer):
    do_change_policy(**WHO, policy_id=policy().pk, expected_version=1, threshold=Decimal(9))
    page = officer.get(address(policy(), "history")).content.decode()
    assert re.search(r"alice.*because.*Threshold:</strong>\s*10 → 9", page, re.DOTALL)


def test_an_earlier_version_is_asked_for_like_any_other_change(live, officer):
    do_change_policy(**WHO, policy_id=policy().pk, expected_version=1, threshold=Decimal(9))
    first = policy().history.get(version=1)
    url = address(policy(), "simple_history", first.history_id)
    officer.post(url, typed(officer, url, change_reason="Nine was too low"))
    request = written()
    assert (request.reason, request.title) == ("Nine was too low", "Max Account Leverage: threshold 9 → 10")
    assert policy().threshold == 9


@pytest.mark.parametrize("model", [Policy, CapitalProfile, Account, RestrictedSymbol, Instrument, Book])
def test_nothing_is_deleted(live, officer, model):
    account(), instrument(), restriction()
    row = model.objects.first()
    assert officer.post(address(row, "delete"), {"post": "yes"}).status_code == 403
    assert "delete_selected" not in officer.get(listed(model)).content.decode()


@pytest.mark.parametrize("model", [Policy, CapitalProfile, Account, RestrictedSymbol, Instrument])
def test_who_may_only_look_changes_nothing(defaults, viewer, model):
    account(), instrument(), restriction()
    row = model.objects.first()
    page = viewer.get(address(row))
    assert page.status_code == 200
    assert "change_reason" not in page.content.decode()
    assert viewer.post(address(row), {"change_reason": "Review"}).status_code == 403
    assert viewer.get(listed(model, "add")).status_code == 403


def test_a_book_shows_what_it_changed_and_its_limits(defaults, viewer):
    made = limit()
    page = viewer.get(address(made.book)).content.decode()
    assert "Max Order Notional" in page
    assert "Order notional of every order stays at or below 1,000 - hard" in page


def test_a_book_whose_content_was_changed_says_so(defaults, viewer):
    tamper("""UPDATE policies_book SET content = '{"version":1}'""")
    assert "cannot be read" in viewer.get(address(defaults)).content.decode()


def test_evidence_is_only_shown(defaults, viewer):
    event = AuditEvent.objects.first()
    page = viewer.get(address(event))
    assert page.status_code == 200
    assert viewer.post(address(event), {"reason": "another"}).status_code == 403


@pytest.mark.parametrize("model", [Policy, Account, RestrictedSymbol, Instrument, Book, AuditEvent])
def test_a_list_asks_the_database_as_often_however_long_it_is(defaults, viewer, model):
    def add(number: int) -> None:
        account(f"desk-{number}")
        restriction(f"S{number}", account_id=f"desk-{number}")
        instrument(f"S{number}")
        limit(f"Limit {number}")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert viewer.get(listed(model)).status_code == 200
        return len(captured)

    add(0)
    queries()  # what is asked for once in a process
    before = queries()
    for number in range(1, 6):
        add(number)
    assert queries() == before


def test_when_and_for_whom_a_limit_holds_is_asked_for_as_well(live, officer):
    url = address(policy())
    when = {
        "effective_from_0": "2030-01-31",
        "effective_from_1": "09:30:00",
        "rollout_percent": "10",
        "test_group": "a",
    }
    officer.post(url, typed(officer, url, change_reason="Trial", active_windows="Mon-Fri 09:00-17:30 UTC", **when))
    fields = written().edits[0]["fields"]
    assert fields["effective_from"] == "2030-01-31T09:30:00.000000+00:00"
    assert (fields["rollout_percent"], fields["test_group"]) == (10, "a")
    assert "active_windows" in fields
