"""Headers of every answer that tell browsers what its page may do: as little as it needs."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_NOTHING = {
    "default-src": "'none'",
    "base-uri": "'none'",
    "connect-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "img-src": "'self' data:",
    "manifest-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
}
# What these bring with them: Unfold has scripts and styles in its pages, and Alpine works expressions out; the page of
# the API's documentation sets styles.
_RELAXED = {
    "/admin/": {"script-src": "'self' 'unsafe-inline' 'unsafe-eval'", "style-src": "'self' 'unsafe-inline'"},
    "/api/docs": {"style-src": "'self' 'unsafe-inline'"},
}
_UNUSED = (
    *("accelerometer", "autoplay", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer"),
    *("microphone", "midi", "payment", "publickey-credentials-get", "screen-wake-lock", "usb", "xr-spatial-tracking"),
)


def _said(policy: dict[str, str]) -> str:
    return "; ".join(f"{name} {sources}" for name, sources in policy.items())


STRICT = _said(_NOTHING)
_POLICIES = {path: _said({**_NOTHING, **more}) for path, more in _RELAXED.items()}
_PERMISSIONS = ", ".join(f"{name}=()" for name in _UNUSED)


class SecurityHeaders:
    """Adds a content security policy and what else Django's own middleware leaves out."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy_of(request.path))
        response.headers.setdefault("Permissions-Policy", _PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


def policy_of(path: str) -> str:
    """Return the content security policy of a page by its path."""
    return next((policy for start, policy in _POLICIES.items() if path.startswith(start)), STRICT)
