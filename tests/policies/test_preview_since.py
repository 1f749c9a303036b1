"""Whether an order that met an older book is decided alike by the one in force."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from policies.preview.since import Since
from riskcore.book import Book, Scope
from riskcore.compiled import CompiledBook
from riskcore.types import Order
from tests.audit.subjects import inputs
from tests.policies.previewing import book, no_book, policy

OF_ONE = policy("leverage", 2, scope=Scope.ACCOUNT, scope_ids=("desk-1",))


@dataclass
class Shelf:
    """Published books, and which of them were read."""

    books: dict[int, Book]
    read: list[int] = field(default_factory=list)

    def load(self, version: int) -> Book:
        self.read.append(version)
        return self.books[version]


def order(account_id: str) -> Order:
    return inputs(account_id=account_id).order


def test_nothing_has_changed_under_a_book_that_says_the_same():
    since = Since(CompiledBook(book(OF_ONE)), (3,), no_book)
    assert since.nothing_changed_for(order("desk-1"), 3)


def test_what_has_changed_for_one_account_has_not_for_another():
    shelf = Shelf({3: book()})
    since = Since(CompiledBook(book(OF_ONE)), (), shelf.load)
    assert not since.nothing_changed_for(order("desk-1"), 3)
    assert since.nothing_changed_for(order("desk-2"), 3)
    assert shelf.read == [3]


def test_of_a_book_that_cannot_be_read_everything_may_have_changed():
    since = Since(CompiledBook(book(OF_ONE)), (), no_book)
    assert not since.nothing_changed_for(order("desk-2"), 3)


def test_only_some_books_are_read():
    shelf = Shelf({version: replace(book(), version=version) for version in range(1, 21)})
    since = Since(CompiledBook(book(OF_ONE)), (), shelf.load)
    alike = [since.nothing_changed_for(order("desk-2"), version) for version in range(1, 21)]
    assert len(shelf.read) == alike.count(True) == 8
