"""Asks for previews, and works out those that were asked for: one at a time, with its progress in its row."""

from __future__ import annotations

import logging
import time
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from audit.acting import Acting, NotAllowed, NotTheirAccount
from policies.book import latest, loaded
from policies.errors import PolicyError, WrongState
from policies.models import APPROVE_LIMITS, CHANGE_LIMITS, UNFINISHED, Account, ChangeRequest, Preview, Progress, State
from policies.preview.impact import encode_impact
from policies.preview.running import work_out
from policies.preview.window import Window, count_decisions
from policies.requests.scope import may_see_request
from policies.requests.steps import lock_request
from policies.requests.trying import proposed_book
from riskcore.book import Book, content_hash, encode_book
from riskcore.compiled import CompiledBook
from state.store import StateUnavailable
from state.wiring import store

logger = logging.getLogger(__name__)

# Requests of which it matters what they would change.
OPEN = frozenset({State.DRAFT, State.SUBMITTED, State.APPROVED, State.SCHEDULED, State.REJECTED})

# What is not more than this is worked out while whoever asks waits: a fraction of a second.
SMALL_DECISIONS = 1_000
SMALL_ACCOUNTS = 500

_TOLD_EVERY_S = 0.25
# So often a book is published while another is tried, before we say so.
_ATTEMPTS = 3

_EDITED = "The request was edited meanwhile: preview it again."
_LOST = "The process that worked it out has ended: preview it again."


class _Ended(Exception):
    """The preview is wanted no more, or somebody else has ended it."""


@transaction.atomic
def _ask(acting: Acting, request_id: int, expected_version: int, window: Window) -> Preview:
    if not (acting.may(CHANGE_LIMITS) or acting.may(APPROVE_LIMITS)):
        raise NotAllowed(acting.name, CHANGE_LIMITS)
    window.check()
    request, now = lock_request(request_id, expected_version), timezone.now()
    if not may_see_request(acting, request):
        raise NotTheirAccount(acting.name, "a request that concerns others")
    if request.state not in OPEN:
        raise WrongState(
            f"Request {request.pk} is {request.get_state_display()}: there is nothing to preview any more."
        )
    Preview.objects.filter(request=request, state__in=UNFINISHED).update(
        state=Progress.CANCELLED, problem="Another preview was asked for.", finished_at=now
    )
    decisions, accounts = count_decisions(window), Account.objects.count()
    is_small = decisions <= SMALL_DECISIONS and accounts <= SMALL_ACCOUNTS
    return Preview.objects.create(
        request=request,
        request_version=request.version,
        actor=acting.name,
        most=window.most,
        since=window.since,
        until=window.until,
        state=Progress.RUNNING if is_small else Progress.WAITING,
        total=decisions + accounts,
        created_at=now,
        alive_at=now,
    )


def do_preview(*, acting: Acting, request_id: int, expected_version: int, window: Window | None = None) -> Preview:
    """Ask what a request would change, and return the preview: done where it is a small one, or waiting.

    It takes the permission to write requests or to approve them. Raises NotAllowed (NotTheirAccount),
    NotFound, StaleRequest, WrongState where the request is closed, and ValidationError of the window.
    """
    preview = _ask(acting, request_id, expected_version, window or Window())
    if preview.state == Progress.RUNNING:
        run(preview.pk)
        preview.refresh_from_db()
    return preview


def run_next(now: datetime) -> bool:
    """Work out the preview that has waited longest, unless one is being worked out; return whether there was one."""
    preview = _take_next(now)
    if preview is None:
        return False
    run(preview.pk)
    return True


@transaction.atomic
def _take_next(now: datetime) -> Preview | None:
    unfinished = list(Preview.objects.select_for_update(of=("self",)).filter(state__in=UNFINISHED).order_by("id"))
    for lost in (each for each in unfinished if each.is_lost(now)):
        _end(lost.pk, Progress.FAILED, _LOST)
    if any(each.state == Progress.RUNNING and not each.is_lost(now) for each in unfinished):
        return None
    waiting = next((each for each in unfinished if each.state == Progress.WAITING), None)
    if waiting is not None:
        Preview.objects.filter(pk=waiting.pk).update(state=Progress.RUNNING, alive_at=now)
    return waiting


def run(preview_id: int) -> None:
    """Work out a preview that is in the state of running; where it fails, its row says why."""
    try:
        _run(Preview.objects.select_related("request").get(pk=preview_id))
    except _Ended:
        _end(preview_id, Progress.CANCELLED, _EDITED)
    except (PolicyError, ValidationError) as error:
        text = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
        _end(preview_id, Progress.FAILED, f"The request cannot be published as it is: {text}")
    except StateUnavailable as error:
        _end(preview_id, Progress.FAILED, f"The accounts cannot be read, the live state is away: {error}")
    except Exception as error:  # whatever it is, whoever waits for it is told
        logger.exception("preview %s failed", preview_id)
        _end(preview_id, Progress.FAILED, f"It could not be worked out: {type(error).__name__}: {error}")


def _run(preview: Preview) -> None:
    if preview.request.version != preview.request_version:
        raise _Ended
    in_force, proposed = _books(preview.request)
    report = _Report(preview)
    window = Window(most=preview.most, since=preview.since, until=preview.until)
    impact = work_out(window, CompiledBook(in_force), CompiledBook(proposed), store(), report.told)
    hashes = {
        "book_sha256": content_hash(encode_book(in_force)),
        "proposed_sha256": content_hash(encode_book(proposed)),
    }
    report.finish(book_version=in_force.version, result=encode_impact(impact), **hashes)


def _books(request: ChangeRequest) -> tuple[Book, Book]:
    """Return the book in force and the one that the request would make of it, both of one moment."""
    for _ in range(_ATTEMPTS):
        newest = latest()
        if newest is None:
            raise PolicyError("There is no book yet.")
        proposed = proposed_book(request)
        if proposed.version == newest.version + 1:
            return loaded(newest.version), proposed
    raise PolicyError("Other changes were published at every attempt: preview it again.")


class _Report:
    """Says in a preview's row how far it is, and ends it where the request is not the one that was asked about."""

    def __init__(self, preview: Preview) -> None:
        self._row = Preview.objects.filter(pk=preview.pk, state=Progress.RUNNING, request__version=F("request_version"))
        self._told_s = time.monotonic()

    def told(self, done: int) -> None:
        """Say how many decisions and accounts were looked at, every now and then. Raises _Ended."""
        now_s = time.monotonic()
        if now_s - self._told_s >= _TOLD_EVERY_S:
            self._told_s = now_s
            self._write(done=done, alive_at=timezone.now())

    def finish(self, **found: object) -> None:
        """Keep what was found. Raises _Ended."""
        self._write(state=Progress.DONE, done=F("total"), finished_at=timezone.now(), **found)

    def _write(self, **fields: object) -> None:
        if not self._row.update(**fields):
            raise _Ended


def _end(preview_id: int, state: Progress, problem: str) -> None:
    """End a preview that has no result; one that is over already stays as it is."""
    Preview.objects.filter(pk=preview_id, state__in=UNFINISHED).update(
        state=state, problem=problem, finished_at=timezone.now()
    )
