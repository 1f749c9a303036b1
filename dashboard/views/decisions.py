"""Decisions: the list of them, and each one explained."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone

from api.desk import desk
from api.grants import VIEW_DECISION, VIEW_OVERRIDE, VIEW_REQUEST
from api.rest.accounts import open_reservations
from api.rest.decisions import inputs_for, reason
from api.rest.queries import flag, identifier
from audit.acting import Acting
from audit.models import OrderDecision, ReservationEnd
from dashboard.deciding import Worked, work_out_again
from dashboard.views.lists import ACCOUNT, SINCE, SYMBOL, UNTIL, Filter, ListPage, choices
from dashboard.views.page import Page
from dashboard.words import answer_in_words
from policies.models import Book, ChangeRequest, Step
from riskcore.reasons import Reason
from riskcore.types import Reservation
from state.store import StateUnavailable

VIEW_BOOK = "policies.view_book"


class DecisionsPage(ListPage):
    """What was asked and answered."""

    template_name = "dashboard/decisions.html"
    needs = (VIEW_DECISION,)
    moment_name, key_name = "decided_at", "decision_id"
    filters: ClassVar = (
        Filter(name="approved", label="Answer", parse=flag, choices=(("false", "not approved"), ("true", "approved"))),
        Filter(name="reason", label="Reason", parse=reason, choices=choices(each.value for each in Reason)),
        ACCOUNT,
        SYMBOL,
        Filter(name="order_id", label="Order", parse=identifier),
        *(SINCE, UNTIL),
    )

    def rows(self) -> QuerySet[Any]:
        return OrderDecision.objects.defer("inputs", "answer")


class DecisionPage(Page):
    """One decision: what was answered and why, every gate and every limit with its numbers."""

    template_name = "dashboard/decision.html"
    needs = (VIEW_DECISION,)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        row = OrderDecision.objects.filter(pk=kwargs["decision_id"]).first()
        if row is None or not self.acting.may_see(row.account_id):
            raise Http404
        book = Book.objects.defer("content").filter(version=row.book_version).first()
        worked = work_out_again(row, book)
        return super().get_context_data(**kwargs) | {
            "row": row,
            "worked": worked,
            "sentence": _sentence(row, worked),
            "book": book,
            "may_see_book": self.acting.may(VIEW_BOOK),
            "may_see_override": self.acting.may(VIEW_OVERRIDE),
            "request_of_book": _request_of(book, self.acting),
            "reservation": _reservation(row, worked),
            "raw_answer": _pretty(row.answer),
            "raw_inputs": _pretty(inputs_for(row, self.acting.accounts)),
        }


def _sentence(row: OrderDecision, worked: Worked) -> str:
    if worked.answer is None or worked.inputs is None:
        return f"{row.verdict}: {row.reason or 'no reason is given'}"
    return answer_in_words(worked.answer, worked.inputs.order)


def _request_of(book: Book | None, acting: Acting) -> dict[str, Any] | None:
    """Return the request that made a book, with who approved it, for those who may see it."""
    if book is None or not acting.may(VIEW_REQUEST):
        return None
    found = ChangeRequest.objects.defer("edits").filter(book=book).first()
    if found is None:
        return None
    # An approval is of one version of the edits.
    steps = found.steps.filter(what=Step.APPROVED, version=found.version)
    return {"row": found, "approved_by": list(steps.values_list("actor", flat=True))}


def _reservation(row: OrderDecision, worked: Worked) -> dict[str, Any] | None:
    """Return what an approval reserved and what became of it, None where it reserved nothing."""
    if worked.answer is None or worked.answer.reservation is None:
        return None
    try:
        held = next((each for each in _open(row.account_id) if each.id == str(row.decision_id)), None)
        known = True
    except StateUnavailable:
        held, known = None, False
    expires_at = worked.answer.reservation.expires_at
    return {
        "open": held,
        "known": known,
        "expires_at": expires_at,
        "ran_out": expires_at <= timezone.now(),
        "end": ReservationEnd.objects.filter(pk=row.decision_id).first(),
    }


def _open(account_id: str) -> list[Reservation]:
    return open_reservations(desk().store, account_id)


def _pretty(text: str) -> str:
    """Return JSON indented, each number as it was written; what is none as it is."""
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return text
