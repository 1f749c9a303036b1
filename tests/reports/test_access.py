"""The report on access: who came in and who could not, and what was changed of people, groups and keys."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.test import RequestFactory
from django.utils import timezone

from access.evidence import record_failure, record_lock_out, record_sign_in, record_sign_out
from api.key_use_records import record_uses
from api.keys import do_create_key, do_revoke_key
from api.models import KeyUse
from audit.acting import system
from audit.models import AuditEvent
from audit.people import do_change_password, do_create_superuser, evidence, record_change
from audit.services import record
from reports.datasets.access import Access
from reports.table import Asked
from tests.reports.asking import ALL, cells, chart, column, figure

pytestmark = pytest.mark.django_db

REPORT = Access()


@pytest.fixture
def olga(db) -> User:
    """Somebody who may sign in, of whose making there is no event."""
    return User.objects.create_user("olga")


def request(address: str = "203.0.113.7"):
    return RequestFactory().get("/", REMOTE_ADDR=address)


def test_a_sign_in_says_from_where_and_by_which_second_factor(olga):
    record_sign_in(request(), olga, second_factor="code")
    (found,) = cells(REPORT)
    assert (found["what"], found["whom"], found["actor"]) == ("signed in", "olga", "olga")
    assert (found["address"], found["second_factor"]) == ("203.0.113.7", "code")
    assert (found["changes_rights"], found["difference"]) == (False, None)
    assert found["hash"] == AuditEvent.objects.get(pk=found["sequence"]).hash


def test_a_failure_of_a_name_that_nobody_has_is_told(olga):
    record_failure(request(), None, what="password")
    (found,) = cells(REPORT)
    assert (found["what"], found["whom"]) == ("failed to sign in", "a name that nobody has")
    assert found["actor"] == "somebody at 203.0.113.7"


def test_a_change_of_rights_is_told_with_what_came_and_marked(olga):
    before = evidence(olga)
    olga.groups.add(Group.objects.create(name="desk heads"))
    record_change(olga, "change", actor="root", reason="New role", before=before, after=evidence(olga))
    (found,) = cells(REPORT)
    assert (found["what"], found["changes_rights"]) == ("person changed", True)
    assert found["difference"] == "groups: nothing -> desk heads"


def test_a_change_of_a_name_changes_no_rights(olga):
    before = evidence(olga)
    record_change(olga, "change", actor="root", reason="r", before=before, after={**before, "last_name": "P."})
    assert column(REPORT, "changes_rights") == [False]


def test_a_new_superuser_changes_rights_and_a_password_does_not():
    do_create_superuser(actor="root", reason="First", username="olga")
    do_change_password(actor="root", reason="Lost", username="olga", password="long and good")
    told = [(each["what"], each["changes_rights"]) for each in cells(REPORT)]
    assert told == [("person made", True), ("password changed", False)]


def test_a_key_is_told_without_its_secret():
    made = do_create_key(acting=system("root"), reason="For the desk", name="oms", permissions=["check"])
    do_revoke_key(acting=system("root"), reason="Leaked", key_id=made.row.pk)
    created, revoked = cells(REPORT)
    assert (created["what"], created["whom"]) == ("API key made", "oms")
    assert "permissions: check" in created["difference"]
    assert (revoked["what"], revoked["changes_rights"]) == ("API key revoked", True)
    assert made.row.digest not in str((created, revoked))
    assert made.text not in str((created, revoked))


def test_what_has_nothing_to_do_with_people_and_keys_is_left_out():
    record(actor="a", action="policy.change", object_type="policy", object_id=1, object_label="p", reason="r")
    assert cells(REPORT) == []


def test_an_action_that_has_no_words_yet_is_told_by_its_name():
    record(actor="a", action="user.renamed", object_type="user", object_id=1, object_label="b", reason="r")
    assert column(REPORT, "what") == ["user.renamed"]


def test_asked_for_a_person_comes_what_they_did_and_what_was_done_to_them(olga):
    record_failure(request(), olga, what="password")
    record_sign_in(request(), olga, second_factor="none")
    record(
        actor="olga (key:cli)", action="group.change", object_type="group", object_id=1, object_label="g", reason="r"
    )
    record_sign_in(request(), User.objects.create_user("peter"), second_factor="none")
    assert column(REPORT, "whom", Asked(actor="olga")) == ["olga", "olga", "g"]


def test_asked_for_a_key_comes_what_it_did_and_what_was_done_to_it():
    do_create_key(acting=system("root"), reason="For the desk", name="oms", permissions=["check"])
    do_create_key(acting=system("root"), reason="For the desk", name="feed", permissions=["feed"])
    record(actor="key:oms", action="user.change", object_type="user", object_id=1, object_label="p", reason="r")
    assert column(REPORT, "whom", Asked(actor="key:oms")) == ["oms", "p"]


def test_a_period_has_its_own_events_only(olga):
    record_sign_in(request(), olga, second_factor="none")
    assert cells(REPORT, Asked(since=timezone.now() + timedelta(days=1))) == []
    assert cells(REPORT, Asked(until=timezone.now() - timedelta(days=1))) == []


def test_the_summary_counts_who_came_in_and_who_could_not(olga):
    for factor in ("none", "code"):
        record_sign_in(request(), olga, second_factor=factor)
    record_failure(request(), olga, what="password")
    record_lock_out(request(), olga, reason="5 wrong")
    record_sign_out(request(), olga, actor="olga", reason="Signed out")
    assert (figure(REPORT, "Sign-ins"), figure(REPORT, "People who signed in")) == ("2", "1")
    assert figure(REPORT, "Sign-ins without a second factor") == "1"
    assert (figure(REPORT, "Failures to sign in"), figure(REPORT, "Lock-outs")) == ("1", "1")
    assert chart(REPORT, "Failures to sign in, by name").labels == ("olga",)
    assert chart(REPORT, "Sign-ins per minute").values == (2.0,)


def test_the_summary_counts_the_keys_that_are_good_and_what_they_changed():
    until_when = {"oms": None, "feed": timezone.now() + timedelta(days=1), "gone": None}
    made = [
        do_create_key(acting=system("root"), reason="r", name=name, permissions=["check"], expires_at=until)
        for name, until in until_when.items()
    ]
    do_revoke_key(acting=system("root"), reason="r", key_id=made[-1].row.pk)
    record(
        actor="key:oms", action="symbol.lift", object_type="restrictedsymbol", object_id=1, object_label="s", reason="r"
    )
    assert (figure(REPORT, "API keys that are good"), figure(REPORT, "Of these without an end")) == ("2", "1")
    assert figure(REPORT, "Changes of API keys") == "4"
    assert chart(REPORT, "Changes made with API keys, by who made them").labels == ("key:oms",)


def test_the_use_of_a_key_is_told_by_the_hour_and_is_no_change_of_it():
    made = do_create_key(acting=system("root"), reason="r", name="oms", permissions=["check"])
    begun = timezone.now().replace(minute=0, second=0, microsecond=0)
    for number in (1, 2):
        KeyUse.objects.create(
            key=made.row, hour=begun - number * timedelta(hours=1), admitted=1_200, refused=3, limited=2
        )
    assert record_uses(begun + timedelta(minutes=5)) == 2
    _, first, second = cells(REPORT)
    assert (first["what"], first["whom"], first["changes_rights"]) == ("API key used in an hour", "oms", False)
    assert "admitted: 1200" in first["difference"]
    assert f"{begun - timedelta(hours=2):%Y-%m-%d %H}" in first["difference"].replace("T", " ")
    assert f"{begun - timedelta(hours=1):%Y-%m-%d %H}" in second["difference"].replace("T", " ")
    told = ("API keys that were used", "Requests let in with API keys", "Requests refused with API keys")
    assert [figure(REPORT, each) for each in told] == ["1", "2,400", "6"]
    assert figure(REPORT, "Requests limited with API keys") == "4"
    assert figure(REPORT, "Changes of API keys") == "1"
    uses = chart(REPORT, "Requests let in with API keys, by key")
    assert (uses.labels, uses.values) == (("oms",), (2400.0,))
    assert column(REPORT, "whom", Asked(actor="key:oms")) == ["oms", "oms", "oms"]


def test_it_is_about_no_book_and_for_nobody_who_is_for_some_accounts():
    assert REPORT.books(Asked(), ALL) is None
    assert REPORT.of_all
