"""Whether rows may be written: what they name of other rows is looked up once for all of them.

The constraints of the database are not asked: fields and `clean` say the same before, in words and by field.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from django.core.exceptions import ValidationError
from django.db import models

from policies.models import Managed

if TYPE_CHECKING:
    Link = models.ForeignKey[Any, Any]
else:
    Link = models.ForeignKey


def check_rows(rows: Sequence[Managed]) -> dict[int, ValidationError]:
    """Return what is wrong with rows of one model that are to be written in this order, by their place among them."""
    problems = _problems(rows, lambda row: [lambda: row.clean_fields(exclude=_links(row))])
    beside = _Beside([row for place, row in enumerate(rows) if place not in problems])
    # Each field by itself first: what is checked of them together takes for granted that each is sound.
    problems |= _problems(rows, lambda row: [lambda: beside.check_links(row)], but=problems)
    together = _problems(
        rows,
        lambda row: [row.clean, lambda: beside.check_list(row), lambda: beside.take(row)],
        but=problems,
    )
    return problems | together


def _problems(
    rows: Sequence[Managed],
    checks: Callable[[Managed], Sequence[Callable[[], object]]],
    but: Container[int] = (),
) -> dict[int, ValidationError]:
    """Return what checks refuse of rows, but for those at some places."""
    found = {place: _error_of(checks(row)) for place, row in enumerate(rows) if place not in but}
    return {place: error for place, error in found.items() if error is not None}


class _Beside:
    """The other rows that some rows of one model name, and who has what only one of them may have."""

    def __init__(self, rows: Sequence[Managed]) -> None:
        named: dict[type[models.Model], set[Any]] = {}
        for row in rows:
            for model, keys in _named_by(row):
                named.setdefault(model, set()).update(keys)
        self._there = {model: set(_rows(model).in_bulk(keys)) for model, keys in named.items()}
        self._owners = {name: _owners(rows, name) for name in (_unique(rows[0]) if rows else ())}
        self._held = {name: {owner: value for value, owner in of.items()} for name, of in self._owners.items()}

    def check_links(self, row: Managed) -> None:
        """Check the foreign keys of a row. Raises ValidationError by field."""
        problems: dict[str, list[str]] = {}
        for name in _links(row):
            link = cast("Link", row._meta.get_field(name))
            try:
                self._check_link(link, row)
            except ValidationError as error:
                problems[name] = error.messages
        if problems:
            raise ValidationError(cast("Any", problems))

    def _check_link(self, link: Link, row: Managed) -> None:
        key = getattr(row, link.attname)
        if link.blank and key in link.empty_values:
            return
        models.Field.validate(link, key, row)  # that of a ForeignKey asks the database, for each row
        model = _target(link)
        if key not in self._there[model]:
            said = {"model": model._meta.verbose_name, "pk": key, "field": link.target_field.name, "value": key}
            raise ValidationError(link.error_messages["invalid"], params=said)

    def check_list(self, row: Managed) -> None:
        """Check a list of keys of other rows. Raises ValidationError by field."""
        listed = row.listed()
        if listed is None:
            return
        name, model, keys = listed
        missing = sorted(set(keys) - self._there.get(model, set()))
        if missing:
            kind = model._meta.verbose_name_plural
            raise ValidationError({name: f"Of these {kind} there is no {', '.join(missing)}."})

    def take(self, row: Managed) -> None:
        """Let a row have what only one may have, in place of what it had. Raises ValidationError by field."""
        for name, owners in self._owners.items():
            value, held = getattr(row, name), self._held[name]
            owner = owners.get(value)
            if owner is not None and (row._state.adding or owner != row.pk):
                raise ValidationError({name: row.unique_error_message(type(row), (name,))})
            owners.pop(held.get(row.pk), None)
            owners[value], held[row.pk] = row.pk, value


def _links(row: Managed) -> list[str]:
    return [each.name for each in row._meta.concrete_fields if isinstance(each, models.ForeignKey)]


def _target(link: Link) -> type[models.Model]:
    return link.related_model


def _unique(row: Managed) -> list[str]:
    return [each.name for each in row._meta.concrete_fields if each.unique]


def _named_by(row: Managed) -> Iterator[tuple[type[models.Model], list[Any]]]:
    for name in _links(row):
        link = cast("Link", row._meta.get_field(name))
        yield _target(link), [each for each in (getattr(row, link.attname),) if each is not None]
    listed = row.listed()
    if listed is not None:
        yield listed[1], listed[2]


def _owners(rows: Sequence[Managed], name: str) -> dict[Any, Any]:
    """Return the keys of the rows that have what some rows are to have in a unique field, by what they have."""
    found = _rows(type(rows[0])).only(name).in_bulk({getattr(row, name) for row in rows}, field_name=name)
    return {value: each.pk for value, each in found.items()}


def _rows(model: type[models.Model]) -> models.QuerySet[Any]:
    return model._default_manager.only("pk")


def _error_of(checks: Iterable[Callable[[], object]]) -> ValidationError | None:
    """Return all that some checks refuse, by field; None where they pass."""
    problems: dict[str, Any] = {}
    for check in checks:
        try:
            check()
        except ValidationError as error:
            problems = error.update_error_dict(problems)
    return ValidationError(cast("Any", problems)) if problems else None
