"""What somebody takes away of a report: its file, its manifest, or both in one file."""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import IO
from uuid import UUID

from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from audit.acting import Acting
from audit.manifest import SUFFIX
from reports.exporters import EXPORTERS
from reports.files import open_file
from reports.models import Report
from reports.services import do_take_report

_A_PART = 64 * 1024

# Text becomes a tenth of its size already at the lowest level, which takes a fifth of the time.
_LEVEL = 1


class _Stored(FileResponse):
    block_size = _A_PART


def take_away(acting: Acting, report_id: UUID, what: str) -> HttpResponseBase:
    """Answer with `what` of a report, one of `PARTS`. Raises NoSuchReport and NotThere."""
    response = PARTS[what](do_take_report(acting=acting, report_id=report_id, what=what))
    response.headers["Cache-Control"] = "no-store"
    return response


def _file(report: Report) -> HttpResponseBase:
    # A report in a format that is written no more is still there.
    exporter = EXPORTERS.get(report.format)
    kind = exporter.content_type if exporter else "application/octet-stream"
    response = _Stored(open_file(report), as_attachment=True, filename=report.file_name, content_type=kind)
    digest = base64.b64encode(bytes.fromhex(report.sha256)).decode()
    response.headers["Repr-Digest"] = f"sha-256=:{digest}:"  # RFC 9530
    return response


def _manifest(report: Report) -> HttpResponseBase:
    response = HttpResponse(report.manifest, content_type="application/json")
    return _attached(response, report.file_name + SUFFIX)


def _both(report: Report) -> HttpResponseBase:
    response = StreamingHttpResponse(_zipped(report, open_file(report)), content_type="application/zip")
    return _attached(response, f"{report.file_name}.zip")


def _attached(response: HttpResponseBase, name: str) -> HttpResponseBase:
    response.headers["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return response


PARTS: Mapping[str, Callable[[Report], HttpResponseBase]] = {"file": _file, "manifest": _manifest, "zip": _both}


class _Sink:
    """What is written to it is handed on at once, so that a large file is never in memory."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, content: bytes) -> int:
        self._written.append(bytes(content))
        return len(content)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        found = b"".join(self._written)
        self._written.clear()
        return found


def _zipped(report: Report, file: IO[bytes]) -> Iterator[bytes]:
    """Yield the parts of a ZIP of a report's file and its manifest."""
    sink, at = _Sink(), (report.finished_at or report.created_at).timetuple()[:6]
    with closing(file), zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as made:  # type: ignore[call-overload]
        entry = zipfile.ZipInfo(report.file_name, at)
        entry.compress_type, entry.file_size = zipfile.ZIP_DEFLATED, report.bytes or 0
        with made.open(entry, "w", force_zip64=True) as into:
            while part := file.read(_A_PART):
                into.write(part)
                yield sink.taken()
        made.writestr(zipfile.ZipInfo(report.file_name + SUFFIX, at), report.manifest)
    yield sink.taken()
