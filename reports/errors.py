"""Why a report is not to be had, apart from rights (NotAllowed) and values (Django's ValidationError, by field)."""

from __future__ import annotations

from audit.acting import NotAllowed


class ReportError(Exception):
    """What was asked for cannot be done as things are; the text is for whoever asked."""


class NoSuchReport(ReportError):
    """There is no such report, or it is not for whoever asks."""


class NotThere(ReportError):
    """The report has no file: it is not made yet, never will be, or was removed for its age."""


class NotTheirReport(NotAllowed):
    """Somebody wants to cancel what another asked for."""

    def __init__(self, name: str) -> None:
        self.permission = ""
        Exception.__init__(self, f"{name} did not ask for this report, and may not cancel it.")
