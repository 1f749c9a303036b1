"""The page on which a report is asked for: what it is to be about, how it begins, and as what it is taken away."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils import timezone

from api.rest.queries import Parser, identifier, read_parameters, symbol
from audit.acting import NotAllowed
from audit.roles import READING
from dashboard.views.lists import Field, Filter, filled_in, moment_in_form
from dashboard.views.page import Page
from feeds import values
from feeds.malformed import Malformed, Wrong
from reports import asking, rights
from reports.errors import ReportError
from reports.exporters import EXPORTERS
from reports.models import Cadence
from reports.presets import presets
from reports.rhythm import Rhythm
from reports.schedules import Planned, do_add_schedule
from reports.services import SMALL_ROWS, Wanted, do_ask_report
from reports.snapshot import one_moment
from reports.table import Asked, Cell, Dataset, Kind
from riskcore.decimals import tidy
from riskcore.metrics import METRICS

PREVIEWED_ROWS = 20

# A look before one takes something away is not waited for longer.
_LONGEST_S = 15

_METRICS = tuple(sorted(((each.name, each.title) for each in METRICS.values()), key=lambda pair: pair[1].casefold()))
_OF_CLOCK = ("day", "minute", "zone", "recipients")


def _text(text: str) -> str:
    return values.checked_text(text, asking.LONGEST_TEXT)


_PARSERS: Mapping[str, Parser] = {
    **dict.fromkeys(asking.MOMENTS, moment_in_form),
    "account_id": identifier,
    "symbol": symbol,
    **dict.fromkeys(("policy", "metric", "actor"), _text),
}


class _OfDataset(Page):
    """A page about one report, which the query names as `kind`."""

    needs = READING

    @property
    def dataset(self) -> Dataset:
        """Return the report. Raises Http404 where there is none, or whoever looks may not have it."""
        found = {each.name: each for each in rights.datasets_for(self.acting)}.get(self.request.GET.get("kind", ""))
        if found is None:
            raise Http404("There is no such report, or it takes another role to have it.")
        return found

    def asked(self, given: QueryDict) -> Asked:
        """Return what a form asks about. Raises Malformed."""
        parsers = {name: _PARSERS[name] for name in asking.LABELS if name in self.dataset.filters}
        known = QueryDict(mutable=True)
        for name in parsers:
            known.setlist(name, given.getlist(name))
        return Asked(**read_parameters(filled_in(known), parsers))


class NewReportPage(_OfDataset):
    """The form. What it sends is asked for at once, or by the clock from then on."""

    template_name = "reports/new.html"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Ask for the report, or add the schedule, and go to the page that has it."""
        try:
            return self._do(request.POST)
        except Malformed as error:
            problems = {each.field: each.message for each in error.errors}
        except ValidationError as error:
            problems = {name: " ".join(texts) for name, texts in error.message_dict.items()}
        except (ReportError, NotAllowed) as error:
            problems = {"all": str(error)}
        context = self.get_context_data(given=request.POST, problems=problems, **kwargs)
        return self.render_to_response(context, status=400)

    def _do(self, given: QueryDict) -> HttpResponse:
        wanted = Wanted(name=self.dataset.name, format=given.get("format", ""), asked=self.asked(given))
        if given.get("do") == "schedule":
            do_add_schedule(acting=self.acting, planned=_planned(wanted, given))
            return HttpResponseRedirect(f"{reverse('reports:list')}#schedules")
        report = do_ask_report(acting=self.acting, wanted=wanted)
        if not report.is_unfinished and report.problem:
            messages.error(self.request, report.problem)
        return HttpResponseRedirect(f"{reverse('reports:list')}#report-{report.pk}")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        given = kwargs.pop("given", self.request.GET)
        problems = kwargs.pop("problems", {})
        dataset = self.dataset
        names = [name for name in asking.LABELS if name in dataset.filters]
        periods = presets(timezone.now(), settings.RISK_DAY_ZONE, settings.RISK_DAY_ROLL_MINUTE)
        return super().get_context_data(**kwargs) | {
            "dataset": dataset,
            "fields": [Field(_filter(name), _value(name, given), problems.get(name, "")) for name in names],
            "needed": dataset.needed,
            "problems": problems,
            "presets": periods if dataset.filters.issuperset(asking.PERIOD) else (),
            "exporters": EXPORTERS.values(),
            "format": given.get("format") or next(iter(EXPORTERS), ""),
            "small": SMALL_ROWS,
            **_clock(given, self.acting.person, problems),
        }


def _clock(given: QueryDict, person: str, problems: Mapping[str, str]) -> dict[str, Any]:
    """Return what the form has of a schedule, as it was filled in or at first."""
    first = {"cadence": Cadence.DAILY, "day": "1", "time": "06:00", "zone": settings.RISK_DAY_ZONE, "recipients": ""}
    return {
        "clock": {name: given.get(name, value) for name, value in first.items()},
        "cadences": Cadence.choices,
        "zones": sorted(available_timezones()),
        "may_schedule": bool(person),
        "is_clock": given.get("do") == "schedule",
        "mails": not settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"),
        "clock_problem": " ".join(
            problems[name] for name in ("day", "minute", "zone", "recipients") if name in problems
        ),
    }


def _planned(wanted: Wanted, given: QueryDict) -> Planned:
    """Return the schedule that a form asks for. Raises ValidationError by field."""
    cadence, day, time = given.get("cadence", ""), given.get("day", "1"), given.get("time", "")
    hour, _, minute = time.partition(":")
    if cadence not in Cadence.values:
        raise ValidationError({"day": "Say whether every day, week or month."})
    if not (hour.isdecimal() and minute.isdecimal() and int(hour) < 24 and int(minute) < 60):
        raise ValidationError({"minute": "Say at what time, as 06:00."})
    if not (day.isdecimal() and len(day) < 3):
        raise ValidationError({"day": "Say on which day, by its number."})
    rhythm = Rhythm(
        cadence=Cadence(cadence),
        day=1 if cadence == Cadence.DAILY else int(day),
        minute=60 * int(hour) + int(minute),
        zone=given.get("zone", ""),
    )
    recipients = given.get("recipients", "").replace(",", " ").replace(";", " ").split()
    # The form's period is that of a report taken away now.
    about = {name: value for name, value in asking.given_filters(wanted.asked).items() if name not in asking.MOMENTS}
    return Planned(
        wanted=Wanted(name=wanted.name, format=wanted.format, asked=Asked(**about)),
        rhythm=rhythm,
        recipients=tuple(dict.fromkeys(recipients)),
    )


class PreviewPage(_OfDataset):
    """How a report begins, or what is said of all of it: part of the page above, for a script to put there."""

    template_name = "reports/preview.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        part = "summary" if request.GET.get("part") == "summary" else "rows"
        try:
            found = self._look(part)
        except Malformed as error:
            found = {"problem": "; ".join(f"{each.field} {each.message}" for each in error.errors)}
        except ValidationError as error:
            texts = error.message_dict.items()
            found = {"problem": " ".join(f"{asking.LABELS.get(name, name)}: {' '.join(why)}" for name, why in texts)}
        except (NotAllowed, ValueError) as error:
            found = {"problem": str(error)}
        except OperationalError:
            found = {"problem": f"This takes longer than {_LONGEST_S} s to look at. It can be taken away all the same."}
        return self.render_to_response({"part": part, "dataset": self.dataset, **found})

    def _look(self, part: str) -> dict[str, Any]:
        dataset, acting, asked = self.dataset, self.acting, self.asked(self.request.GET)
        rights.demand(acting, dataset, asked)
        asking.check(dataset, next(iter(EXPORTERS)), asked, timezone.now())
        with one_moment(longest_s=_LONGEST_S):
            if part == "summary":
                return {"summary": dataset.summary(asked, acting.accounts)}
            is_number = [column.kind == Kind.NUMBER for column in dataset.columns]
            rows = islice(dataset.rows(asked, acting.accounts), PREVIEWED_ROWS)
            return {
                "count": dataset.count(asked, acting.accounts),
                "columns": [(column.label, number) for column, number in zip(dataset.columns, is_number, strict=True)],
                "rows": [list(zip(map(_shown, row), is_number, strict=True)) for row in rows],
            }


def _shown(cell: Cell) -> str:
    """Return a cell for people."""
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case Decimal():
            return f"{tidy(cell):f}"
        case datetime():
            return f"{cell.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        case _:
            return str(cell)


def _filter(name: str) -> Filter:
    is_moment = name in asking.MOMENTS
    return Filter(
        name=name,
        label=f"{asking.LABELS[name]} (UTC)" if is_moment else asking.LABELS[name],
        parse=_PARSERS[name],
        choices=_METRICS if name == "metric" else (),
        kind="datetime-local" if is_moment else "text",
    )


def _value(name: str, given: QueryDict) -> str:
    """Return what a field holds: moments as a form has them, what is none as it was given."""
    text = given.get(name, "")
    if not text or name not in asking.MOMENTS:
        return text
    try:
        at: datetime = moment_in_form(text)
    except Wrong:
        return text
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
