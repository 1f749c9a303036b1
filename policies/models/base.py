"""What all rows have in common that officers manage: a version, a history, and no way to change unseen."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

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
        if not getattr(self, "_history_user", None) or not getattr(self, "_change_reason", None):
            raise AppendOnlyError(f"{self._meta.label} is changed by policies.services, which say who and why")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError(f"a row of {self._meta.label} is never deleted; disable it instead")
