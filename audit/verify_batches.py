"""Checks the chain of sealed batches and every row in them: nothing changed, left out, put in, moved or cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from django.apps import apps
from django.db.models import Q
from msgspec import Struct

from audit.canonical import GENESIS
from audit.digests import Digester
from audit.garbage import held_back
from audit.models import EvidenceArchive, EvidenceBatch, EvidenceHead, Sealed
from audit.sealing import Content, SealedRows, batch_hash

# Rows that are looked at together: so many are in memory at a time.
CHUNK = 4_000

_content = msgspec.json.Decoder(Content)


class BadRow(Struct, frozen=True, kw_only=True):
    """The first row that is not as it was sealed. `table` and `key` are empty where it is the batch itself."""

    batch: int
    table: str = ""
    key: str = ""
    problem: str


class BatchCheck(Struct, frozen=True, kw_only=True):
    """What a check of the sealed rows found.

    `batches` and `head` are how many there are and the hash of the last, as the chain's end has them; `rows` how many
    were found to be as they were sealed, `archived` how many have been taken out into archives. `bad` is None where
    all is well.
    """

    batches: int
    head: str
    rows: int = 0
    archived: int = 0
    bad: BadRow | None = None

    @property
    def intact(self) -> bool:
        return self.bad is None


# What packages above check of evidence of theirs, by what it is about: at a moment, and telling how far they are.
Further: TypeAlias = Callable[[datetime, Callable[[int, int], None]], BadRow | None]
FURTHER: dict[str, Further] = {}


class _Found(Exception):
    """The first bad row."""

    def __init__(self, bad: BadRow) -> None:
        self.bad = bad
        super().__init__(bad.problem)


def sealed_models() -> list[type[Sealed]]:
    """Return every model whose rows are sealed."""
    return [model for model in apps.get_models() if issubclass(model, Sealed)]


def verify_batches(progress: Callable[[int, int], None] | None = None) -> BatchCheck:
    """Check every batch up to the chain's present end, and its rows; `progress` is told how many batches of how many.

    What is sealed meanwhile is left to the next check. A chain that was cut off at its end together with its head and
    its rows cannot be told from a short one: compare it with an anchor (`audit.anchors`).
    """
    end = EvidenceHead.objects.filter(pk=1).first() or EvidenceHead(sequence=0, hash=GENESIS)
    looking = _Looking(_archived_through())
    try:
        for chunk in _chunks(end.sequence):
            with held_back():
                looking.look(chunk)
            if progress is not None:
                progress(chunk[-1].sequence, end.sequence)
        looking.end(end)
    except _Found as found:
        return BatchCheck(
            batches=end.sequence, head=end.hash, rows=looking.rows, archived=looking.archived, bad=found.bad
        )
    return BatchCheck(batches=end.sequence, head=end.hash, rows=looking.rows, archived=looking.archived)


class _Looking:
    """How far a check has come."""

    def __init__(self, archived_through: int) -> None:
        self.rows = self.archived = 0
        self._archived_through = archived_through
        self._expected, self._previous = 1, GENESIS
        self._models = {model._meta.label_lower: model for model in sealed_models()}

    def look(self, chunk: Sequence[EvidenceBatch]) -> None:
        """Check some batches that follow on each other, and their rows. Raises _Found."""
        contents: dict[int, Content] = {}
        broken: _Found | None = None
        for batch in chunk:
            problem = chain_problem(batch, self._expected, self._previous)
            if problem:
                broken = _Found(BadRow(batch=self._expected, problem=problem))
                break
            contents[batch.sequence] = _content.decode(batch.content)
            self._expected, self._previous = self._expected + 1, batch.hash
        # Rows of the batches before a broken one come first.
        if contents:
            self._look_at_rows(contents)
        if broken is not None:
            raise broken

    def _look_at_rows(self, contents: Mapping[int, Content]) -> None:
        found: list[BadRow] = []
        for label, model in self._models.items():
            sealed = {number: content[label] for number, content in contents.items() if label in content}
            there = _digests(model, min(contents), max(contents), sealed)
            for number, of_model in sealed.items():
                found += self._compare(label, number, of_model, there.pop(number, {}))
            found += [
                BadRow(batch=number, table=label, key=min(rows), problem=_put_in(label, min(rows), number))
                for number, rows in there.items()
                if rows
            ]
        if found:
            raise _Found(min(found, key=lambda bad: (bad.batch, bad.table, bad.key)))

    def _compare(self, label: str, number: int, sealed: SealedRows, there: Mapping[str, str]) -> Iterator[BadRow]:
        if not there and number <= self._archived_through and self._models[label].goes_into_archives:
            self.archived += len(sealed.rows)
            return
        if sealed.rows == there:
            self.rows += len(there)
            return
        for key in sorted(sealed.rows.keys() | there.keys()):
            problem = row_problem(label, key, number, sealed.rows.get(key), there.get(key))
            if problem:
                yield BadRow(batch=number, table=label, key=key, problem=problem)
                return

    def end(self, end: EvidenceHead) -> None:
        """Check that the chain ends where its head says. Raises _Found."""
        last = self._expected - 1
        problem = ""
        if last < end.sequence:
            problem = f"batch {self._expected} is missing; the chain's end is batch {end.sequence}"
        elif self._previous != end.hash:
            problem = f"batch {end.sequence} is not the one that the chain ended with"
        if problem:
            raise _Found(BadRow(batch=min(self._expected, end.sequence), problem=problem))
        beyond = self._beyond(end)
        if beyond is not None and not EvidenceHead.objects.filter(sequence__gt=end.sequence).exists():
            raise _Found(beyond)

    def _beyond(self, end: EvidenceHead) -> BadRow | None:
        """Return a row that names a batch which there is not; it is a fault only if the end has not moved since."""
        if EvidenceBatch.objects.filter(Q(sequence__gt=end.sequence) | Q(sequence__lt=1)).exists():
            problem = f"a batch is not of the chain, which ends with batch {end.sequence}"
            return BadRow(batch=end.sequence + 1, problem=problem)
        for label, model in self._models.items():
            row = model._default_manager.filter(Q(batch__gt=end.sequence) | Q(batch__lt=1)).first()
            if row is not None:
                return BadRow(batch=row.batch, table=label, key=str(row.pk), problem=_put_in(label, row.pk, row.batch))
        return None


def chain_problem(batch: EvidenceBatch, expected: int, previous: str) -> str:
    """Return what is wrong with a batch as the one that is expected after `previous`, empty if nothing."""
    if batch.sequence != expected:
        return f"batch {expected} is missing; batch {batch.sequence} follows"
    if batch.previous_hash != previous:
        return f"batch {expected} does not name the hash of the batch before it"
    if batch_hash(batch) != batch.hash:
        return f"batch {expected} was changed: its hash is not that of its content"
    return ""


def row_problem(table: str, key: object, batch: int, sealed: str | None, there: str | None) -> str:
    """Return what is wrong with a row, of its digest as it was sealed and as it is now; empty if nothing."""
    if sealed is None:
        return _put_in(table, key, batch)
    if there is None:
        return f"row {key} of {table} is missing; it was sealed in batch {batch}"
    return "" if there == sealed else f"row {key} of {table} was changed since it was sealed in batch {batch}"


def _put_in(table: str, key: object, batch: int) -> str:
    return f"row {key} of {table} was put in: batch {batch}, which it names, does not have it"


def _digests(model: type[Sealed], first: int, last: int, sealed: Mapping[int, SealedRows]) -> dict[int, dict[str, str]]:
    """Return the digests of the rows that name a batch from `first` to `last`, by batch and key, as they are now."""
    found: dict[int, dict[str, str]] = {}
    columns = {of_model.columns for of_model in sealed.values()} or {("batch",)}
    for names in columns:
        digester = Digester(names)
        numbers = [
            number for number in range(first, last + 1) if number not in sealed or sealed[number].columns == names
        ]
        for pk, batch, *values in _rows(model, numbers, names):
            found.setdefault(batch, {})[str(pk)] = _digest(digester, values)
    return found


def _rows(model: type[Sealed], numbers: Sequence[int], names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    rows = model._default_manager.filter(batch__gte=numbers[0], batch__lte=numbers[-1]).order_by()
    if len(numbers) != numbers[-1] - numbers[0] + 1:
        rows = rows.filter(batch__in=numbers)
    # All of a chunk at once: fetching it bit by bit would cost more than the memory that it takes.
    yield from rows.values_list("pk", "batch", *names)


def _digest(digester: Digester, values: Sequence[Any]) -> str:
    try:
        return digester.digest(values)
    except (TypeError, ValueError) as error:  # such as no row has that was sealed
        return str(error)


def _chunks(last: int) -> Iterator[list[EvidenceBatch]]:
    """Yield the batches from the first to number `last`, with about CHUNK rows at a time."""
    chunk: list[EvidenceBatch] = []
    for batch in EvidenceBatch.objects.filter(sequence__lte=last).order_by("sequence").iterator(100):
        chunk.append(batch)
        if sum(each.rows for each in chunk) >= CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _archived_through() -> int:
    newest = EvidenceArchive.objects.order_by("-through").first()
    return 0 if newest is None else newest.through
