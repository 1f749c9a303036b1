"""Reports as PDF documents."""

from __future__ import annotations

from reports.exporters.pdf.exporter import PdfExporter

__all__ = ["PdfExporter"]
