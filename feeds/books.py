"""The compiled books that a process keeps: the one in force, and the one before it while checks still end on it."""

from __future__ import annotations

import msgspec

from riskcore.book import decode_book
from riskcore.compiled import CompiledBook
from state.store import StateUnavailable, Store


class CompiledBooks:
    """Compiled books by version, the last two. For threads and tasks alike."""

    def __init__(self) -> None:
        self._books: dict[int, CompiledBook] = {}
        self._last: CompiledBook | None = None

    @property
    def last(self) -> CompiledBook | None:
        """Return the book that was compiled last, None before the first."""
        return self._last

    def get(self, version: int) -> CompiledBook | None:
        """Return the compiled book, None where the process does not have it."""
        return self._books.get(version)

    def put(self, version: int, content: bytes) -> CompiledBook:
        """Compile a book's content and keep it. Raises ValueError or msgspec.DecodeError where it is none."""
        book = decode_book(content)
        if book.version != version:
            raise ValueError(f"the content is of book {book.version}")
        compiled = CompiledBook(book)
        before = self._last
        self._books = {version: compiled} if before is None else {before.version: before, version: compiled}
        self._last = compiled
        return compiled

    def forget(self) -> None:
        """Keep none, as a new process."""
        self._books, self._last = {}, None


# Every door of the process shares them.
BOOKS = CompiledBooks()


def in_force(version: int, store: Store, books: CompiledBooks) -> CompiledBook:
    """Return a published book, fetched from the live state if need be. Raises StateUnavailable."""
    known = books.get(version)
    if known is not None:
        return known
    content = store.fetch_book(version)
    if content is None:
        raise StateUnavailable(f"book {version} is not in the live state")
    try:
        return books.put(version, content)
    except (ValueError, msgspec.DecodeError) as error:
        raise StateUnavailable(f"book {version} cannot be read: {error}") from error
