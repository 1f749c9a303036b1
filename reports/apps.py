"""Reports as an application of Django."""

from __future__ import annotations

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "reports"
    verbose_name = "Reports"

    def ready(self) -> None:
        from reports.rest_documentation import document_reports  # these need the models

        document_reports()
