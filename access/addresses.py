"""From which address a request comes, where proxies stand in between."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def address_of(request: HttpRequest) -> str | None:
    """Return the address of whoever asks; None where there is none to be believed.

    Each of the RISK_PROXIES proxies in front adds, at the end of X-Forwarded-For, whom it was asked by. What stands
    before the first of these was written by whoever asks, and is not believed.
    """
    said = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    proxies: int = settings.RISK_PROXIES
    text = said[-min(proxies, len(said))] if proxies and said else request.META.get("REMOTE_ADDR", "")
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return None
