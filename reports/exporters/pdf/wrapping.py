"""Text in lines that are no wider than their place."""

from __future__ import annotations

from collections.abc import Iterator

from reports.exporters.pdf.fonts import BODY, width_of

_MORE = " …"


def wrap(text: str, width: float, size: float, *, font: str = BODY, most: int = 0) -> list[str]:
    """Return the lines of printable text in `width` points, broken between words, and within one that is too long.

    Of more than `most` lines (0: any number) the last ends in a sign that there is more.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        for line in _lines(paragraph, width, size, font):
            if most and len(lines) == most:
                lines[-1] = _shorter(lines[-1], width, size, font)
                return lines
            lines.append(line)
    return lines


def _lines(paragraph: str, width: float, size: float, font: str) -> Iterator[str]:
    if width_of(paragraph, font, size) <= width:
        yield paragraph
        return
    line = ""
    for word in paragraph.split(" "):
        longer = f"{line} {word}" if line else word
        if width_of(longer, font, size) <= width:
            line = longer
            continue
        if line:
            yield line
        *whole, line = _pieces(word, width, size, font)
        yield from whole
    yield line


def _pieces(word: str, width: float, size: float, font: str) -> list[str]:
    """Return a word in pieces that fit, each of one character at least."""
    pieces, begin, used = [], 0, 0.0
    for place, char in enumerate(word):
        used += (wide := width_of(char, font, size))
        if used > width and place > begin:
            pieces.append(word[begin:place])
            begin, used = place, wide
    return [*pieces, word[begin:]]


def _shorter(line: str, width: float, size: float, font: str) -> str:
    while line and width_of(line + _MORE, font, size) > width:
        line = line[:-1]
    return line + _MORE
