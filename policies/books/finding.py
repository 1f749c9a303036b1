"""Which book was in force at a moment, where a book comes from, and what of it somebody may see."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from audit.acting import Acting
from policies.models import Book, ChangeRequest
from riskcore import book as core


def book_at(at: datetime) -> Book | None:
    """Return the book that checks went by at a moment (timezone-aware); None before the first.

    It is live as soon as the transaction that made it commits: that takes milliseconds, during which the book before
    it is still gone by. A decision names the book that it was taken by.
    """
    return Book.objects.defer("content").filter(created_at__lte=at).order_by("-version").first()


def request_of(book: Book) -> ChangeRequest | None:
    """Return the change request that made a book; None where it came of the configuration."""
    return ChangeRequest.objects.defer("edits").filter(book=book).first()


def neighbours(version: int) -> tuple[Book | None, Book | None]:
    """Return the book before a version and the one after it."""
    books = Book.objects.defer("content")
    return (
        books.filter(version__lt=version).order_by("-version").first(),
        books.filter(version__gt=version).order_by("version").first(),
    )


def visible(book: core.Book, acting: Acting) -> core.Book:
    """Return a book as somebody may see it: those who are for some accounts see nothing of the others."""
    if not acting.accounts:
        return book
    return replace(
        book,
        accounts=tuple(account for account in book.accounts if acting.may_see(account.id)),
        restrictions=tuple(
            each for each in book.restrictions if not each.account_id or acting.may_see(each.account_id)
        ),
        overrides=tuple(each for each in book.overrides if acting.may_see(each.account_id)),
        policies=tuple(limit for policy in book.policies if (limit := _visible_limit(policy, acting)) is not None),
    )


def _visible_limit(policy: core.Policy, acting: Acting) -> core.Policy | None:
    if policy.scope is not core.Scope.ACCOUNT:
        return policy
    names = tuple(name for name in policy.scope_ids if acting.may_see(name))
    return replace(policy, scope_ids=names) if names else None
