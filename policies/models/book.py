"""The published books, kept for ever."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from audit.models import Sealed


class BookReturns(Sealed):
    """The history of prices that books go by, once for all of them: it is longer than the rest of a book.

    `content` is its JSON; `version` the hash that names it. `until` is the date of the last return.
    """

    version = models.CharField(max_length=64, primary_key=True)
    content = models.TextField()
    days = models.PositiveIntegerField()
    symbols = models.PositiveIntegerField()
    until = models.DateField()
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Returns of {self.symbols} symbols on {self.days} days to {self.until}"


class Book(Sealed):
    """One version of the policy book, as it was published. Numbered from 1 without gaps.

    `content` is its canonical JSON without `returns`, if it has any (`policies.book.published` has all of it);
    `sha256` is the hash of all that it says, its number apart.
    """

    version = models.PositiveBigIntegerField(primary_key=True)
    content = models.TextField()
    returns = models.ForeignKey(BookReturns, on_delete=models.PROTECT, null=True, related_name="+")
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    reason = models.TextField()

    class Meta(Sealed.Meta):
        ordering = ("-version",)
        constraints = [models.CheckConstraint(condition=Q(version__gte=1), name="book_version_positive")]

    def __str__(self) -> str:
        return f"Book {self.version}"


class BookLock(models.Model):
    """One row, locked by whoever makes a book: so changes are made one after the other, and books numbered."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(id=1), name="book_lock_single")]
