"""riskportal as a Django app: its commands, its one table, and Celery tied to this process."""

from __future__ import annotations

from django.apps import AppConfig


class RiskportalConfig(AppConfig):
    name = "riskportal"
    verbose_name = "riskportal"

    def ready(self) -> None:
        # Tasks bind to the app that is made first: this one, in every process.
        from riskportal import celery  # noqa: F401
