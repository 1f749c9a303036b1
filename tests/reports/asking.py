"""Short ways to ask a report for what a test looks at."""

from __future__ import annotations

from typing import Any

from reports.table import Asked, Chart, Dataset

ALL = frozenset[str]()
EVERYTHING = Asked()


def cells(report: Dataset, asked: Asked = EVERYTHING, accounts: frozenset[str] = ALL) -> list[dict[str, Any]]:
    """Return the rows with their cells by the names of the columns; there is one for each column."""
    names = [each.name for each in report.columns]
    rows = list(report.rows(asked, accounts))
    assert len(rows) == report.count(asked, accounts)
    return [dict(zip(names, row, strict=True)) for row in rows]


def column(report: Dataset, name: str, asked: Asked = EVERYTHING, accounts: frozenset[str] = ALL) -> list[Any]:
    return [row[name] for row in cells(report, asked, accounts)]


def figure(report: Dataset, label: str, asked: Asked = EVERYTHING, accounts: frozenset[str] = ALL) -> str:
    figures = {each.label: each.value for each in report.summary(asked, accounts).figures}
    return figures[label]


def chart(report: Dataset, title: str, asked: Asked = EVERYTHING, accounts: frozenset[str] = ALL) -> Chart:
    charts = {each.title: each for each in report.summary(asked, accounts).charts}
    return charts[title]
