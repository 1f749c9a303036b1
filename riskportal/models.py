"""What must outlive the live state, so that its loss can be told from its first start."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Recovery(models.Model):
    """One row: which life of the journal the live state was last restored with, and a loss being waited out.

    `journal` names the life of every lane's journal, empty before the first restore. `lost_journal` and
    `lost_at_us` (the store's clock) are set while approvals are held back after a loss that cannot be proven
    complete. The row's lock is held by whoever restores.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    journal = models.TextField(blank=True, default="")
    lost_journal = models.TextField(blank=True, default="")
    lost_at_us = models.BigIntegerField(default=0)
    remembered_since = models.DateTimeField(
        null=True, help_text="Answers to orders decided from here on are back; null: nothing is left to do."
    )

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(id=1), name="recovery_single")]
