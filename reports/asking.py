"""What a report is asked to be about: read, checked and said in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.core.exceptions import ValidationError

from reports.datasets import DATASETS
from reports.errors import NoSuchReport
from reports.exporters import EXPORTERS
from reports.table import Asked, Dataset
from riskcore.metrics import METRICS

LONGEST_TEXT = 200

# What filters are called for people, in the order in which they are asked for.
LABELS: Mapping[str, str] = {
    "since": "Since",
    "until": "Until",
    "at": "As of",
    "account_id": "Account",
    "symbol": "Symbol",
    "policy": "Policy",
    "metric": "Limit on",
    "actor": "By whom",
}
MOMENTS = frozenset({"since", "until", "at"})
PERIOD = frozenset({"since", "until"})


def find_dataset(name: str) -> Dataset:
    """Return the report of a name. Raises NoSuchReport."""
    try:
        return DATASETS[name]
    except KeyError:
        raise NoSuchReport(f"There is no report called {name}.") from None


def check(dataset: Dataset, format_: str, asked: Asked, now: datetime) -> None:
    """Raise ValidationError, by field, where a report cannot be made of what was asked for."""
    errors: dict[str, str] = {}
    if format_ not in EXPORTERS:
        errors["format"] = f"It is written as {', '.join(EXPORTERS)}."
    given = given_filters(asked)
    for name in given:
        if name not in dataset.filters:
            errors[name] = "This report is not filtered by that."
    for name in dataset.needed - given.keys():
        errors[name] = "This report needs it."
    errors |= _wrong_values(given, now)
    if errors:
        raise ValidationError(errors)


def given_filters(asked: Asked) -> dict[str, Any]:
    """Return what was asked for by name, without what filters nothing."""
    found = msgspec.structs.asdict(asked)
    return {name: value for name, value in found.items() if value not in (None, "")}


def _wrong_values(given: Mapping[str, Any], now: datetime) -> dict[str, str]:
    errors = {}
    for name, value in given.items():
        if isinstance(value, datetime):
            if value.tzinfo is None:
                errors[name] = "This has no zone."
        elif len(value) > LONGEST_TEXT or not value.isprintable():
            errors[name] = f"This must be printable and have at most {LONGEST_TEXT} characters."
    if "metric" in given and given["metric"] not in METRICS:
        errors["metric"] = "There is no metric of this name."
    if not errors and "since" in given and "until" in given and given["since"] >= given["until"]:
        errors["until"] = "This is not after the beginning."
    if not errors and "at" in given and given["at"] > now:
        errors["at"] = "This is still to come."
    return errors


def kept(asked: Asked) -> dict[str, Any]:
    """Return what was asked for as JSON keeps it."""
    found: dict[str, Any] = msgspec.to_builtins(asked)
    return found


def read(filters: Mapping[str, Any]) -> Asked:
    """Return what was kept."""
    return msgspec.convert(filters, Asked)


def in_words(asked: Asked, accounts: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Return what a report is about, with the accounts that it is limited to because whoever asked is."""
    given = given_filters(asked)
    found = [(label, shown(given[name])) for name, label in LABELS.items() if name in given]
    if accounts:
        found.append(("Of accounts", ", ".join(sorted(accounts))))
    return tuple(found)


def shown(value: object) -> str:
    """Return the value of a filter for people."""
    if not isinstance(value, datetime):
        return str(value)
    at = value.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S.%f} UTC" if at.microsecond else f"{at:%Y-%m-%d %H:%M:%S} UTC"
