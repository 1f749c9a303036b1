"""What all rows have in common that officers manage: a version, a history, and no way to change unseen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeAlias, TypeVar

from django.db import models
from simple_history.models import HistoricalRecords

from audit.append_only import AppendOnlyError, AppendOnlyQuerySet, refuse

Row = TypeVar("Row", bound=models.Model)


def history() -> HistoricalRecords:
    """Return the history of a model, in which the actor is the text that the audit log has too."""
    return HistoricalRecords(
        history_change_reason_field=models.TextField(null=True),
        history_user_id_field=models.CharField(max_length=200, default=""),
        history_user_getter=lambda record: record.history_user_id,
        history_user_setter=_set_actor,
    )


def _set_actor(record: Any, actor: str | None) -> None:
    record.history_user_id = actor or ""


class ManagedQuerySet(AppendOnlyQuerySet[Row]):
    """A query set that reads: bulk writes would leave no trace."""

    def bulk_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        refuse(self.model, "bulk_create")


ManagedManager = models.Manager.from_queryset(ManagedQuerySet)

# Rows that are written with one statement.
_TOGETHER = 1000


# A field with a list of keys of other rows, their model, and these keys.
Listed: TypeAlias = "tuple[str, type[Managed], list[str]]"


class Managed(models.Model):
    """A row that officers manage, through the services of this package alone.

    `version` counts its changes; who edits says which version they saw. `CHANGEABLE` names what a service
    may set. Rows are never deleted: they are disabled or lifted, so that what a decision went by stays.
    """

    CHANGEABLE: ClassVar[tuple[str, ...]] = ()

    version = models.PositiveIntegerField(default=1, editable=False)

    # What django-simple-history writes beside the new values.
    _history_user: str
    _change_reason: str
    _history_date: datetime
    if TYPE_CHECKING:
        history: Any

    objects = ManagedManager()

    class Meta:
        abstract = True
        default_permissions = ("add", "change", "view")

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, for a service that has said who changes the row and why. Raises AppendOnlyError otherwise."""
        _check_said([self])
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError(f"a row of {self._meta.label} is never deleted; disable it instead")

    def listed(self) -> Listed | None:
        """Return a field with a list of keys of other rows, their model and these keys; None where it has none."""
        return None


def write_rows(rows: Sequence[Managed]) -> None:
    """Save rows of one model, new ones and changed ones, with their history, in a few statements.

    It is for services that hold the lock of the books: who has read a row knows that it is still there. Raises
    AppendOnlyError as `save` does.
    """
    _check_said(rows)
    new, changed = [each for each in rows if each._state.adding], [each for each in rows if not each._state.adding]
    if changed:  # first: a name that one of them gives up may be that of a new one
        _write(changed, over=True)
    if new:
        _write(new, over=False)


def _write(rows: list[Managed], *, over: bool) -> None:
    model = type(rows[0])
    key = model._meta.pk.name
    others = [each.name for each in model._meta.concrete_fields if each.name != key]
    models.QuerySet[Any](model).bulk_create(
        rows,
        batch_size=_TOGETHER,
        update_conflicts=over,
        unique_fields=[key] if over else None,
        update_fields=others if over else None,
    )
    model.history.bulk_history_create(rows, batch_size=_TOGETHER, update=over)


def _check_said(rows: Sequence[Managed]) -> None:
    for row in rows:
        if not getattr(row, "_history_user", None) or not getattr(row, "_change_reason", None):
            raise AppendOnlyError(f"{row._meta.label} is changed by policies.services, which say who and why")
