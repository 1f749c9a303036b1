"""The server that e-mail goes to, as one address says it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from riskportal.env import refuse


class MailServer(Struct, frozen=True, kw_only=True):
    """Django's settings of a server. `host` empty: there is none, and nothing is sent."""

    backend: str
    host: str
    port: int
    use_tls: bool
    use_ssl: bool
    user: str
    password: str


def mail_server(url: str, *, is_needed: bool) -> MailServer:
    """Return the server at an address, empty where there is none. Raises ImproperlyConfigured where it is needed."""
    parts = urlsplit(url)
    if is_needed and not parts.hostname:
        refuse("RISK_EMAIL_URL", None, "is needed with RISK_ALERT_EMAIL_TO: smtp+tls://user:password@host:587")
    use_tls, use_ssl = parts.scheme == "smtp+tls", parts.scheme == "smtp+ssl"
    return MailServer(
        backend=f"django.core.mail.backends.{'smtp' if parts.hostname else 'dummy'}.EmailBackend",
        host=parts.hostname or "",
        port=parts.port or (587 if use_tls else 465 if use_ssl else 25),
        use_tls=use_tls,
        use_ssl=use_ssl,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def check_addresses(name: str, addresses: Iterable[str]) -> None:
    """Refuse a setting where one of its addresses is none. Raises ImproperlyConfigured."""
    for address in addresses:
        if re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address) is None:
            refuse(name, address, "expected an e-mail address, such as risk@example.com")
