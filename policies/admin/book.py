"""The published books in the admin: each whole, any two compared, as of any moment, and put back by a request."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.http import urlencode

from audit.acting import NotAllowed
from audit.admin import ReadOnlyAdmin
from audit.rights import acting_of
from audit.unfold import display
from policies.admin import files
from policies.admin.book_page import comparison_of, page_of, restoring_of
from policies.book import latest
from policies.books.finding import book_at
from policies.books.services import do_restore_book
from policies.errors import PolicyError
from policies.models import CHANGE_LIMITS, Book, ChangeRequest
from policies.requests.moments import read_moment
from policies.requests.publishing import text_of

_REFUSED = (PolicyError, NotAllowed, ValidationError, ValueError)


@admin.register(Book)
class BookAdmin(ReadOnlyAdmin):
    list_display = ("version", "published_at", "published_by", "reason", "made_by", "short_hash")
    list_display_links = ("version", "published_at")
    list_filter = ("created_at",)
    list_select_related = ("change_request",)
    search_fields = ("actor", "reason", "sha256", "=version")
    search_help_text = "A number, who published it, why, or its hash"
    list_before_template = "admin/policies/book_as_of.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        # A book of thousands of accounts is not read for a line in a list.
        return super().get_queryset(request).defer("content", "change_request__edits")

    def get_urls(self) -> Any:
        def view(address: str, function: Any, name: str) -> Any:
            return path(address, self.admin_site.admin_view(function), name=f"policies_book_{name}")

        return [
            view("as-of/", self.as_of_view, "as_of"),
            view("compare/", self.compare_view, "compare"),
            view("<int:version>/restore/", self.restore_view, "restore"),
            view("import/", self.import_view, "import"),
            view("export/<slug:form>/", self.export_view, "export"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        acting = acting_of(request.user)
        may = {"may_export": not acting.accounts, "may_import": acting.may(CHANGE_LIMITS)}
        newest = latest()
        context = {
            **(extra_context or {}),
            **may,
            "zone": settings.RISK_DAY_ZONE,
            "newest": 0 if newest is None else newest.version,
        }
        return super().changelist_view(request, context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a book whole, in words; `q` keeps what has a text, `at` says for which moment it was looked up."""
        book = self._found(request, object_id)
        try:
            context = page_of(book, acting_of(request.user), request.GET.get("q", "").strip())
        except ValueError as error:
            context = {"book": book, "problem": str(error)}
        shown = {**context, "original": book, "at": request.GET.get("at", "")}
        return self._page(request, "book.html", f"Book {book.version}", shown)

    def as_of_view(self, request: HttpRequest) -> HttpResponse:
        """Go to the book that was in force at a moment."""
        self._demand_view(request)
        try:
            at = read_moment(request.GET.get("at", ""), request.GET.get("zone") or settings.RISK_DAY_ZONE)
        except ValidationError as error:
            messages.error(request, text_of(error))
            return HttpResponseRedirect(reverse("admin:policies_book_changelist"))
        except (ValueError, LookupError):
            messages.error(request, "There is no such zone: UTC, Europe/Berlin, America/New_York are some.")
            return HttpResponseRedirect(reverse("admin:policies_book_changelist"))
        book = book_at(at)
        if book is None:
            messages.warning(
                request, f"At {at:%Y-%m-%d %H:%M:%S} UTC no book was published yet: every order was blocked."
            )
            return HttpResponseRedirect(reverse("admin:policies_book_changelist"))
        address = reverse("admin:policies_book_change", args=(book.version,))
        return HttpResponseRedirect(f"{address}?{urlencode({'at': f'{at:%Y-%m-%d %H:%M:%S} UTC'})}")

    def compare_view(self, request: HttpRequest) -> HttpResponse:
        """Show the differences of two books, the older one first."""
        self._demand_view(request)
        versions = sorted(self._number(request.GET.get(name, "")) for name in ("from", "to"))
        try:
            context = comparison_of(versions[0], versions[1], acting_of(request.user))
        except LookupError as error:
            raise Http404(str(error)) from None
        except ValueError as error:
            context = {"older": versions[0], "newer": versions[1], "problem": str(error)}
        title = f"From book {versions[0]} to book {versions[1]}"
        return self._page(request, "book_compare.html", title, context)

    def restore_view(self, request: HttpRequest, version: int) -> HttpResponse:
        """Show what going back to a book would change, and write the request that does it."""
        book = self._found(request, str(version))
        acting = acting_of(request.user)
        if not acting.may(CHANGE_LIMITS):
            raise PermissionDenied
        reason = request.POST.get("reason", "")
        if request.method == "POST":
            try:
                return _go_to(request, do_restore_book(acting=acting, version=version, reason=reason))
            except _REFUSED as error:
                messages.error(request, text_of(error))
        try:
            context = restoring_of(book)
        except _REFUSED as error:
            context = {"book": book, "problem": text_of(error)}
        return self._page(
            request, "book_restore.html", f"Restore book {version}", {**context, "reason": reason, "original": book}
        )

    def export_view(self, request: HttpRequest, form: str) -> HttpResponse:
        """Send the limits as they are now as a file."""
        self._demand_view(request)
        return files.exported(acting_of(request.user), form, request.GET.get("only", ""))

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Show what a file of limits would change, and write the request that does it."""
        self._demand_view(request)
        acting = acting_of(request.user)
        if request.method == "POST" and "carried" in request.POST:
            try:
                return _go_to(request, files.do_import_carried(request, acting))
            except files.REFUSED as error:
                messages.error(request, text_of(error))
                return HttpResponseRedirect(reverse("admin:policies_book_import"))
        return self._page(request, "book_import.html", "Import limits", files.page_of(request, acting))

    def _page(self, request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "title": title, "opts": self.opts}
        return render(request, f"admin/policies/{template}", {**shared, **context})

    def _found(self, request: HttpRequest, object_id: str) -> Book:
        self._demand_view(request)
        book = Book.objects.defer("content").filter(version=self._number(object_id)).first()
        if book is None:
            raise Http404(f"there is no book {object_id}")
        return book

    def _demand_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    @staticmethod
    def _number(text: str) -> int:
        if not text.isdecimal() or not text.isascii() or len(text) > 18:
            raise Http404(f"{text[:30]!r} is not the number of a book")
        return int(text)

    @display(description="Published at", ordering="created_at")
    def published_at(self, book: Book) -> datetime:
        return book.created_at

    @display(description="Published by", ordering="actor")
    def published_by(self, book: Book) -> str:
        return book.actor

    @display(description="Request")
    def made_by(self, book: Book) -> str:
        request = getattr(book, "change_request", None)
        return f"{request.pk}: {request.title}" if request is not None else "-"

    @display(description="Hash")
    def short_hash(self, book: Book) -> str:
        return book.sha256[:12]


def _go_to(request: HttpRequest, made: ChangeRequest) -> HttpResponse:
    messages.success(request, f"{made} is written. Nothing is changed yet.")
    return HttpResponseRedirect(reverse("admin:policies_changerequest_change", args=(made.pk,)))
