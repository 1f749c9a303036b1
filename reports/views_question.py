"""The page of one question: which limit applied to an account at a moment, who approved it, what did it stop?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone

from api.rest.queries import Parser, read_parameters
from audit.acting import Acting, NotTheirAccount
from dashboard.views.lists import ACCOUNT, Field, Filter, filled_in, moment_in_form
from dashboard.views.page import Page
from feeds.malformed import FieldError, Malformed, Wrong
from reports.question import MOST, PERMISSIONS, Answer, answer
from reports.question_words import behind, headline, is_cut, sayings
from reports.snapshot import one_moment
from riskcore.metrics import METRICS


def _metric(text: str) -> str:
    if text not in METRICS:
        raise Wrong("is not the name of a metric", "unknown_metric")
    return text


_TITLES = tuple(sorted(((each.name, each.title) for each in METRICS.values()), key=lambda pair: pair[1].casefold()))
_USUAL = "leverage"

# A page is not waited for longer.
_LONGEST_S = 15


class QuestionPage(Page):
    """A form of three fields, and the answer below it."""

    template_name = "reports/question.html"
    needs = PERMISSIONS
    needs_all = True
    fields: ClassVar = (
        ACCOUNT,
        Filter(name="metric", label="Limit on", parse=_metric, choices=_TITLES),
        Filter(name="at", label="Moment (UTC)", parse=moment_in_form, kind="datetime-local"),
    )

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        context = self.get_context_data(**kwargs)
        return self.render_to_response(context, status=context["status"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        given = filled_in(self.request.GET)
        found: Answer | None = None
        status, damage, problems = 200, "", dict[str, str]()
        try:
            found = _answer(self.acting, given) if given else None
        except Malformed as error:
            status, problems = 400, {each.field: each.message for each in error.errors}
        except ValueError as error:
            status, damage = 500, str(error)
        except OperationalError:
            status, damage = 503, f"It takes longer than {_LONGEST_S} s to look at. It can be taken away all the same."
        return super().get_context_data(**kwargs) | {
            "fields": [Field(each, _shown(each, given), problems.get(each.name, "")) for each in self.fields],
            "status": status,
            "problems": problems,
            "damage": damage,
            "export": f"{reverse('reports:new')}?{urlencode({'kind': 'limit_question', **given.dict()})}",
            **({} if found is None else _told(found)),
        }


def _answer(acting: Acting, given: QueryDict) -> Answer:
    parsers: dict[str, Parser] = {each.name: each.parse for each in QuestionPage.fields}
    asked = read_parameters(given, parsers)
    missing = [FieldError(field=name, message="is needed", code="missing") for name in parsers if name not in asked]
    if missing:
        raise Malformed(missing)
    if asked["at"] > timezone.now():
        raise Malformed.of("at", "has not come yet", "out_of_range")
    try:
        with one_moment(longest_s=_LONGEST_S):
            return answer(acting, **asked)
    except NotTheirAccount:
        raise Malformed.of("account_id", "is not among those that you are for", "not_theirs") from None


def _shown(field: Filter, given: QueryDict) -> str:
    """Return what a field of the form holds: what was asked, or at first what is asked most."""
    text = given.get(field.name, "")
    match field.name:
        case "metric":
            return text or _USUAL
        case "at":
            return _for_form(text)
        case _:
            return text


def _for_form(text: str) -> str:
    """Return a moment as a form has it; what is none as it was given."""
    try:
        at: datetime = moment_in_form(text) if text else timezone.now()
    except Wrong:
        return text
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"


def _told(found: Answer) -> dict[str, Any]:
    return {
        "answer": found,
        "headline": headline(found),
        "sayings": list(sayings(found)),
        "limits": [(limit, behind(limit), _reading(found, limit.held.policy.id)) for limit in found.limits],
        "is_cut": is_cut(found),
        "most": MOST,
    }


def _reading(found: Answer, policy_id: str) -> Any:
    return None if found.on_order is None else found.on_order.limits.get(policy_id)
