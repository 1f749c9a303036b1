"""The lists of alerts and violations: who sees what, filters, pages, and the way from each to its evidence."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.dashboard.world import ALL, signed_in
from tests.violations.subjects import ALICE, MARKUP, broken, look
from violations.models import Alert, Violation
from violations.services import do_acknowledge_alert

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quiet(settings) -> None:
    settings.RISK_BREAKER_COUNT = 0
    settings.NATS_URL = ""


@pytest.mark.parametrize(("path", "permission"), [("alerts", "view_alert"), ("violations", "view_violation")])
def test_who_may_not_see_them_is_refused(path, permission):
    assert f"violations.{permission}" in signed_in("rita", "policies.view_account").read(f"/{path}/", 403)


@pytest.mark.parametrize("path", ["alerts", "violations"])
def test_only_those_of_accounts_that_one_is_for_are_there(path):
    look(0, broken(), broken(account_id="B"), broken(account_id=""), accounts=("A", "B", ""))
    reader = signed_in("dora", *ALL, accounts=("A",))
    assert [row.account_id for row in reader.get(f"/{path}/").context["rows"]] == ["A"]
    assert list(reader.get(f"/{path}/?account_id=B").context["rows"]) == []


@pytest.mark.parametrize("path", ["alerts", "violations"])
def test_without_any_they_say_what_to_look_at(path):
    reader = signed_in("vera", *ALL)
    assert "was ever" in reader.read(f"/{path}/")
    assert "matches." in reader.read(f"/{path}/?account_id=A")


@pytest.mark.parametrize("path", ["alerts", "violations"])
def test_markup_in_names_and_texts_is_inert(path):
    look(0, broken(policy_name=MARKUP, message=MARKUP, symbol="<b>"))
    page = signed_in("vera", *ALL).read(f"/{path}/")
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page


def test_alerts_are_found_by_level_state_account_and_time():
    look(0, broken(), broken(policy_id="p-2", policy_type="soft", account_id="B"), accounts=("A", "B"))
    do_acknowledge_alert(acting=ALICE, alert_id=Alert.objects.get(account_id="A").pk, note="on it")
    reader = signed_in("vera", *ALL)

    def found(query: str) -> list[str]:
        return [row.account_id for row in reader.get(f"/alerts/?{query}").context["rows"]]

    assert found("level=warning") == ["B"]
    assert found("state=acknowledged") == ["A"]
    assert found("account_id=B&level=&since=") == ["B"]
    assert found("since=2099-01-01T00:00") == []
    assert "must be one of" in reader.read("/alerts/?level=loud", 400)


def test_an_alert_may_be_acted_on_by_those_who_may_until_it_is_resolved():
    look(0, broken())
    assert 'data-act="acknowledge"' in signed_in("vera", *ALL).read("/alerts/")
    assert "data-act=" not in signed_in("rita", "violations.view_alert").read("/alerts/")
    do_acknowledge_alert(acting=ALICE, alert_id=Alert.objects.get().pk, note="on it")
    page = signed_in("bob", *ALL).read("/alerts/")
    assert "by alice: on it" in page
    assert 'data-act="acknowledge"' not in page
    assert 'data-act="silence"' in page
    look(10, accounts=("A",))
    assert "data-act=" not in signed_in("carol", *ALL).read("/alerts/")


def test_each_leads_to_its_account_its_limit_and_its_decision():
    limit = str(uuid4())
    look(0, broken(policy_id=limit))
    decision = uuid4()
    Violation.objects.update(decision_id=decision, order_id="o-1")
    reader = signed_in("vera", *ALL)
    for path in ("alerts", "violations"):
        page = reader.read(f"/{path}/")
        assert 'href="/accounts/A/"' in page
        assert f"/admin/policies/policy/{limit}/change/" in page
        assert f'href="/decisions/{decision}/"' in page


def test_violations_are_found_by_whether_they_are_over():
    look(0, broken(), broken(policy_id="p-2"))
    look(10, broken())
    reader = signed_in("vera", *ALL)
    assert [row.policy_id for row in reader.get("/violations/?open=true").context["rows"]] == ["p-1"]
    assert [row.policy_id for row in reader.get("/violations/?open=false").context["rows"]] == ["p-2"]


@pytest.mark.parametrize("path", ["alerts", "violations"])
def test_they_take_as_many_queries_for_many_as_for_one(path):
    reader = signed_in("vera", *ALL)
    look(0, broken())
    few = reader.queries(f"/{path}/")
    look(1, *(broken(policy_id=f"p-{number}") for number in range(20)))
    assert reader.queries(f"/{path}/") == few
