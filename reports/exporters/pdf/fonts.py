"""The fonts of documents, and text made of what they have: nothing is printed as an empty box."""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

BODY = "DejaVuSansCondensed"
BOLD = "DejaVuSansCondensed-Bold"

_FOLDER = Path(__file__).parents[2] / "fonts"
# Controls, signs without a shape, halves of pairs, private and unassigned ones: nobody sees what they do.
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_LAST = 0xFFFF
_TO_THE_LEFT = frozenset(("R", "AL"))


def register() -> None:
    """Make the fonts known to reportlab; more than once is as good as once."""
    _fonts()


def width_of(text: str, font: str, size: float) -> float:
    """Return how wide text is, in points."""
    width: float = _fonts()[font].stringWidth(text, size)
    return width


def printable(text: str) -> str:
    """Return text with the number of every character that the fonts do not have, or nobody sees: [U+4E2D].

    The end of a line stays, a tab becomes a blank.
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\t", " ")
    return "".join(char if char == "\n" or _has(char) else f"[U+{ord(char):04X}]" for char in text)


def runs_to_the_left(text: str) -> bool:
    """Return whether there is a script in text that is read from right to left: it is printed as it is stored."""
    return not text.isascii() and any(unicodedata.bidirectional(char) in _TO_THE_LEFT for char in text)


@cache
def _fonts() -> dict[str, TTFont]:
    fonts = {name: TTFont(name, str(_FOLDER / f"{name}.ttf")) for name in (BODY, BOLD)}
    for font in fonts.values():
        pdfmetrics.registerFont(font)
    return fonts


@cache
def _has(char: str) -> bool:
    # Of a character beyond 16 bits reportlab writes a number that nobody can copy or search for.
    if unicodedata.category(char) in _UNSEEN or ord(char) > _LAST:
        return False
    return all(ord(char) in font.face.charToGlyph for font in _fonts().values())
