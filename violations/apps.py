"""The violations app."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ViolationsConfig(AppConfig):
    name = "violations"
    verbose_name = "Violations and alerts"

    def ready(self) -> None:
        from audit.verify_batches import FURTHER
        from violations.inbox import ensure_trigger
        from violations.sealing import verify_what_is_over

        FURTHER["violations and alerts"] = verify_what_is_over
        post_migrate.connect(ensure_trigger, sender=self)
