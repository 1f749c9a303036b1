"""How far the making of a report has come, said in its row while another thread makes it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from django.db import DatabaseError, InterfaceError, connection, connections
from django.utils import timezone

from reports.models import Report, State
from reports.table import Row

logger = logging.getLogger(__name__)

_TOLD_EVERY_S = 0.25


class Unwanted(Exception):
    """The report was cancelled, or another process makes it."""


class Late(Exception):
    """The report takes longer than whoever asks can wait."""


class Teller:
    """Says every now and then, from a thread of its own, how far an attempt is, and hears whether it is still wanted.

    The transaction that a report is made in sees one moment and changes nothing: what is said in between needs another
    connection. Where the attempt is wanted no more, or takes longer than `longest_s` seconds (0: as long as it does),
    the query that runs is broken off.
    """

    def __init__(self, report: Report, longest_s: float) -> None:
        self.done, self.total = 0, report.total
        self._until_s = time.monotonic() + longest_s if longest_s else None
        self._late = False
        self._row = Report.objects.filter(pk=report.pk, attempt=report.attempt, state=State.RUNNING)
        self._unwanted, self._over = threading.Event(), threading.Event()
        self._making: Any = connections["default"]
        self._thread = threading.Thread(target=self._tell, name="teller", daemon=True)

    def __enter__(self) -> Teller:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._late:
            raise Late
        if self._unwanted.is_set():
            raise Unwanted

    def counted(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield the rows and count them. Raises Unwanted."""
        unwanted = self._unwanted.is_set
        for row in rows:
            if unwanted():
                raise Unwanted
            self.done += 1
            yield row

    def _tell(self) -> None:
        try:
            while not self._over.wait(_TOLD_EVERY_S):
                self._late = self._until_s is not None and time.monotonic() > self._until_s
                if self._late or not self._say():
                    self._unwanted.set()
                    self._interrupt()
                    return
        finally:
            connection.close()

    def _say(self) -> bool:
        try:
            return bool(self._row.update(done=self.done, total=self.total, alive_at=timezone.now()))
        except (DatabaseError, InterfaceError) as error:
            logger.warning("how far a report is cannot be said for now: %s", error)
            return True

    def _interrupt(self) -> None:
        raw = self._making.connection
        if raw is None:
            return
        if self._making.vendor == "postgresql":
            raw.cancel_safe(timeout=5.0)
        else:
            raw.interrupt()
