"""Reads the body of a request: only JSON, and never more than the door takes."""

from __future__ import annotations

from django.http import HttpRequest

from api import errors

# Longer Content-Lengths need not be read to be refused.
_LENGTH_DIGITS = 9


def json_body(request: HttpRequest, most_bytes: int) -> bytes:
    """Return the body. Raises Problem where it is not said to be JSON, or has more than `most_bytes`."""
    check_type(request.META.get("CONTENT_TYPE", ""))
    length = request.META.get("CONTENT_LENGTH", "")
    if length:
        if len(length) > _LENGTH_DIGITS or not length.isdecimal() or int(length) > most_bytes:
            raise errors.too_large(most_bytes)
        return request.read(int(length))
    if not request.META.get("wsgi.input_terminated"):
        return b""
    # Sent in chunks: the server ends the stream, and nobody said how long it is.
    body: bytes = request.META["wsgi.input"].read(most_bytes + 1)
    if len(body) > most_bytes:
        raise errors.too_large(most_bytes)
    return body


def check_type(content_type: str) -> None:
    """Raise Problem unless the type is JSON, in UTF-8 where it names an encoding."""
    if content_type == "application/json":
        return
    kind, _, parameter = content_type.lower().partition(";")
    if kind.strip() != "application/json" or parameter.strip().replace('"', "") not in ("", "charset=utf-8"):
        raise errors.wrong_type()
