"""The pages of reports: who sees what, what is asked for and how it begins, and what is made by the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError

from reports import views_new
from reports.datasets import DATASETS
from reports.models import Report, Schedule, State
from reports.presets import presets
from reports.table import Asked, Row
from tests.dashboard.world import MARKUP, Reader, signed_in
from tests.reports.subjects import VIEW, Numbers, actions

pytestmark = pytest.mark.django_db(transaction=True)

NEW, PREVIEW = "/reports/new?kind=numbers", "/reports/preview?kind=numbers"


@pytest.fixture(autouse=True)
def _numbers(numbers: Numbers) -> None:
    """Every test here has them."""


@pytest.fixture
def rita() -> Reader:
    """Somebody who may see the rows of the report of numbers."""
    return signed_in("rita", VIEW)


def send(reader: Reader, path: str = NEW, status: int = 302, **fields: str) -> str:
    """Send the form, and return where it leads."""
    answer = reader.client.post(path, {"format": "txt", "do": "take", **fields})
    assert answer.status_code == status, answer.content.decode()[-2_000:]
    return str(answer.headers.get("Location", "")) or answer.content.decode()


def only() -> Report:
    return Report.objects.get()


# ------------------------------------------------------------------------------------------------- who sees
def test_who_may_see_nothing_is_refused():
    assert "policies.view_policy" in signed_in("norman").read("/reports/", 403)


def test_who_is_not_signed_in_is_led_there(client):
    assert client.get("/reports/").status_code == 302


def test_who_is_no_staff_is_refused_every_address(rita):
    send(rita)
    User.objects.update(is_staff=False)
    for path in ("/reports/", NEW, PREVIEW, "/reports/progress", f"/reports/{only().pk}/file"):
        assert rita.client.get(path).status_code in (302, 403)
    assert rita.client.post(f"/reports/{only().pk}/cancel").status_code in (302, 403)
    assert actions().count("report.download") == 0


def test_a_report_that_one_may_not_have_is_not_offered_and_not_there(rita):
    assert "kind=policy_changes" not in rita.read("/reports/")
    rita.get("/reports/new?kind=policy_changes", 404)
    rita.get("/reports/preview?kind=policy_changes", 404)
    rita.get("/reports/new", 404)


def test_the_reports_of_others_are_shown_to_who_reads_the_audit_log_alone(rita):
    send(rita)
    assert "numbers-" not in signed_in("bob", VIEW).read("/reports/")
    page = signed_in("audrey", VIEW, "audit.view_auditevent").read("/reports/")
    assert str(only().pk) in page
    assert ">Cancel<" not in page


def test_a_report_of_all_accounts_is_not_shown_to_who_is_for_some(rita):
    send(rita)
    limited = signed_in("dora", VIEW, "audit.view_auditevent", accounts=("A",))
    assert str(only().pk) not in limited.read("/reports/")


def test_the_page_takes_as_many_queries_for_many_as_for_one(rita, large):
    send(rita)
    few = rita.queries("/reports/")
    for _ in range(10):
        send(rita)
    assert rita.queries("/reports/") == few


# --------------------------------------------------------------------------------------------- asking for it
def test_a_small_one_is_there_when_the_page_comes_back(rita):
    place = send(rita, since="2026-01-01T00:00", symbol="btcusdt")
    report = only()
    assert place == f"/reports/#report-{report.pk}"
    assert (report.state, report.filters["symbol"]) == (State.DONE, "BTCUSDT")
    page = rita.read("/reports/")
    assert report.sha256 in page
    assert "Since 2026-01-01 00:00:00 UTC" in page


@pytest.mark.parametrize("part", ["file", "manifest", "zip"])
def test_it_is_taken_away_from_there(rita, part):
    send(rita)
    answer = rita.get(f"/reports/{only().pk}/{part}")
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert answer.getvalue()
    assert actions()[-1] == "report.download"


def test_one_that_is_gone_says_so_on_the_page(rita, stored):
    send(rita)
    (stored / only().stored_as).unlink()
    assert rita.client.get(f"/reports/{only().pk}/file").status_code == 302
    assert "is gone" in rita.read("/reports/")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"since": "yesterday"}, "must be a moment"),
        ({"since": "2026-01-02T00:00", "until": "2026-01-01T00:00"}, "not after the beginning"),
        ({"format": "exe"}, "It is written as"),
    ],
)
def test_what_it_cannot_be_about_is_said_at_its_field(rita, fields, problem):
    assert problem in send(rita, status=400, **fields)
    assert not Report.objects.exists()


def test_what_was_filled_in_stays_filled_in(rita):
    assert 'value="BTCUSDT"' in rita.read(f"{NEW}&symbol=BTCUSDT&since=2026-01-31T14:03:07Z")
    assert 'value="2026-01-31T14:03:07"' in rita.read(f"{NEW}&since=2026-01-31T14:03:07Z")
    assert 'value="ETHUSDT"' in send(rita, status=400, symbol="ETHUSDT", format="exe")


def test_markup_in_what_was_asked_is_inert(rita, numbers):
    page = send(rita, status=400, account_id=MARKUP)
    assert "<script>alert" not in page
    numbers.filters = frozenset({"policy"})
    send(rita, policy=MARKUP)
    assert "<script>alert" not in rita.read("/reports/")


def test_one_that_fails_says_why(rita, numbers):
    numbers.counted = 1
    send(rita)
    assert "3 rows were written of 4" in rita.read("/reports/")


def test_progress_is_told_of_those_that_one_may_see(rita, large):
    send(rita)
    key = str(only().pk)
    assert rita.get("/reports/progress").json() == {key: {"state": "waiting", "done": 0, "total": 3}}
    assert signed_in("bob", VIEW).get("/reports/progress").json() == {}
    assert 'value="0"' in rita.read("/reports/")


def test_one_that_waits_is_cancelled(rita, large):
    send(rita)
    assert rita.client.post(f"/reports/{only().pk}/cancel").status_code == 302
    assert only().state == State.CANCELLED
    rita.client.post(f"/reports/{only().pk}/cancel")
    assert "nothing to cancel" in rita.read("/reports/")


# ------------------------------------------------------------------------------------------------ a look first
def test_it_is_looked_at_before_it_is_taken_away(rita, numbers):
    numbers.rows_there = 50
    page = rita.read(PREVIEW)
    assert "The first 20 of 50 rows" in page
    assert "&lt;b&gt;19&lt;/b&gt;" in page
    assert "&lt;b&gt;20&lt;/b&gt;" not in page


def test_what_is_said_of_all_of_it_is_looked_at_too(rita):
    page = rita.read(f"{PREVIEW}&part=summary")
    assert "<dt>Numbers</dt>" in page
    assert "None is left out." in page


def test_a_look_is_limited_to_the_accounts_that_one_is_for(numbers):
    signed_in("dora", VIEW, accounts=("A",)).read(PREVIEW)
    assert numbers.asked == [(Asked(), frozenset({"A"}))]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("&since=yesterday", "must be a moment"),
        ("&since=2026-01-02T00:00&until=2026-01-01T00:00", "not after the beginning"),
        ("&account_id=B", "is for some accounts only"),
    ],
)
def test_a_look_at_what_cannot_be_says_why(query, problem):
    assert problem in signed_in("dora", VIEW, accounts=("A",)).read(PREVIEW + query)


def test_a_look_that_takes_too_long_says_so(rita, numbers, monkeypatch):
    def late(*_: object) -> Iterator[Row]:
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr(numbers, "rows", late)
    assert f"longer than {views_new._LONGEST_S} s" in rita.read(PREVIEW)


def test_every_report_that_there_is_has_its_form_and_its_look():
    User.objects.create_superuser("sue")
    sue = Reader(User.objects.get(username="sue"))
    for name in DATASETS:
        assert "Take it away" in sue.read(f"/reports/new?kind={name}")
        sue.read(f"/reports/preview?kind={name}")
        sue.read(f"/reports/preview?kind={name}&part=summary")


# -------------------------------------------------------------------------------------------------- by the clock
def test_one_is_made_by_the_clock_rests_goes_on_and_is_removed(rita):
    clock = {"do": "schedule", "cadence": "weekly", "day": "5", "time": "17:30", "zone": "America/New_York"}
    assert send(rita, NEW, 302, since="2026-01-01T00:00", **clock) == "/reports/#schedules"
    schedule = Schedule.objects.get()
    assert (schedule.day, schedule.minute, schedule.filters) == (5, 17 * 60 + 30, {})
    assert "Every Friday at 17:30 (America/New_York)" in rita.read("/reports/")
    for verb, shown in (("rest", "it rests"), ("go-on", "Let it rest"), ("remove", "No report is made by the clock")):
        assert rita.client.post(f"/reports/schedules/{schedule.pk}/{verb}").status_code == 302
        assert shown in rita.read("/reports/")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"cadence": "hourly"}, "every day, week or month"),
        ({"time": "25:00"}, "at what time"),
        ({"day": "x"}, "by its number"),
        ({"zone": "Mars/Olympus"}, "no such zone"),
        ({"recipients": "norman@example.com"}, "Nobody who may see this report"),
    ],
)
def test_what_the_clock_cannot_do_is_said(rita, fields, problem):
    clock = {"do": "schedule", "cadence": "weekly", "day": "5", "time": "17:30", "zone": "UTC", **fields}
    assert problem in send(rita, NEW, 400, **clock)
    assert not Schedule.objects.exists()


# --------------------------------------------------------------------------------------------------- periods
@pytest.mark.parametrize(
    ("now", "zone", "roll", "today"),
    [
        ("2026-01-31T14:03:07", "UTC", 0, ("2026-01-31T00:00", "2026-02-01T00:00")),
        ("2026-03-29T12:00:00", "Europe/Berlin", 0, ("2026-03-28T23:00", "2026-03-29T22:00")),
        ("2026-01-31T21:59:00", "America/New_York", 17 * 60, ("2026-01-30T22:00", "2026-01-31T22:00")),
        ("2026-01-31T22:00:00", "America/New_York", 17 * 60, ("2026-01-31T22:00", "2026-02-01T22:00")),
        ("2026-01-31T05:59:00", "UTC", 6 * 60, ("2026-01-30T06:00", "2026-01-31T06:00")),
    ],
)
def test_today_is_the_trading_day(now, zone, roll, today):
    first, *_ = presets(datetime.fromisoformat(now).replace(tzinfo=UTC), zone, roll)
    assert tuple(f"{at:%Y-%m-%dT%H:%M}" for at in (first.since, first.until)) == today


def test_last_month_ends_where_this_one_begins():
    found = {each.word: each for each in presets(datetime(2026, 3, 31, 12, tzinfo=UTC), "UTC", 0)}
    assert found["Last month"].since == datetime(2026, 2, 1, tzinfo=UTC)
    assert found["Last month"].until == found["This month"].since == datetime(2026, 3, 1, tzinfo=UTC)


# --------------------------------------------------------------------------------------------------- the admin
def test_the_admin_shows_them_to_read_to_who_may_have_them(rita):
    send(rita)
    assert "numbers" in rita.read("/admin/reports/report/")
    assert only().sha256 in rita.read(f"/admin/reports/report/{only().pk}/change/")
    limited = signed_in("dora", VIEW, "audit.view_auditevent", accounts=("A",))
    assert str(only().pk) not in limited.read("/admin/reports/report/")
    signed_in("norman").get("/admin/reports/report/", 403)


def test_the_admin_shows_schedules_to_their_owner(rita):
    send(rita, do="schedule", cadence="daily", time="06:00", zone="UTC")
    page = rita.read(f"/admin/reports/schedule/{Schedule.objects.get().pk}/change/")
    assert "Every day at 06:00 (UTC)" in page
    assert "rita" not in signed_in("bob", VIEW).read("/admin/reports/schedule/")
