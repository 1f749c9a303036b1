"""The preview of a change request, for a page that shows the request."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings
from django.utils import timezone

from audit.rights import acting_of
from policies.models import ChangeRequest
from policies.preview.page import Page, page_of
from policies.preview.window import DEFAULT_DECISIONS, MOST_DECISIONS

register = template.Library()


@register.simple_tag(takes_context=True)
def preview_of(context: Any, request: ChangeRequest) -> Page:
    """Return the newest preview of a request, as whoever looks at the page may see it."""
    return page_of(request, acting_of(context["request"].user), timezone.now())


@register.simple_tag
def preview_choices() -> dict[str, Any]:
    """Return what the form that asks for a preview offers."""
    return {"decisions": DEFAULT_DECISIONS, "most": MOST_DECISIONS, "zone": settings.RISK_DAY_ZONE}
