"""From the text of a cell to the value of a field as JSON has it, and text that is no formula."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models

from audit.canonical import Json, plain
from policies.fields import NameListField, WindowListField
from policies.files.rows import Cell, field_of
from riskcore.decimals import tidy

_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
# What a spreadsheet takes for a formula when it begins a cell (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def read_cell(kind: str, column: str, cell: Cell) -> Json:
    """Return the value of a cell as JSON has it. Raises ValueError, for people, where it is none."""
    field = field_of(kind, column)
    if isinstance(field, NameListField):
        return _listed(cell, r"[,\n]+")
    if isinstance(field, WindowListField):
        return _listed(cell, r",\s+|\n+")  # "Mon,Wed" has no blank after its comma
    if isinstance(cell, list):
        raise ValueError("expected one value, not a list")
    if isinstance(field, models.TextField):
        return _text(cell or "")
    text = (cell or "").strip()
    if not text:
        return _empty(field)
    match field:
        case models.DecimalField():
            return _number(text)
        case models.BooleanField():
            return _flag(text)
        case models.IntegerField():
            return _whole(text)
        case models.DateTimeField():
            return _moment(text)
    return _text(text)


def defused(text: str) -> str:
    """Return text for a spreadsheet so that it is no formula; a number stays as it is."""
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def fused(text: str) -> str:
    """Return text as it was before it was defused."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def _empty(field: models.Field[Any, Any]) -> Json:
    if field.null:
        return None
    if isinstance(field, models.CharField):
        return ""
    raise ValueError("is empty: write a value, or leave out the column")


def _listed(cell: Cell, between: str) -> Json:
    names = re.split(between, cell) if isinstance(cell, str) else cell or []
    return [_text(name.strip()) for name in names if name.strip()]


def _text(text: str) -> str:
    if _CONTROLS.search(text):
        raise ValueError("has a character that is no text")
    return text


def _number(text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"expected a number such as 1000 or 0.05, not {text[:40]!r}")
    return f"{tidy(Decimal(text)):f}"


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"expected a whole number, not {text[:40]!r}")
    return int(text)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"expected true or false, not {text[:40]!r}")
    return text.lower() == "true"


def _moment(text: str) -> Json:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(f"expected a moment with its zone, such as 2026-01-31T14:00:00+00:00, not {text[:40]!r}")
    return plain(at)
