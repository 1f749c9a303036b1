"""Change requests when several people, processes and checks meet: real threads, each with its own connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from audit.verify import verify_chain
from policies.errors import PolicyError, StaleEdit, StaleRequest, WrongState
from policies.models import Book, ChangeRequest, State
from policies.requests import services
from policies.requests.publishing import publish_due
from riskcore.book import decode_book
from tests.policies.requesting import (
    ALICE,
    BOB,
    CAROL,
    approved,
    leverage,
    policy,
    published,
    seen,
    setting,
    submitted,
)
from tests.policies.subjects import live_book

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Do all of it at the same moment, and return what came of each: what it returned, or its error."""
    barrier, came = threading.Barrier(len(acts)), list[object](acts)

    def do(index: int) -> None:
        try:
            barrier.wait()
            came[index] = acts[index]()
        except PolicyError as error:
            came[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=(index,)) for index in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came


def test_of_two_requests_for_the_same_limit_one_goes_live_and_the_other_is_told_why(live):
    mine, others = leverage("8"), leverage("7", by=CAROL)
    submitted(others, by=CAROL)
    came = at_once(lambda: published(submitted(mine)), lambda: published(others, by=CAROL))
    refused = [each for each in came if isinstance(each, StaleEdit)]
    assert len(refused) == 1
    assert "threshold 10 →" in str(refused[0])
    assert Book.objects.count() == 2
    states = sorted(ChangeRequest.objects.values_list("state", flat=True))
    assert states == [State.DRAFT, State.PUBLISHED]
    assert verify_chain().intact


@pytest.mark.parametrize("attempt", range(4))
def test_an_approval_racing_an_edit_is_of_what_was_seen_or_refused(live, attempt):
    request = submitted(leverage("12"))
    shown = seen(request)
    edits = [setting(policy(), threshold="20")]
    at_once(
        lambda: services.do_approve_request(acting=BOB, **shown),
        lambda: services.do_edit_request(acting=ALICE, reason="More", edits=edits, **shown),
    )
    request.refresh_from_db()
    assert (request.state, request.version) == (State.DRAFT, 2)
    assert not request.steps.filter(what="approved", version=2).exists()
    submitted(request)
    with pytest.raises(StaleRequest):
        services.do_approve_request(acting=BOB, **shown)


def test_of_two_who_publish_the_same_request_one_does(live):
    request = approved(leverage("12"))
    came = at_once(*[lambda: published(request), lambda: published(request, by=CAROL)] * 2)
    assert sum(isinstance(each, WrongState) for each in came) == 3
    assert Book.objects.count() == 2
    assert request.steps.filter(what="published").count() == 1


def test_of_two_approvers_both_count_once(live, settings):
    settings.RISK_LOOSENING_APPROVALS = 2
    request = submitted(leverage("12"))
    came = at_once(*[lambda: services.do_approve_request(acting=BOB, **seen(request))] * 2)
    assert sum(isinstance(each, WrongState) for each in came) == 1
    request.refresh_from_db()
    assert request.state == State.SUBMITTED


def test_each_look_at_the_book_while_it_is_published_sees_exactly_one(live):
    """All limits of a request are in the live book, or none is: no check sees a book of two halves."""
    found: set[tuple[int, Decimal, Decimal]] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            book = live_book(live)
            limits = {each.name: each.threshold for each in book.policies}
            found.add((book.version, limits["Max Account Leverage"], limits["Max Open Positions"]))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for number in range(9, 4, -1):
            published(
                services.do_draft_request(
                    acting=ALICE,
                    reason="Review",
                    edits=[
                        setting(policy(), threshold=str(number)),
                        setting(policy("Max Open Positions"), threshold=str(number * 10)),
                    ],
                )
            )
    finally:
        stop.set()
        looking.join()
    assert all(leverage * 10 == positions for _, leverage, positions in found)
    assert (live_book(live).version, len({version for version, _, _ in found})) == (6, len(found))


# -------------------------------------------------------------------------------------------------- scheduled
def scheduled(request: ChangeRequest) -> ChangeRequest:
    moment = timezone.now() + timedelta(hours=1)
    return services.do_publish_request(acting=ALICE, at=moment, **seen(request)).request


def later(hours: float = 2) -> datetime:
    return timezone.now() + timedelta(hours=hours)


@pytest.mark.parametrize("year", [1, 2001, 9999])
def test_what_is_scheduled_for_the_past_or_for_some_other_year_is_refused(live, year):
    request = leverage("8")
    with pytest.raises(ValidationError):
        services.do_publish_request(acting=ALICE, at=datetime(year, 1, 1, tzinfo=UTC), **seen(request))
    assert request.steps.count() == 1


def test_what_is_scheduled_goes_live_when_its_moment_has_come_and_not_before(live):
    request = scheduled(approved(leverage("12")))
    assert request.state == State.SCHEDULED
    assert publish_due(timezone.now()) == 0
    assert live_book(live).version == 1
    assert publish_due(later()) == 1
    assert {each.name: each.threshold for each in live_book(live).policies}["Max Account Leverage"] == 12
    request.refresh_from_db()
    assert request.steps.get(what="published").actor == "schedule of alice"


def test_what_is_due_is_published_once_however_many_processes_ask(live):
    scheduled(leverage("8"))
    when = later()
    assert sum(at_once(*[lambda: publish_due(when)] * 3)) == 1  # type: ignore[arg-type]
    assert Book.objects.count() == 2


def test_what_may_not_be_published_at_its_moment_becomes_a_draft_again(live):
    request = scheduled(leverage("8"))
    published(leverage("9", by=CAROL), by=CAROL)
    assert publish_due(later()) == 0
    request.refresh_from_db()
    assert (request.state, request.publish_at) == (State.DRAFT, None)
    assert "changed meanwhile by carol" in request.problem
    assert live_book(live).version == 2
    assert publish_due(later()) == 0


def test_one_that_may_not_be_published_does_not_hold_up_the_next(live):
    scheduled(leverage("8"))
    published(leverage("9", by=CAROL), by=CAROL)
    scheduled(
        services.do_draft_request(
            acting=ALICE, reason="Review", edits=[setting(policy("Max Drawdown"), threshold="0.1")]
        )
    )
    assert publish_due(later()) == 1


def test_one_that_nobody_can_read_does_not_hold_up_the_next(live):
    broken = scheduled(leverage("8"))
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE policies_changerequest SET edits = '[{"kind": "weather"}]' WHERE id = %s""", [broken.pk]
        )
    scheduled(
        services.do_draft_request(
            acting=ALICE, reason="Review", edits=[setting(policy("Max Drawdown"), threshold="0.1")]
        )
    )
    assert publish_due(later()) == 1
    broken.refresh_from_db()
    assert broken.state == State.DRAFT  # it waits for somebody who looks at it, and is not tried again each second


def test_what_is_taken_off_the_schedule_does_not_go_live(live):
    request = scheduled(approved(leverage("12")))
    request = services.do_unschedule_request(acting=ALICE, **seen(request))
    assert request.state == State.APPROVED
    assert publish_due(later()) == 0
    assert published(request).book is not None


def test_what_is_scheduled_may_be_published_at_once(live):
    request = scheduled(leverage("8"))
    assert published(request).book is not None
    assert publish_due(later()) == 0


def test_the_book_that_is_published_by_the_clock_is_the_next(live):
    scheduled(leverage("8"))
    publish_due(later())
    book = Book.objects.get(version=2)
    assert (book.actor, book.reason) == ("schedule of alice", "Review")
    assert decode_book(book.content.encode()).version == 2
