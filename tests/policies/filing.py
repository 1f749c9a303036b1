"""Files of limits in each format, and what is wrong with one."""

from __future__ import annotations

import io
from typing import Any

import pytest
import yaml
from openpyxl import Workbook

from policies.files.rows import FileRefused
from policies.files.services import plan_import, try_plan


def as_yaml(**sheets: Any) -> bytes:
    return yaml.safe_dump(sheets).encode()


def as_csv(*lines: str) -> bytes:
    return "\n".join(lines).encode()


def as_xlsx(**sheets: list[list[Any]]) -> bytes:
    book = Workbook()
    del book["Sheet"]
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def problems(content: bytes, name: str = "limits.yaml", kind: str = "") -> list[str]:
    """What is wrong with a file, tried if it can be read."""
    with pytest.raises(FileRefused) as refused:
        try_plan(plan_import(content, name, kind))
    return [str(each) for each in refused.value.problems]
