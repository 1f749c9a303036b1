"""Reports as an Excel workbook."""

from __future__ import annotations

from reports.exporters.xlsx.exporter import XlsxExporter

__all__ = ["XlsxExporter"]
