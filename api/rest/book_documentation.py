"""What the OpenAPI document says of published books."""

from __future__ import annotations

from api.rest import books
from api.rest.documenting import ANY, PAGE, READ, document_view, ok, problems, query
from api.rest.schemas import page


def document_books() -> None:
    """Say what the doors of published books do."""
    document_view(
        books.BooksView,
        "Limits",
        get={
            "operation_id": "list_books",
            "description": "Who published each, when, why and by which request. With `as_of` the one book that checks "
            "went by at that moment.",
            "parameters": [query("as_of", "A moment with its zone, or since the epoch.", format="date-time"), *PAGE],
            "responses": {**ok(page(ANY), "The newest first."), **problems(*READ)},
        },
    )
    document_view(
        books.BookView,
        "Limits",
        get={
            "operation_id": "get_book",
            "description": "All that a book says, each limit in words too, and its differences from the book before "
            "or from the one that `since` names (0: from nothing), each with its direction.",
            "parameters": [query("since", "The book that it is compared with.", type="integer", minimum=0)],
            "responses": {**ok(ANY, "The book."), **problems(*READ, 404)},
        },
    )
