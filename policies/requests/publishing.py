"""Publishes requests: all edits in one transaction, one book, live on the next check after its commit."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from audit.acting import Acting, system
from policies import book as books
from policies.changes import finish, said_of
from policies.direction import Direction
from policies.errors import NeedsApproval, PolicyError
from policies.models import Book, ChangeRequest, State, Step
from policies.requests.applying import apply_edits
from policies.requests.rules import Action, demand, missing_approvals
from policies.requests.scope import check_accounts
from policies.requests.steps import lock_request, take_step
from policies.requests.trying import edits_of, look_at, try_edits

logger = logging.getLogger(__name__)


@dataclass
class Published:
    """What became of publishing a request. `book` is None where it waits for its moment.

    `live` is None until the transaction commits; then it says whether checks go by the book already. False:
    the live state is away, and the refresh task publishes the book when it is back.
    """

    request: ChangeRequest
    book: Book | None = None
    live: bool | None = None

    def __str__(self) -> str:
        if self.book is None:
            return f"Request {self.request.pk} goes live at {self.request.publish_at:%Y-%m-%d %H:%M} UTC."
        return said_of(self.book, live=bool(self.live))


def publish(acting: Acting, request_id: int, expected_version: int | None, at: datetime | None) -> Published:
    """Publish a request now, or at a moment to come; see `do_publish_request`."""
    outcome = _publish_or_return(acting, request_id, expected_version, at)
    if isinstance(outcome, Published):
        return outcome
    raise outcome  # after the commit: that it became a draft again stays


def publish_due(now: datetime) -> int:
    """Publish every scheduled request whose moment has come, the earliest first, and return how many went live.

    One that may not be published any more becomes a draft again, with the reason told. Several processes may ask at
    the same time: each request is published once.
    """
    due = ChangeRequest.objects.filter(state=State.SCHEDULED, publish_at__lte=now).order_by("publish_at", "id")
    done = 0
    for request in list(due):
        try:
            publish(system(_scheduled_by(request)), request.pk, request.version, None)
        except (PolicyError, ValidationError) as error:
            logger.warning("request %s was to be published by now: %s", request.pk, text_of(error))
        except (OperationalError, InterfaceError):
            raise
        except Exception:  # one that nobody can read any more must not hold up the next
            logger.exception("request %s was to be published by now", request.pk)
        else:
            done += 1
    return done


def text_of(error: Exception) -> str:
    """Return why a request was refused, in a line."""
    return " ".join(error.messages) if isinstance(error, ValidationError) else str(error)


def _scheduled_by(request: ChangeRequest) -> str:
    return f"schedule of {request.steps.filter(what=Step.SCHEDULED).order_by('-id')[0].actor}"


@transaction.atomic
def _publish_or_return(
    acting: Acting, request_id: int, expected_version: int | None, at: datetime | None
) -> Published | PolicyError | ValidationError:
    books.lock_books()
    request = lock_request(request_id, expected_version)
    demand(Action.PUBLISH, request, acting)
    try:
        with transaction.atomic():
            check_accounts(acting, edits_of(request))
            return _schedule(request, acting, at) if at is not None else _publish(request, acting)
    except (PolicyError, ValidationError) as error:
        if not _to_be_returned(request, error):
            raise
        request.refresh_from_db()
        _return(request, acting, error)
        return error


def _publish(request: ChangeRequest, acting: Acting) -> Published:
    at, newest = timezone.now(), books.latest()
    before = books.build_book(0 if newest is None else newest.version)
    written = apply_edits(edits_of(request), actor=acting.name, reason=request.reason, at=at)
    tried = look_at(written, before, at)
    _judge(request, tried.direction)
    why = {"actor": acting.name, "reason": request.reason}
    book, _ = finish(written, **why, at=at, request=request.pk, built=tried.after)
    request.book, request.publish_at, request.problem = book, None, ""
    take_step(request, Step.PUBLISHED, actor=acting.name, at=at, note=f"Book {book.version}", state=State.PUBLISHED)
    made = Published(request, book)
    transaction.on_commit(lambda: _go_live(made, book))
    return made


def _schedule(request: ChangeRequest, acting: Acting, at: datetime) -> Published:
    _judge(request, try_edits(edits_of(request)).direction)
    request.publish_at, request.problem = at, ""
    note = f"For {at:%Y-%m-%d %H:%M:%S %Z}"
    take_step(request, Step.SCHEDULED, actor=acting.name, at=timezone.now(), note=note, state=State.SCHEDULED)
    return Published(request)


def _judge(request: ChangeRequest, direction: Direction) -> None:
    """Raise NeedsApproval where a request that goes in this direction needs more approvals than it has."""
    request.direction = direction
    missing = missing_approvals(request, direction)
    if missing is not None:
        raise missing


def _to_be_returned(request: ChangeRequest, error: Exception) -> bool:
    """Return whether a request becomes a draft again: not where it is one, or just waits for its approval."""
    return request.state != State.DRAFT and not (isinstance(error, NeedsApproval) and request.state == State.SUBMITTED)


def _return(request: ChangeRequest, acting: Acting, error: Exception) -> None:
    request.problem, request.direction, request.publish_at = text_of(error), "", None
    # What was approved was approved of limits that were others then.
    request.version += 1
    take_step(request, Step.RETURNED, actor=acting.name, at=timezone.now(), note=request.problem, state=State.DRAFT)


def _go_live(made: Published, book: Book) -> None:
    made.live = books.publish(book)
