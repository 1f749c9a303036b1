"""Reports by the clock: whose they are, that each is asked for once, and that rights count when it is due."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from audit.acting import Acting, NotAllowed
from audit.models import AccountGrant, AuditEvent
from audit.rights import acting_of
from reports.asking import read
from reports.background import run_next
from reports.errors import NoSuchReport, ReportError
from reports.making import make
from reports.models import Cadence, Report, Schedule, State
from reports.rhythm import Rhythm
from reports.schedules import Planned, do_add_schedule, do_remove_schedule, do_switch_schedule, of_those, run_due
from reports.table import Asked
from tests.reports.subjects import Numbers, actions, wanted

pytestmark = pytest.mark.django_db(transaction=True)

DAILY = Rhythm(cadence=Cadence.DAILY, day=1, minute=390, zone="UTC")


@pytest.fixture(autouse=True)
def _numbers(numbers: Numbers) -> None:
    """Every test here has them."""


def person(name: str, *codenames: str, accounts: tuple[str, ...] = (), email: str = "") -> User:
    user = User.objects.create(username=name, is_staff=True, email=email)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    AccountGrant.objects.bulk_create(AccountGrant(user=user, account_id=each) for each in accounts)
    return user


def who(user: User) -> Acting:
    """Return somebody with the rights that they have now."""
    return acting_of(User.objects.get(pk=user.pk))


@pytest.fixture
def alice() -> User:
    return person("alice", "view_orderdecision", email="alice@example.com")


def add(
    user: User, rhythm: Rhythm = DAILY, *, to: tuple[str, ...] = (), name: str = "numbers", **about: Any
) -> Schedule:
    planned = Planned(wanted=wanted(name, **about), rhythm=rhythm, recipients=to)
    return do_add_schedule(acting=who(user), planned=planned)


def due(schedule: Schedule, days: int = 0) -> datetime:
    return schedule.next_at + timedelta(days=days)


def again(schedule: Schedule) -> Schedule:
    return Schedule.objects.get(pk=schedule.pk)


# --------------------------------------------------------------------------------------------------- refused
def test_a_machine_has_none():
    with pytest.raises(ReportError, match="Only a person"):
        do_add_schedule(
            acting=Acting("key:oms", frozenset({"audit.view_orderdecision"})),
            planned=Planned(wanted=wanted(), rhythm=DAILY),
        )


def test_who_may_not_have_the_report_has_no_schedule_of_it():
    with pytest.raises(NotAllowed):
        add(person("norman"))


@pytest.mark.parametrize(
    ("rhythm", "about", "field"),
    [
        (Rhythm(cadence=Cadence.DAILY, day=1, minute=0, zone="Mars/Olympus"), {}, "zone"),
        (Rhythm(cadence=Cadence.DAILY, day=1, minute=1_440, zone="UTC"), {}, "minute"),
        (Rhythm(cadence=Cadence.WEEKLY, day=8, minute=0, zone="UTC"), {}, "day"),
        (Rhythm(cadence=Cadence.MONTHLY, day=0, minute=0, zone="UTC"), {}, "day"),
        (DAILY, {"since": datetime(2026, 1, 1, tzinfo=UTC)}, "since"),
        (DAILY, {"policy": "p-1"}, "policy"),
        (DAILY, {"format_": "exe"}, "format"),
    ],
)
def test_what_cannot_be_is_named(alice, rhythm, about, field):
    with pytest.raises(ValidationError) as refused:
        add(alice, rhythm, **about)
    assert list(refused.value.message_dict) == [field]


@pytest.mark.parametrize("address", ["nobody", "norman@example.com", "dora@example.com", "stranger@example.net"])
def test_an_address_of_nobody_who_may_see_it_is_refused(alice, address):
    person("norman", email="norman@example.com")
    person("dora", "view_orderdecision", accounts=("A",), email="dora@example.com")
    with pytest.raises(ValidationError, match="address"):
        add(alice, to=("alice@example.com", address))


def test_addresses_of_people_who_may_see_it_and_of_trusted_domains_are_taken(alice, settings):
    settings.RISK_REPORT_MAIL_DOMAINS = ["audit.example"]
    assert add(alice, to=("ALICE@example.com", "office@Audit.example")).recipients


def test_who_is_not_its_owner_neither_switches_nor_removes_it(alice):
    schedule = add(alice)
    bob = person("bob", "view_orderdecision")
    with pytest.raises(NoSuchReport):
        do_remove_schedule(acting=who(bob), schedule_id=schedule.pk)
    auditor = person("audrey", "view_orderdecision", "view_auditevent")
    with pytest.raises(NotAllowed):
        do_switch_schedule(acting=who(auditor), schedule_id=schedule.pk, enabled=False)
    assert list(of_those(who(auditor))) == [schedule]


# ------------------------------------------------------------------------------------------------------- due
def test_it_is_asked_for_when_it_is_due_about_the_day_before(alice):
    schedule = add(alice, symbol="BTCUSDT")
    assert run_due(due(schedule) - timedelta(seconds=1)) == 0
    run_due(due(schedule))
    (report,) = Report.objects.all()
    asked, midnight = read(report.filters), due(schedule).replace(hour=0, minute=0)
    assert asked == Asked(since=midnight - timedelta(days=1), until=midnight, symbol="BTCUSDT")
    assert (report.asked_by, report.person, report.state) == ("alice", alice, State.WAITING)
    assert actions() == ["report_schedule.add", "report.ask"]
    assert again(schedule).next_at == due(schedule, 1)


def test_a_report_of_one_moment_is_of_the_moment_when_it_is_due(alice):
    schedule = add(alice, name="all_numbers")
    Schedule.objects.update(next_at=due(schedule, -1))  # of what is still to come there is no report
    run_due(timezone.now())
    (report,) = Report.objects.all()
    assert read(report.filters).at == report.due_at == again(schedule).last_at


def test_what_was_missed_is_made_up_for_period_by_period(alice):
    schedule = add(alice)
    run_due(due(schedule, 2))
    reports = list(Report.objects.order_by("due_at"))
    assert [report.due_at for report in reports] == [due(schedule, day) for day in range(3)]
    assert read(reports[1].filters).since == read(reports[0].filters).until


def test_two_workers_ask_once(alice):
    schedule = add(alice)
    together = threading.Barrier(4)

    def work() -> None:
        together.wait()
        run_due(due(schedule))
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert Report.objects.count() == 1


def test_a_restart_asks_for_nothing_twice(alice):
    schedule = add(alice)
    run_due(due(schedule))
    run_due(due(schedule))
    assert Report.objects.count() == 1


def test_one_that_rests_asks_for_nothing_and_makes_up_for_nothing(alice):
    schedule = add(alice)
    do_switch_schedule(acting=who(alice), schedule_id=schedule.pk, enabled=False)
    assert run_due(due(schedule, 5)) == 0
    Schedule.objects.update(next_at=timezone.now() - timedelta(days=5))
    do_switch_schedule(acting=who(alice), schedule_id=schedule.pk, enabled=True)
    assert again(schedule).next_at > timezone.now()


# ---------------------------------------------------------------------------------------------- rights then
def test_one_whose_owner_lost_the_right_is_not_made_and_says_so(alice, caplog):
    schedule = add(alice)
    alice.user_permissions.clear()
    run_due(due(schedule))
    assert not Report.objects.exists()
    assert "audit.view_orderdecision" in again(schedule).problem
    assert "was not made" in caplog.text
    assert AuditEvent.objects.order_by("-sequence")[0].action == "report_schedule.miss"
    assert again(schedule).next_at == due(schedule, 1)


@pytest.mark.parametrize("how", ["left", "deleted"])
def test_one_whose_owner_has_left_is_not_made(alice, how):
    schedule = add(alice)
    if how == "left":
        User.objects.update(is_active=False)
    else:
        alice.delete()
    run_due(due(schedule))
    assert not Report.objects.exists()
    assert again(schedule).problem == "alice is not with us any more."


def test_one_whose_owner_is_for_some_accounts_by_now_is_limited_to_them(alice):
    schedule = add(alice)
    AccountGrant.objects.create(user=alice, account_id="A")
    run_due(due(schedule))
    assert Report.objects.get().accounts == ["A"]


def test_one_that_could_not_be_made_says_so_at_its_schedule(alice, numbers):
    schedule = add(alice)
    numbers.counted = 1
    run_due(due(schedule))
    run_next(timezone.now(), make)
    assert "rows were written" in again(schedule).problem


def test_its_reports_stay_when_it_is_removed(alice):
    schedule = add(alice)
    run_due(due(schedule))
    do_remove_schedule(acting=who(alice), schedule_id=UUID(str(schedule.pk)))
    assert Report.objects.get().schedule is None
    assert actions()[-1] == "report_schedule.remove"
