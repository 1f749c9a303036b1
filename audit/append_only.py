"""Rows that are written once: no code path changes or deletes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

from django.db import models

Row = TypeVar("Row", bound=models.Model)


class AppendOnlyError(TypeError):
    """Code tried to change or delete a row that is kept as evidence."""


def refuse(model: type[models.Model], what: str) -> NoReturn:
    """Raise AppendOnlyError: `what` would change a row unseen."""
    raise AppendOnlyError(f"a row of {model._meta.label} is written once: {what} is refused")


class AppendOnlyQuerySet(models.QuerySet[Row]):
    """A query set that reads and adds."""

    def update(self, **kwargs: Any) -> int:
        refuse(self.model, "update")

    def bulk_update(self, objs: Iterable[Row], fields: Iterable[str], batch_size: int | None = None) -> int:
        refuse(self.model, "bulk_update")

    def delete(self) -> tuple[int, dict[str, int]]:
        refuse(self.model, "delete")


AppendOnlyManager = models.Manager.from_queryset(AppendOnlyQuerySet)


class AppendOnly(models.Model):
    """A row that can be added, and after that only read. Raises AppendOnlyError on anything else."""

    objects = AppendOnlyManager()

    class Meta:
        abstract = True
        # Without them the admin shows the model and offers nothing else.
        default_permissions = ("view",)

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            refuse(type(self), "save")
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        refuse(type(self), "delete")
