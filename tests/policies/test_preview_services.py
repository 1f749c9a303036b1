"""Asking for a preview, and what becomes of it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from audit.acting import NotAllowed
from policies.errors import StaleRequest, WrongState
from policies.models import ChangeRequest, Preview, Progress
from policies.preview import services as previews
from policies.preview.impact import decode_impact
from policies.preview.services import do_preview, run_next
from policies.preview.window import MOST_DECISIONS, Window
from policies.requests.services import do_edit_request, do_withdraw_request
from policies.tasks import run_previews
from state.store import StateUnavailable
from tests.policies.requesting import ALICE, BOB, NOBODY, leverage, policy, published, seen, setting
from tests.policies.subjects import limit


@pytest.fixture
def large(monkeypatch) -> None:
    """Every preview is one that is not worked out at once."""
    monkeypatch.setattr(previews, "SMALL_ACCOUNTS", -1)


def asked(request: ChangeRequest, **window: object) -> Preview:
    return do_preview(acting=ALICE, **seen(request), window=Window(**window))  # type: ignore[arg-type]


def again(preview: Preview) -> Preview:
    return Preview.objects.get(pk=preview.pk)


def edit(request: ChangeRequest) -> ChangeRequest:
    return do_edit_request(acting=ALICE, **seen(request), reason="Better", edits=[setting(policy(), threshold="7")])


# ------------------------------------------------------------------------------------------------ asking
def test_who_may_neither_write_nor_approve_gets_none(live):
    with pytest.raises(NotAllowed):
        do_preview(acting=NOBODY, **seen(leverage("8")))
    assert not Preview.objects.exists()


def test_who_approves_may_look_first(live):
    assert do_preview(acting=BOB, **seen(leverage("8"))).actor == "bob"


def test_another_version_than_the_one_seen_is_refused(live):
    request = leverage("8")
    edit(request)
    with pytest.raises(StaleRequest):
        do_preview(acting=ALICE, request_id=request.pk, expected_version=1)


def test_a_request_that_was_withdrawn_is_refused(live):
    request = leverage("8")
    do_withdraw_request(acting=ALICE, **seen(request))
    with pytest.raises(WrongState):
        asked(request)


@pytest.mark.parametrize("most", [-1, MOST_DECISIONS + 1])
def test_a_window_of_too_many_is_refused(live, most):
    with pytest.raises(ValidationError):
        asked(leverage("8"), most=most)


def test_a_window_that_ends_before_it_begins_is_refused(live):
    now = timezone.now()
    with pytest.raises(ValidationError):
        asked(leverage("8"), since=now, until=now)


# ------------------------------------------------------------------------------------------------ working out
def test_a_small_one_is_there_at_once(live):
    preview = asked(leverage("8"))
    assert (preview.state, preview.done) == (Progress.DONE, preview.total)
    assert (preview.request_version, preview.book_version) == (1, 1)
    assert decode_impact(preview.result).orders.replayed == 0


def test_a_large_one_waits_for_a_worker(live, large):
    preview = asked(leverage("8"))
    assert preview.state == Progress.WAITING
    run_previews()
    assert again(preview).state == Progress.DONE


def test_the_one_that_has_waited_longest_comes_first(live, large):
    first, second = asked(leverage("8")), asked(leverage("7"))
    assert run_next(timezone.now())
    assert (again(first).state, again(second).state) == (Progress.DONE, Progress.WAITING)


def test_one_at_a_time_is_worked_out(live, large):
    running, waiting = asked(leverage("8")), asked(leverage("7"))
    Preview.objects.filter(pk=running.pk).update(state=Progress.RUNNING)
    assert not run_next(timezone.now())
    assert again(waiting).state == Progress.WAITING


def test_two_workers_never_take_the_same_one(live, large, monkeypatch):
    taken: list[int] = []
    monkeypatch.setattr(previews, "run", taken.append)
    wanted = [asked(leverage(threshold)).pk for threshold in ("8", "7", "6")]
    together = threading.Barrier(4)

    def work() -> None:
        together.wait()
        run_next(timezone.now())
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert taken == wanted[:1]


def test_one_whose_process_is_gone_has_failed_and_lets_the_next_one_go(live, large):
    gone, waiting = asked(leverage("8")), asked(leverage("7"))
    Preview.objects.filter(pk=gone.pk).update(state=Progress.RUNNING)
    assert run_next(timezone.now() + timedelta(minutes=1))
    assert again(gone).state == Progress.FAILED
    assert "ended" in again(gone).problem
    assert again(waiting).state == Progress.DONE


def test_nothing_is_worked_out_where_nothing_waits(live):
    assert not run_next(timezone.now())


# ------------------------------------------------------------------------------------------------ ending otherwise
def test_another_one_of_the_same_request_takes_its_place(live, large):
    request = leverage("8")
    first, second = asked(request), asked(request)
    assert (again(first).state, second.state) == (Progress.CANCELLED, Progress.WAITING)


def test_it_is_cancelled_when_the_request_is_edited(live, large):
    request = leverage("8")
    preview = asked(request)
    edit(request)
    run_previews()
    assert (again(preview).state, again(preview).result) == (Progress.CANCELLED, "")
    assert "edited" in again(preview).problem


def test_it_ends_early_when_the_request_is_edited_meanwhile(live, large, monkeypatch):
    request = leverage("8")
    preview = asked(request)

    def work(*args: object) -> None:
        edit(request)
        args[-1](1)  # type: ignore[operator]
        pytest.fail("it went on")

    monkeypatch.setattr(previews, "_TOLD_EVERY_S", 0.0)
    monkeypatch.setattr(previews, "work_out", work)
    run_previews()
    assert again(preview).state == Progress.CANCELLED


def test_it_says_how_far_it_is(live, large, monkeypatch):
    preview = asked(leverage("8"))
    told: list[int] = []

    def work(*args: object) -> None:
        args[-1](3)  # type: ignore[operator]
        told.append(again(preview).done)
        raise StateUnavailable("connection refused")

    monkeypatch.setattr(previews, "_TOLD_EVERY_S", 0.0)
    monkeypatch.setattr(previews, "work_out", work)
    run_previews()
    assert told == [3]


@pytest.mark.parametrize(
    ("error", "said"), [(StateUnavailable("refused"), "live state is away"), (RuntimeError("odd"), "RuntimeError: odd")]
)
def test_one_that_fails_says_why(live, large, monkeypatch, error, said):
    def work(*args: object) -> None:
        raise error

    monkeypatch.setattr(previews, "work_out", work)
    preview = asked(leverage("8"))
    run_previews()
    assert again(preview).state == Progress.FAILED
    assert said in again(preview).problem


def test_a_request_that_cannot_be_published_any_more_has_none(live):
    request = leverage("8")
    limit("Another")
    published(leverage("9"))
    preview = asked(request)
    assert preview.state == Progress.FAILED
    assert "was changed meanwhile by alice" in preview.problem


def test_a_book_published_since_does_not_count(live):
    """The proposed book is held against the one that is in force when it is worked out."""
    request = leverage("8")
    limit("Another")
    assert asked(request).book_version == 2
