"""Reports as JSON lines: an object a row, by the names of the columns. What else there is to say, the manifest says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, BinaryIO

import msgspec

from reports.exporters.cells import exact, moment
from reports.exporters.form import Exporter, Head
from reports.table import Kind, Row, Summary

_AT_ONCE = 500  # rows


def _as_it_is(cell: Any) -> Any:
    return cell


def _number(number: int | Decimal) -> int | str:
    """Return a whole number as one, and an exact decimal as text: JSON's numbers are binary floats to most readers."""
    return number if isinstance(number, int) else exact(number)


_VALUE: dict[Kind, Callable[[Any], Any]] = {
    Kind.TEXT: _as_it_is,
    Kind.NUMBER: _number,
    Kind.MOMENT: moment,
    Kind.FLAG: bool,
}


class JsonLinesExporter(Exporter):
    """For programs, exactly: what is empty is null, texts are as they are."""

    suffix = "jsonl"
    title = "JSON lines"
    content_type = "application/jsonl"

    def write(self, stream: BinaryIO, head: Head, rows: Iterator[Row], summary: Summary) -> int:
        names, written = [column.name for column in head.columns], 0
        values = [_VALUE[column.kind] for column in head.columns]
        while several := list(islice(rows, _AT_ONCE)):
            stream.write(
                _lines(
                    [
                        {
                            name: None if cell is None else value(cell)
                            for name, value, cell in zip(names, values, row, strict=True)
                        }
                        for row in several
                    ]
                )
            )
            written += len(several)
        return written


def _lines(objects: list[dict[str, Any]]) -> bytes:
    """Return a line for each object."""
    try:
        return msgspec.json.Encoder().encode_lines(objects)
    except UnicodeEncodeError:
        # Half of a pair of characters, which JSON can say and msgspec cannot.
        return "".join(f"{json.dumps(each, separators=(',', ':'))}\n" for each in objects).encode()
