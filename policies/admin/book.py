"""The published books in the admin, each with what it changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string

from audit.admin import ReadOnlyAdmin
from audit.unfold import display
from policies.book import loaded
from policies.compare import compare_books
from policies.models import Book
from policies.wording import sentence


@admin.register(Book)
class BookAdmin(ReadOnlyAdmin):
    list_display = ("version", "created_at", "actor", "reason", "short_hash")
    list_filter = ("created_at",)
    search_fields = ("actor", "reason", "sha256")
    fields = ("version", "created_at", "actor", "reason", "sha256", "changed", "limits")

    def get_queryset(self, request: HttpRequest) -> Any:
        # A book of thousands of accounts is not read for a line in a list.
        return super().get_queryset(request).defer("content")

    @display(description="Hash")
    def short_hash(self, book: Book) -> str:
        return book.sha256[:12]

    @display(description="What it changed")
    def changed(self, book: Book) -> str:
        try:
            before = loaded(book.version - 1) if book.version > 1 else None
            differences = compare_books(before, loaded(book.version))
        except (ValueError, LookupError) as error:
            return str(error)
        return render_to_string("admin/policies/book_changes.html", {"differences": differences})

    @display(description="Limits in force")
    def limits(self, book: Book) -> str:
        try:
            limits = loaded(book.version).policies
        except ValueError as error:
            return str(error)
        lines = sorted((limit.priority, limit.name, sentence(limit)) for limit in limits)
        return render_to_string("admin/policies/book_limits.html", {"lines": lines})
