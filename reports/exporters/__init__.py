"""Every way of writing a report, by its suffix. A module for each."""

from __future__ import annotations

from reports.exporters.form import Exporter

EXPORTERS: dict[str, Exporter] = {}
