"""The evidence in the admin, to read."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit import people_admin  # noqa: F401 - users and groups are registered with the rest
from audit.models import (
    AuditEvent,
    EvidenceArchive,
    EvidenceBatch,
    JournalReject,
    OrderDecision,
    ReservationEnd,
)
from audit.seeing import OfAccounts, OfAll
from audit.unfold import InfinitePaginator, ModelAdmin, display
from riskcore.decimals import tidy


class ReadOnlyAdmin(ModelAdmin):
    """Rows that nobody adds, changes or deletes here, whatever their permissions."""

    actions = None
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # What is written once has no history of its own.
        without_history = {**(extra_context or {}), "show_history": False}
        return super().change_view(request, object_id, form_url, without_history)


def pretty(value: Any) -> SafeString:
    """Return JSON as it is read: indented, in a fixed-width font, wrapped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre class="whitespace-pre-wrap break-all text-xs">{}</pre>', text)


@admin.register(AuditEvent)
class AuditEventAdmin(OfAll, ReadOnlyAdmin):
    list_display = ("sequence", "at", "actor", "action", "object_label", "reason")
    list_filter = ("action", "object_type", "at")
    search_fields = ("actor", "object_label", "object_id", "reason")
    fields = (
        *("sequence", "at", "actor", "action", "object_type", "object_id", "object_label", "reason"),
        *("what_changed", "shown_before", "shown_after", "previous_hash", "hash"),
    )

    @display(description="What changed")
    def what_changed(self, event: AuditEvent) -> SafeString:
        before, after = event.before or {}, event.after or {}
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        changes = [(name, before.get(name), after.get(name)) for name in names]
        return render_to_string("admin/audit/changes.html", {"changes": changes})

    @display(description="Before")
    def shown_before(self, event: AuditEvent) -> SafeString:
        return pretty(event.before)

    @display(description="After")
    def shown_after(self, event: AuditEvent) -> SafeString:
        return pretty(event.after)


@admin.register(OrderDecision)
class OrderDecisionAdmin(OfAccounts, ReadOnlyAdmin):
    list_display = (
        *("decided_at", "account_id", "order_id", "side", "shown_quantity", "symbol", "shown_price"),
        *("shown_verdict", "reason", "book_version"),
    )
    list_filter = ("verdict", "reason", "what_if", "decided_at")
    # Of millions: found by index, and not counted.
    search_fields = ("account_id__exact", "order_id__exact", "symbol__exact")
    search_help_text = "An account, order or symbol, spelled out"
    paginator = InfinitePaginator
    fields = (
        *("decision_id", "decided_at", "account_id", "order_id", "symbol", "side", "shown_quantity", "shown_price"),
        *("order_type", "strategy_id", "exchange", "shown_verdict", "reason", "what_if", "book_version"),
        *("account_version", "shown_answer", "shown_inputs"),
    )

    @display(description="Quantity")
    def shown_quantity(self, decision: OrderDecision) -> str:
        return f"{tidy(decision.quantity):f}"

    @display(description="Price")
    def shown_price(self, decision: OrderDecision) -> str:
        return f"{tidy(decision.price):f}" if decision.price else "market"

    @display(description="Verdict", label={"allow": "success", "block": "danger", "scale_down": "warning"})
    def shown_verdict(self, decision: OrderDecision) -> str:
        return decision.verdict

    @display(description="Answer")
    def shown_answer(self, decision: OrderDecision) -> SafeString:
        return pretty(json.loads(decision.answer))

    @display(description="Worked out from")
    def shown_inputs(self, decision: OrderDecision) -> SafeString:
        return pretty(json.loads(decision.inputs))


@admin.register(ReservationEnd)
class ReservationEndAdmin(OfAccounts, ReadOnlyAdmin):
    list_display = ("ended_at", "account_id", "order_id", "actor", "reason")
    list_filter = ("ended_at",)
    search_fields = ("account_id__exact", "order_id__exact", "actor__exact")


@admin.register(JournalReject)
class JournalRejectAdmin(OfAll, ReadOnlyAdmin):
    list_display = ("rejected_at", "lane", "entry_id", "error")
    list_filter = ("rejected_at",)
    fields = ("rejected_at", "lane", "generation", "entry_id", "error", "shown_content")

    @display(description="Content")
    def shown_content(self, reject: JournalReject) -> str:
        return bytes(reject.content).decode(errors="backslashreplace")


@admin.register(EvidenceBatch)
class EvidenceBatchAdmin(OfAll, ReadOnlyAdmin):
    list_display = ("sequence", "at", "rows", "hash")
    list_filter = ("at",)
    search_fields = ("sequence__exact", "hash__exact")
    search_help_text = "A number or a hash"
    paginator = InfinitePaginator
    fields = ("sequence", "at", "rows", "previous_hash", "hash", "shown_content")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[EvidenceBatch]:
        rows = super().get_queryset(request)
        # Of a list nobody reads what is in each.
        is_list = (
            request.resolver_match is not None and request.resolver_match.url_name == "audit_evidencebatch_changelist"
        )
        return rows.defer("content") if is_list else rows

    @display(description="Digests of its rows")
    def shown_content(self, batch: EvidenceBatch) -> SafeString:
        return pretty(json.loads(batch.content))


@admin.register(EvidenceArchive)
class EvidenceArchiveAdmin(OfAll, ReadOnlyAdmin):
    list_display = ("name", "at", "first", "through", "rows", "bytes", "actor")
    fields = ("name", "at", "first", "through", "rows", "bytes", "sha256", "actor", "reason", "batch")
