"""What went wrong, once for every door: the HTTP spelling is problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from api.grants import words_for
from audit.acting import NotAllowed, NotTheirAccount
from feeds.malformed import FieldError, Malformed

PROBLEM_TYPE = "application/problem+json"

_encoder = msgspec.json.Encoder()


class Problem(Exception):
    """A request that was not served.

    Parameters
    ----------
    status
        The HTTP status.
    code
        A stable name for machines, such as `malformed` or `wrong_key`.
    detail
        A sentence for people.
    errors
        What is wrong with which field.
    retry_after_s
        When it makes sense to ask again, in seconds; 0: it does not, or nobody knows.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, errors: tuple[FieldError, ...] = (), retry_after_s: int = 0
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.retry_after_s = errors, retry_after_s

    def members(self) -> dict[str, Any]:
        """Return the members of the problem details."""
        members: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.errors:
            members["errors"] = self.errors
        return members

    def body(self) -> bytes:
        """Return the problem details as JSON."""
        return _encoder.encode(self.members())

    def headers(self) -> dict[str, str]:
        """Return the headers that go with the status."""
        headers = {}
        if self.retry_after_s:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'Bearer realm="riskportal"'
        return headers


def malformed(error: Malformed) -> Problem:
    """Return the problem of a body that was not understood."""
    first = error.errors[0]
    more = f" (and {len(error.errors) - 1} more)" if len(error.errors) > 1 else ""
    return Problem(400, "malformed", f"{first.field}: {first.message}{more}", errors=error.errors)


def no_key() -> Problem:
    """Return the problem of a request without an API key."""
    return Problem(401, "no_key", "send an API key as: Authorization: Bearer KEY")


def wrong_key() -> Problem:
    """Return the problem of a key that is not known, has expired or was revoked."""
    return Problem(401, "wrong_key", "the API key is not known, has expired or was revoked")


def not_allowed(*permissions: str) -> Problem:
    """Return the problem of a caller who has none of these permissions, of which one is needed."""
    words = dict.fromkeys(word for permission in permissions for word in words_for(permission))
    of_key = f" (of an API key: {' or '.join(words)})" if words else ""
    return Problem(403, "not_allowed", f"this takes the permission {' or '.join(permissions)}{of_key}")


def refused(error: NotAllowed) -> Problem:
    """Return the problem of what a service does not let the caller do."""
    if error.permission:
        return not_allowed(error.permission)
    return Problem(403, "not_this_account" if isinstance(error, NotTheirAccount) else "not_allowed", str(error))


def not_this_account(account_id: str) -> Problem:
    """Return the problem of a caller who is for other accounts."""
    return Problem(403, "not_this_account", f"the caller is not for account {account_id}")


def not_found(what: str) -> Problem:
    """Return the problem of something that does not exist; `what` is a sentence."""
    return Problem(404, "not_found", what)


def too_large(most_bytes: int) -> Problem:
    """Return the problem of a body that is too long."""
    return Problem(413, "too_large", f"the body may have at most {most_bytes} bytes")


def wrong_type() -> Problem:
    """Return the problem of a body that does not say it is JSON."""
    return Problem(415, "wrong_type", "send the body as Content-Type: application/json, in UTF-8")


def too_many(per_second: int) -> Problem:
    """Return the problem of a key that asks too often."""
    return Problem(429, "too_many", f"the API key may ask {per_second} times a second", retry_after_s=1)


def too_busy() -> Problem:
    """Return the problem of a door that has more under way than it bears."""
    return Problem(503, "too_busy", "too many requests are under way here: nothing was decided", retry_after_s=1)


def answer_too_large(most_bytes: int) -> Problem:
    """Return the problem of an answer that is too long for its way back. What it would have said holds all the same."""
    return Problem(
        413,
        "answer_too_large",
        f"the answer is longer than the {most_bytes} bytes that can be sent: its orders were decided, "
        "and asking again in smaller batches, with the same order_ids, brings the same decisions",
    )


def keys_unknown() -> Problem:
    """Return the problem of not knowing which keys are good: nobody is let in then."""
    return Problem(503, "state_unavailable", "the live state cannot be reached, so no key is good", retry_after_s=1)


def state_unavailable() -> Problem:
    """Return the problem of a live state that cannot be reached."""
    return Problem(503, "state_unavailable", "the live state cannot be reached", retry_after_s=1)


def recovering() -> Problem:
    """Return the problem of a live state that has lost its memory."""
    return Problem(503, "recovering", "trading is halted until the live state has been restored", retry_after_s=1)
