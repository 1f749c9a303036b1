"""The audit app."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        from audit.protection import protect

        post_migrate.connect(protect, dispatch_uid="audit.protection")
