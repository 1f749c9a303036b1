"""The rows of a report as a table: as wide as its cells ask for, on paper that is as large as that takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct
from reportlab.lib.pagesizes import A3, A4, landscape

from reports.exporters.cells import exact
from reports.exporters.pdf.fonts import BODY, BOLD, printable, width_of
from reports.exporters.pdf.paper import INK, LEADING, MARGIN, RULE, SHADE, STRIPE, Paper
from reports.exporters.pdf.wrapping import wrap
from reports.table import Column, Kind

_SIZES = (8.0, 7.0, 6.0)
_PAPERS = (landscape(A4), landscape(A3))
_PADDING = 3.0
_NARROWEST = 8  # characters
_MOST_LINES = 14  # of a cell
_WIDE = 1.3  # times the width that a column asks for, before its cells are wrapped


def shown(kind: Kind, cell: Any) -> str:
    """Return a cell as printable text for people."""
    return "" if cell is None else printable(_SHOWN[kind](cell))


def _number(number: int | Decimal) -> str:
    text = exact(number)
    if isinstance(number, int) or not number.is_finite() or "E" in text:
        return text
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, point, places = digits.partition(".")
    return f"{sign}{Decimal(whole):,f}{point}{places}"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "milliseconds")


_SHOWN: dict[Kind, Callable[[Any], str]] = {
    Kind.TEXT: str,
    Kind.NUMBER: _number,
    Kind.MOMENT: _moment,
    Kind.FLAG: lambda flag: "yes" if flag else "no",
}


class Layout(Struct, frozen=True):
    """The paper, the size of the letters, and the width of each column, its padding included."""

    paper: tuple[float, float]
    size: float
    widths: tuple[float, ...]


def lay_out(columns: tuple[Column, ...], cells: list[list[str]]) -> Layout:
    """Return the largest letters on the smallest paper on which every column is as wide as it asks for.

    Where none is, columns on the largest paper with the smallest letters give way: the widest most, and while that
    is possible without tearing a word, a number or a moment in two.
    """
    widths = {size: _wanted(columns, cells, size) for size in _SIZES}
    for paper in _PAPERS:
        for size, wanted in widths.items():
            if sum(wanted) <= paper[0] - 2 * MARGIN:
                return Layout(paper, size, tuple(wanted))
    paper, size = _PAPERS[-1], _SIZES[-1]
    words = [min(wide, word) for wide, word in zip(widths[size], _of_words(columns, cells, size), strict=True)]
    return Layout(paper, size, tuple(_narrowed(widths[size], words, paper[0] - 2 * MARGIN, size)))


def _wanted(columns: tuple[Column, ...], cells: list[list[str]], size: float) -> list[float]:
    letter = width_of("n", BODY, size)
    wanted = []
    for place, column in enumerate(columns):
        widest = max((width_of(max(row[place].split("\n"), key=len), BODY, size) for row in cells), default=0.0)
        word = max(width_of(word, BOLD, size) for word in printable(column.label).split(" "))
        wanted.append(max(word, min(widest, column.width * _WIDE * letter)) + 2 * _PADDING)
    return wanted


def _of_words(columns: tuple[Column, ...], cells: list[list[str]], size: float) -> list[float]:
    """Return how wide the longest word of each column is; what is no text is one word."""
    found = []
    for place, column in enumerate(columns):
        texts = (row[place] for row in cells)
        words = (max(text.split(), key=len, default="") for text in texts) if column.kind is Kind.TEXT else texts
        longest = max((width_of(word, BODY, size) for word in words), default=0.0)
        header = max(width_of(word, BOLD, size) for word in printable(column.label).split(" "))
        found.append(max(longest, header) + 2 * _PADDING)
    return found


def _narrowed(wanted: list[float], words: list[float], room: float, size: float) -> list[float]:
    """Return widths that fit: what is wider than a common bound becomes as wide as that, or as its longest word.

    Words are torn where there is no other way.
    """
    if sum(words) > room:
        words = [0.0] * len(wanted)
    low, high = min(_NARROWEST * width_of("n", BODY, size), room / len(wanted)), max(wanted)
    for _ in range(40):
        bound = (low + high) / 2
        used = sum(max(word, min(each, bound)) for each, word in zip(wanted, words, strict=True))
        low, high = (low, bound) if used > room else (bound, high)
    return [max(word, min(each, low)) for each, word in zip(wanted, words, strict=True)]


class Table:
    """Prints rows below a header that is repeated on every page.

    Attributes
    ----------
    cut
        Cells of which only the first lines are printed.
    """

    def __init__(self, paper: Paper, columns: tuple[Column, ...], layout: Layout) -> None:
        self._paper, self._columns, self._layout = paper, columns, layout
        self._leading = layout.size * LEADING
        self.cut = 0

    def write(self, rows: list[list[str]]) -> None:
        """Print all rows; none is torn in two by the end of a page."""
        header = [
            wrap(printable(column.label), width - 2 * _PADDING, self._layout.size, font=BOLD)
            for column, width in zip(self._columns, self._layout.widths, strict=True)
        ]
        self._header(header)
        for number, cells in enumerate(rows):
            lines = [self._wrapped(cell, width) for cell, width in zip(cells, self._layout.widths, strict=True)]
            if self._height(lines) > self._paper.room:
                self._paper.turn()
                self._header(header)
            self._row(lines, STRIPE if number % 2 else None)

    def _wrapped(self, cell: str, width: float) -> list[str]:
        lines = wrap(cell, width - 2 * _PADDING, self._layout.size, most=_MOST_LINES + 1)
        if len(lines) > _MOST_LINES:
            self.cut += 1
            lines = wrap(cell, width - 2 * _PADDING, self._layout.size, most=_MOST_LINES)
        return lines

    def _header(self, lines: list[list[str]]) -> None:
        self._row(lines, SHADE, font=BOLD)

    def _height(self, lines: list[list[str]]) -> float:
        return max(map(len, lines)) * self._leading + _PADDING

    def _row(self, cells: list[list[str]], shade: object, font: str = BODY) -> None:
        paper, size, height = self._paper, self._layout.size, self._height(cells)
        canvas, x = paper.canvas, MARGIN
        if shade is not None:
            canvas.setFillColor(shade)
            canvas.rect(MARGIN, paper.y - height, sum(self._layout.widths), height, stroke=0, fill=1)
        canvas.setFont(font, size)
        canvas.setFillColor(INK)
        for column, lines, width in zip(self._columns, cells, self._layout.widths, strict=True):
            right = column.kind is Kind.NUMBER
            for number, line in enumerate(lines):
                y = paper.y - size - _PADDING / 2 - number * self._leading
                if right:
                    canvas.drawRightString(x + width - _PADDING, y, line)
                else:
                    canvas.drawString(x + _PADDING, y, line)
            x += width
        paper.y -= height
        canvas.setStrokeColor(RULE)
        canvas.setLineWidth(0.3)
        canvas.line(MARGIN, paper.y, MARGIN + sum(self._layout.widths), paper.y)
