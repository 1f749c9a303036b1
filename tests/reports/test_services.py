"""Asking for a report, and what becomes of it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import OperationalError, connection
from django.utils import timezone

from audit.acting import Acting, NotAllowed, NotTheirAccount, acting
from audit.manifest import decode_manifest
from reports import background, services
from reports.background import MOST_ATTEMPTS, expire, run_next
from reports.errors import NoSuchReport, NotThere, ReportError
from reports.files import open_file
from reports.making import make
from reports.models import Report, State
from reports.services import do_ask_report, do_cancel_report, do_take_report
from tests.reports.subjects import (
    ALICE,
    AUDITOR,
    BOB,
    DESK,
    NOBODY,
    START,
    VIEW,
    Gate,
    Numbers,
    actions,
    again,
    ask,
    until,
    wanted,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _numbers(numbers: Numbers) -> None:
    """Every test here has them."""


@pytest.fixture
def gate(numbers: Numbers) -> Iterator[Gate]:
    """The making of reports stands still at the first row."""
    found = Gate()
    numbers.on_row = found
    yield found
    found.open.set()


def take(who: Acting, report: Report, what: str = "file") -> Report:
    return do_take_report(acting=who, report_id=report.pk, what=what)


def beside(report: Report) -> threading.Thread:
    """Make a report that waits in a thread of its own."""

    def work() -> None:
        run_next(timezone.now(), make)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def left(stored: Path) -> list[str]:
    return sorted(path.name for path in stored.rglob("*") if path.is_file())


# ------------------------------------------------------------------------------------------------ refused
def test_who_may_not_see_its_rows_gets_none():
    with pytest.raises(NotAllowed, match=VIEW):
        ask(NOBODY)
    assert not Report.objects.exists()


def test_an_account_that_one_is_not_for_is_refused():
    with pytest.raises(NotTheirAccount):
        ask(DESK, account_id="B")


def test_what_concerns_all_accounts_is_refused_to_who_is_for_some():
    with pytest.raises(NotTheirAccount, match="All numbers"):
        do_ask_report(acting=DESK, wanted=wanted("all_numbers", at=START))


def test_a_report_that_there_is_not_is_refused():
    with pytest.raises(NoSuchReport):
        do_ask_report(acting=ALICE, wanted=wanted("letters"))


@pytest.mark.parametrize(
    ("name", "filters", "field"),
    [
        ("numbers", {"policy": "p-1"}, "policy"),
        ("numbers", {"since": START, "until": START}, "until"),
        ("numbers", {"symbol": "A\nB"}, "symbol"),
        ("numbers", {"symbol": "A" * 201}, "symbol"),
        ("numbers", {"since": datetime(2026, 1, 1)}, "since"),  # noqa: DTZ001 - that is what is refused
        ("all_numbers", {}, "at"),
        ("all_numbers", {"at": START + timedelta(days=36_500)}, "at"),
    ],
)
def test_what_it_cannot_be_about_is_named(name, filters, field):
    with pytest.raises(ValidationError) as refused:
        do_ask_report(acting=ALICE, wanted=wanted(name, **filters))
    assert list(refused.value.message_dict) == [field]


def test_a_format_that_there_is_not_is_named():
    with pytest.raises(ValidationError) as refused:
        do_ask_report(acting=ALICE, wanted=wanted(format_="exe"))
    assert list(refused.value.message_dict) == ["format"]


def test_nobody_has_more_than_so_many_still_to_come(large, monkeypatch):
    monkeypatch.setattr(services, "MOST_UNFINISHED", 2)
    ask()
    ask()
    with pytest.raises(ReportError, match="still to come"):
        ask()
    ask(BOB)


# --------------------------------------------------------------------------------------------- made at once
def test_a_small_one_is_there_at_once_with_its_manifest(stored):
    report = ask(since=START)
    content = open_file(report).read()
    manifest = decode_manifest(report.manifest.encode())
    assert report.state == State.DONE
    assert content == b"(0, '<b>0</b>')\n(1, '<b>1</b>')\n(2, '<b>2</b>')\n"
    assert manifest.sha256 == report.sha256 == sha256(content).hexdigest()
    assert (manifest.bytes, manifest.rows, manifest.rows_in_file) == (len(content), 3, 3)
    assert (manifest.first_book, manifest.last_book, manifest.asked_by) == (1, 4, "alice")
    assert manifest.filters == (("Since", "2026-01-01 00:00:00 UTC"),)
    assert manifest.columns == ("number", "word")
    assert left(stored) == [report.stored_as]


def test_the_manifest_says_where_the_chain_ended_before_the_report_was_made():
    report = ask()
    manifest = decode_manifest(report.manifest.encode())
    assert actions() == ["report.ask", "report.make"]
    assert manifest.events == 1


def test_only_the_process_may_read_what_it_has_written(stored):
    report = ask()
    modes = [os.stat(path).st_mode & 0o777 for path in (stored, stored / report.stored_as)]
    assert modes == [0o700, 0o600]


def test_the_accounts_of_whoever_asks_are_kept_and_limit_it(numbers):
    report = ask(DESK)
    assert report.accounts == ["A"]
    assert numbers.asked[-1][1] == {"A"}
    assert decode_manifest(report.manifest.encode()).filters == (("Of accounts", "A"),)


def test_a_person_behind_a_key_is_known():
    User.objects.create(username="alice")
    report = ask(Acting("alice (key:cli)", frozenset({VIEW}), person="alice"))
    assert report.person is not None
    take(Acting("alice", frozenset({VIEW}), person="alice"), report)


def test_where_others_are_being_made_at_once_a_small_one_waits():
    with services._INLINE, services._INLINE:
        assert ask().state == State.WAITING


def test_one_that_takes_longer_than_somebody_can_wait_is_made_in_the_background(numbers, monkeypatch, stored):
    monkeypatch.setattr(services, "_LONGEST_S", 0.1)
    numbers.on_row = lambda: time.sleep(0.5)
    report = ask()
    assert (report.state, report.attempt) == (State.WAITING, 1)
    assert left(stored) == []
    numbers.on_row = lambda: None
    assert run_next(timezone.now(), make)
    assert again(report).state == State.DONE


def test_one_whose_rows_take_long_to_count_is_made_in_the_background(numbers, monkeypatch):
    def late(*_: object) -> int:
        raise OperationalError("canceling statement due to statement timeout")

    with monkeypatch.context() as patch:
        patch.setattr(numbers, "count", late)
        report = ask()
    assert (report.state, report.total) == (State.WAITING, 0)
    run_next(timezone.now(), make)
    assert (again(report).state, again(report).total) == (State.DONE, 3)


def test_one_of_what_cannot_be_read_is_refused(numbers, monkeypatch):
    def fail(*_: object) -> int:
        raise ValueError("book 3 is damaged")

    monkeypatch.setattr(numbers, "count", fail)
    with pytest.raises(ReportError, match="book 3 is damaged"):
        ask()


def test_fewer_rows_than_were_counted_are_a_failure_and_no_file(numbers, stored):
    numbers.counted = 1
    report = ask()
    assert report.state == State.FAILED
    assert "3 rows were written of 4" in report.problem
    assert left(stored) == []


def test_an_error_is_told_and_leaves_no_file(numbers, stored):
    def fail() -> None:
        raise RuntimeError("the disk is full")

    numbers.on_row = fail
    report = ask()
    assert report.state == State.FAILED
    assert report.problem == "It could not be made: RuntimeError: the disk is full"
    assert left(stored) == []


# ------------------------------------------------------------------------------------------ in the background
def test_a_large_one_waits_for_a_process(large):
    report = ask()
    assert (report.state, report.attempt, report.total) == (State.WAITING, 0, 3)
    assert run_next(timezone.now(), make)
    assert again(report).state == State.DONE
    assert not run_next(timezone.now(), make)


def test_the_one_that_has_waited_longest_comes_first(large):
    first, second = ask(), ask()
    run_next(timezone.now(), make)
    assert (again(first).state, again(second).state) == (State.DONE, State.WAITING)


def test_one_is_made_at_a_time_however_many_workers_there_are(large):
    reports = [ask().pk for _ in range(3)]
    begun: list[object] = []
    together = threading.Barrier(4)

    def work() -> None:
        together.wait()
        run_next(timezone.now(), lambda key, _attempt: begun.append(key))
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert begun == reports[:1]


def test_one_whose_process_is_gone_is_begun_anew(large):
    gone = ask()
    run_next(timezone.now(), lambda *_: None)
    assert again(gone).state == State.RUNNING
    assert not run_next(timezone.now() + timedelta(seconds=10), make)
    assert run_next(timezone.now() + timedelta(minutes=1), make)
    assert (again(gone).state, again(gone).attempt) == (State.DONE, 2)


def test_one_whose_processes_end_again_and_again_has_failed_and_lets_the_next_one_go(large):
    gone, waiting = ask(), ask()
    for attempt in range(MOST_ATTEMPTS):
        run_next(timezone.now() + timedelta(minutes=attempt), lambda *_: None)
    assert run_next(timezone.now() + timedelta(minutes=MOST_ATTEMPTS), make)
    assert (again(gone).state, again(waiting).state) == (State.FAILED, State.DONE)
    assert "ended" in again(gone).problem


def test_a_process_that_was_given_up_keeps_nothing_when_it_wakes(large, gate, stored):
    report = ask()
    thread = beside(report)
    assert gate.reached.wait(60)
    Report.objects.filter(pk=report.pk).update(attempt=2)  # another process has it
    gate.open.set()
    thread.join()
    assert (again(report).state, again(report).attempt) == (State.RUNNING, 2)
    assert left(stored) == []


def test_progress_is_told_while_it_is_made(large, numbers, gate):
    report = ask()
    numbers.rows_there = 4  # one more than when it was asked for
    thread = beside(report)
    assert gate.reached.wait(60)
    until(lambda: again(report).total == 4)
    gate.open.set()
    thread.join()
    assert (again(report).done, again(report).total) == (4, 4)


def test_it_goes_on_being_alive_while_a_query_takes_long(large, gate):
    report = ask()
    thread = beside(report)
    assert gate.reached.wait(60)
    seen = again(report).alive_at
    until(lambda: again(report).alive_at != seen)
    gate.open.set()
    thread.join()


def test_one_that_is_told_to_stop_waits_again(large, numbers):
    def stop() -> None:
        raise KeyboardInterrupt

    report = ask()
    numbers.on_row = stop
    with pytest.raises(KeyboardInterrupt):
        run_next(timezone.now(), make)
    assert again(report).state == State.WAITING


# ------------------------------------------------------------------------------------------------- cancelled
def test_who_did_not_ask_for_it_cannot_cancel_it(large):
    report = ask()
    with pytest.raises(NoSuchReport):
        do_cancel_report(acting=BOB, report_id=report.pk)
    with pytest.raises(NotAllowed, match="did not ask"):
        do_cancel_report(acting=AUDITOR, report_id=report.pk)
    assert again(report).state == State.WAITING


def test_one_that_waits_is_cancelled_and_never_made(large):
    report = ask()
    assert do_cancel_report(acting=ALICE, report_id=report.pk).state == State.CANCELLED
    assert not run_next(timezone.now(), make)
    assert actions() == ["report.ask", "report.cancel"]


def test_one_that_is_being_made_is_cancelled_and_leaves_no_file(large, gate, stored):
    report = ask()
    thread = beside(report)
    assert gate.reached.wait(60)
    do_cancel_report(acting=ALICE, report_id=report.pk)
    gate.open.set()
    thread.join()
    assert again(report).state == State.CANCELLED
    assert left(stored) == []


def test_a_query_that_takes_long_is_broken_off_when_it_is_cancelled(large, numbers, stored):
    def take_for_ever() -> None:
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SELECT pg_sleep(600)")
            else:
                cursor.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")

    numbers.on_row = take_for_ever
    report = ask()
    thread = beside(report)
    until(lambda: again(report).state == State.RUNNING)
    do_cancel_report(acting=ALICE, report_id=report.pk)
    thread.join(60)
    assert not thread.is_alive()
    assert left(stored) == []


def test_one_that_is_done_is_not_cancelled_any_more():
    report = ask()
    with pytest.raises(ReportError, match="nothing to cancel"):
        do_cancel_report(acting=ALICE, report_id=report.pk)


# ----------------------------------------------------------------------------------------------- taken away
def test_who_did_not_ask_for_it_does_not_know_of_it():
    with pytest.raises(NoSuchReport):
        take(BOB, ask())


def test_who_reads_the_audit_log_may_have_the_reports_of_others():
    take(AUDITOR, ask())
    assert actions()[-1] == "report.download"


def test_rights_that_were_withdrawn_count():
    report = ask()
    with pytest.raises(NoSuchReport):
        take(acting("alice", []), report)


def test_who_is_for_some_accounts_by_now_has_no_report_of_all_or_of_others():
    of_all, of_two = ask(), ask(acting("alice", [VIEW], ["A", "B"]))
    now_of_one = acting("alice", [VIEW], ["A"])
    for report in (of_all, of_two):
        with pytest.raises(NoSuchReport):
            take(now_of_one, report)
    take(acting("alice", [VIEW], ["A", "B", "C"]), of_two)


def test_one_that_is_not_made_is_not_to_be_had(large):
    report = ask()
    with pytest.raises(NotThere, match="still to be made"):
        take(ALICE, report)


def test_a_file_that_is_not_as_long_as_it_was_is_not_given_away(stored):
    report = ask()
    with (stored / report.stored_as).open("ab") as file:
        file.write(b"more")
    with pytest.raises(NotThere):
        open_file(report)


def test_a_file_that_is_gone_is_said_to_be(stored):
    report = ask()
    (stored / report.stored_as).unlink()
    with pytest.raises(NotThere, match="gone"):
        open_file(report)


# ----------------------------------------------------------------------------------------------- over
def test_after_its_time_the_file_is_removed_and_the_row_stays(stored, settings):
    report = ask()
    days = timedelta(days=settings.RISK_REPORT_DAYS)
    assert expire(timezone.now() + days - timedelta(minutes=1)) == 0
    assert expire(timezone.now() + days) == 1
    assert again(report).state == State.EXPIRED
    assert json.loads(again(report).manifest)["sha256"] == report.sha256
    assert left(stored) == []
    with pytest.raises(NotThere, match="removed for its age"):
        take(ALICE, report)


def test_what_killed_processes_have_left_is_swept_and_nothing_else(large, gate, stored):
    thread = beside(ask())
    assert gate.reached.wait(60)
    (making,) = left(stored)
    for name in ("unfinished/018f0000-0000-7000-8000-000000000000-1.txt", "018f0000-0000-7000-8000-000000000000-1.txt"):
        (stored / name).write_text("half of it")
    assert expire(timezone.now()) == 2
    assert left(stored) == [making]
    gate.open.set()
    thread.join()
    assert expire(timezone.now()) == 0


def test_processes_that_have_ended_are_taken_away(monkeypatch):
    class Ended:
        def poll(self) -> int:
            return 0

    monkeypatch.setattr(background, "_children", [Ended()])
    run_next(timezone.now())
    assert background._children == []
