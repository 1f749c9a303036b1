"""The pages of a document: what stands at the top and at the foot of each, and where the next thing goes."""

from __future__ import annotations

from typing import BinaryIO

from reportlab.lib.colors import Color, HexColor
from reportlab.pdfgen.canvas import Canvas

from reports.exporters.form import Head
from reports.exporters.pdf.fonts import BODY, BOLD, printable, register, width_of
from reports.exporters.pdf.wrapping import wrap
from reports.exporters.said import shown_moment

MARGIN = 36.0  # points, as all lengths here
LEADING = 1.25  # of a line, in sizes of its letters

INK = HexColor("#1B2430")
FAINT = HexColor("#5B6775")
RULE = HexColor("#C4CCD6")
SHADE = HexColor("#E8EDF3")
STRIPE = HexColor("#F5F7FA")
DRAWN = HexColor("#2F6DB5")

_SMALL = 7.5
_TOTAL = "total"  # the name of what is filled in when all pages are there
_DIGITS = "99999"  # of the number of pages there is room for


class Paper:
    """A document that is filled from the top of its first page to the end.

    Attributes
    ----------
    canvas
        What is drawn on; its origin is at the lower left.
    y
        Where the next thing goes: what is above it is used.
    """

    def __init__(self, stream: BinaryIO, head: Head, size: tuple[float, float]) -> None:
        register()
        self.width, self.height = size
        self._head = head
        self.canvas = Canvas(stream, pagesize=size, pageCompression=1, lang="en", initialFontName=BODY)
        self.canvas.setTitle(printable(head.title))
        self.canvas.setAuthor(printable(head.asked_by))
        self.canvas.setSubject(printable(head.meaning))
        self.canvas.setCreator("riskportal")
        self._page, self.y = 0, 0.0
        self.turn()

    @property
    def inner(self) -> float:
        """The width between the margins."""
        return self.width - 2 * MARGIN

    @property
    def room(self) -> float:
        """The height that is left on this page."""
        return self.y - MARGIN - _SMALL * 2

    def turn(self) -> None:
        """Begin the next page."""
        if self._page:
            self.canvas.showPage()
        self._page += 1
        self._furnish()
        self.y = self.height - MARGIN - _SMALL * 2

    def need(self, height: float) -> None:
        """Begin the next page unless this one has room for something of that height."""
        if height > self.room:
            self.turn()

    def line(
        self, text: str, x: float, *, size: float, font: str = BODY, color: Color = INK, right: bool = False
    ) -> None:
        """Write a line of printable text at the present height, its beginning or its end at x."""
        self.canvas.setFont(font, size)
        self.canvas.setFillColor(color)
        (self.canvas.drawRightString if right else self.canvas.drawString)(x, self.y - size, text)

    def text(self, text: str, *, size: float, font: str = BODY, color: Color = INK, indent: float = 0.0) -> None:
        """Write text over the whole width, in as many lines as it takes."""
        for line in wrap(printable(text), self.inner - indent, size, font=font):
            self.need(size * LEADING)
            self.line(line, MARGIN + indent, size=size, font=font, color=color)
            self.y -= size * LEADING

    def heading(self, title: str, *, with_: float = 0.0) -> None:
        """Write a heading, on the page on which there is room for it and for what is `with_` it."""
        self.need(40 + with_)
        self.y -= 12
        self.canvas.bookmarkPage(title)
        self.canvas.addOutlineEntry(title, title, level=0)
        self.text(title, size=11, font=BOLD)
        self.y -= 4

    def close(self) -> None:
        """Say on all pages how many there are, and write the document."""
        self.canvas.showPage()
        self.canvas.beginForm(_TOTAL)
        self.canvas.setFont(BODY, _SMALL)
        self.canvas.setFillColor(FAINT)
        self.canvas.drawString(0, 0, str(self._page))
        self.canvas.endForm()
        self.canvas.save()

    def _furnish(self) -> None:
        """Write what stands on every page."""
        canvas, right = self.canvas, self.width - MARGIN
        canvas.setFont(BODY, _SMALL)
        canvas.setFillColor(FAINT)
        canvas.setStrokeColor(RULE)
        canvas.setLineWidth(0.5)
        top = self.height - MARGIN
        said = f"as of {shown_moment(self._head.made_at)}, for {printable(self._head.asked_by)}"
        canvas.drawRightString(right, top, said)
        room = self.inner - width_of(said, BODY, _SMALL) - _SMALL
        canvas.drawString(MARGIN, top, wrap(printable(self._head.title), room, _SMALL, most=1)[0])
        canvas.line(MARGIN, top - 4, right, top - 4)
        canvas.line(MARGIN, MARGIN + _SMALL + 4, right, MARGIN + _SMALL + 4)
        canvas.drawString(MARGIN, MARGIN, f"riskportal, report {printable(self._head.report_id)}")
        place = right - width_of(_DIGITS, BODY, _SMALL)
        canvas.drawRightString(place, MARGIN, f"page {self._page} of ")
        canvas.saveState()
        canvas.translate(place, MARGIN)
        canvas.doForm(_TOTAL)
        canvas.restoreState()
