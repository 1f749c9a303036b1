"""Whether the book in force still decides an order as the book did that it met."""

from __future__ import annotations

from collections.abc import Callable, Collection

from policies.preview.reach import Reach
from riskcore.book import Book
from riskcore.compiled import CompiledBook
from riskcore.types import Order

# Reading and comparing a book takes as long as deciding some hundred orders: of a window over many, the rest of the
# orders is decided again.
_MOST_BOOKS = 8


class Since:
    """What has changed for an order since the book by which it was decided.

    Parameters
    ----------
    in_force
        The book in force.
    alike
        The versions of books that say the same.
    load
        Returns a published book; raises LookupError or ValueError where it cannot.
    """

    def __init__(self, in_force: CompiledBook, alike: Collection[int], load: Callable[[int], Book]) -> None:
        self._in_force, self._alike, self._load = in_force, frozenset(alike), load
        self._reaches: dict[int, Reach | None] = {}

    def nothing_changed_for(self, order: Order, version: int) -> bool:
        """Return whether the book in force decides the order as the one of this version did."""
        if version in self._alike:
            return True
        if version not in self._reaches:
            self._reaches[version] = self._reach_of(version)
        reach = self._reaches[version]
        return reach is not None and not reach.concerns(order)

    def _reach_of(self, version: int) -> Reach | None:
        if len(self._reaches) >= _MOST_BOOKS:
            return None
        try:
            return Reach(CompiledBook(self._load(version)), self._in_force)
        except (LookupError, ValueError):
            return None
