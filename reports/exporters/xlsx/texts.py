"""Text as a cell of a workbook can hold it: what XML does not allow is replaced by something that is seen."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

LONGEST = 32_767  # UTF-16 units, says Excel

_CUT = " … (cut)"
_NOT_IN_XML = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
_PICTURES = 0x2400  # of the control characters, by their numbers: ␀ for NUL


def clean(text: str) -> str:
    """Return text with the pictures of control characters in their place; a line ends as in Excel, by one character."""
    if text.isprintable():
        return text
    return _NOT_IN_XML.sub(_seen, text.replace("\r\n", "\n"))


def cut(text: str) -> str:
    """Return text that is too long for a cell with its end cut off, and saying so; any other as it is."""
    if len(text) * 2 <= LONGEST:
        return text
    units = text.encode("utf-16-le")
    if len(units) <= LONGEST * 2:
        return text
    # Half of a pair, where the cut went through one, is left out.
    return units[: (LONGEST - len(_CUT)) * 2].decode("utf-16-le", "ignore") + _CUT


def plain(text: str) -> str:
    """Return text for xlsxwriter, which would write what looks like its own mark-up as mark-up, whoever wrote it."""
    if text.startswith("<r>") and text.endswith("</r>"):
        return f'<r><t xml:space="preserve">{escape(text)}</t></r>'
    return text


def _seen(found: re.Match[str]) -> str:
    number = ord(found[0])
    return chr(_PICTURES + number) if number < ord(" ") else "\ufffd"
