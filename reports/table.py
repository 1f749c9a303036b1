"""What a report is made of: columns, rows, and what is said of all of them at a glance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, TypeAlias

from msgspec import Struct

Cell: TypeAlias = "str | int | Decimal | datetime | bool | None"
Row: TypeAlias = tuple[Cell, ...]


class Kind(StrEnum):
    """What the cells of a column hold; any of them may be empty (None).

    A number is an int or an exact Decimal, never a float; a moment is a datetime with its zone.
    """

    TEXT = "text"
    NUMBER = "number"
    MOMENT = "moment"
    FLAG = "flag"


class Column(Struct, frozen=True, kw_only=True):
    """A column: `name` in files that machines read, `label` for people, about `width` characters wide."""

    name: str
    label: str
    kind: Kind = Kind.TEXT
    width: int = 14


class Figure(Struct, frozen=True):
    """One number that matters, with its words: ("Orders blocked", "1,204")."""

    label: str
    value: str


class ChartKind(StrEnum):
    """How a series is drawn."""

    BARS = "bars"
    LINE = "line"


class Chart(Struct, frozen=True, kw_only=True):
    """A picture of one series: `values` by `labels`, as many of the one as of the other. Floats: it is only drawn."""

    title: str
    kind: ChartKind
    labels: tuple[str, ...]
    values: tuple[float, ...]
    unit: str = ""


class Summary(Struct, frozen=True, kw_only=True):
    """What is said of all rows at a glance. `notes` are sentences: what is left out, what a reader must know."""

    figures: tuple[Figure, ...] = ()
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()


class Asked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a report is to be about. What is empty filters nothing.

    Attributes
    ----------
    since, until
        The period, `since` included and `until` not.
    at
        The moment, of a report on one moment.
    account_id, symbol, actor
        One account, one symbol, one person or key as the audit log names it.
    policy
        The id of a policy, or its name.
    metric
        The name of a metric that limits are on: `leverage`.
    """

    since: datetime | None = None
    until: datetime | None = None
    at: datetime | None = None
    account_id: str = ""
    symbol: str = ""
    policy: str = ""
    metric: str = ""
    actor: str = ""


class Dataset(ABC):
    """One report: what there is to say, before it is written in any format.

    Its methods are called within one transaction that sees one moment of the database. `accounts` are those that
    whoever asked is for (none: all), and no row of another account is ever given to them.

    Attributes
    ----------
    name
        Stable, in addresses and files: `policy_changes`.
    title, meaning
        For people; the meaning is one sentence.
    permissions
        What it takes to have it, by Django's names: all of them.
    of_all
        It concerns all accounts at once: nobody who is for some accounts may have it.
    filters
        The names of `Asked` that it heeds.
    needed
        Those of them without which it cannot be made.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    meaning: ClassVar[str]
    permissions: ClassVar[tuple[str, ...]]
    of_all: ClassVar[bool] = False
    columns: ClassVar[tuple[Column, ...]]
    filters: ClassVar[frozenset[str]]
    needed: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def count(self, asked: Asked, accounts: frozenset[str]) -> int:
        """Return how many rows there are, for the progress of whoever waits."""

    @abstractmethod
    def rows(self, asked: Asked, accounts: frozenset[str]) -> Iterator[Row]:
        """Yield the rows, the oldest first, holding few of them in memory; each has a cell for every column."""

    @abstractmethod
    def summary(self, asked: Asked, accounts: frozenset[str]) -> Summary:
        """Return what is said of all rows, worked out by the database and not by reading them one by one."""

    @abstractmethod
    def books(self, asked: Asked, accounts: frozenset[str]) -> tuple[int, int] | None:
        """Return the first and the last version of the policy book that the rows are about, None: of none."""
