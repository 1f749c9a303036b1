"""Every way of writing a report, by its suffix. A module for each."""

from __future__ import annotations

from reports.exporters.as_csv import CsvExporter
from reports.exporters.as_jsonl import JsonLinesExporter
from reports.exporters.as_pdf import PdfExporter
from reports.exporters.as_xlsx import XlsxExporter
from reports.exporters.form import Exporter

EXPORTERS: dict[str, Exporter] = {
    each.suffix: each for each in (CsvExporter(), JsonLinesExporter(), XlsxExporter(), PdfExporter())
}
