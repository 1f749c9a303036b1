"""Codes by the clock (RFC 6238): what an authenticator app and the server both work out of a shared secret."""

from __future__ import annotations

import base64
from datetime import datetime

import pyotp
from django.utils.crypto import constant_time_compare, salted_hmac

STEP_S = 30
DIGITS = 6
ISSUER = "riskportal"

# Codes of the step before and the step after are taken too: clocks of phones differ.
_TOLERANCE_STEPS = 1
# 160 bits, as RFC 4226 wants them.
_SECRET_BYTES = 20


def secret_of(salt: str) -> str:
    """Return the shared secret in base 32: it is as secret as RISK_SECRET_KEY, of which it is made with the salt."""
    digest = salted_hmac("access.totp", salt, algorithm="sha256").digest()
    return base64.b32encode(digest[:_SECRET_BYTES]).decode()


def uri_of(salt: str, username: str) -> str:
    """Return the otpauth: address that an app is given, by a picture or by hand."""
    return pyotp.TOTP(secret_of(salt)).provisioning_uri(name=username, issuer_name=ISSUER)


def code_at(salt: str, step: int) -> str:
    """Return the code of a step (half minutes since 1970)."""
    return pyotp.TOTP(secret_of(salt)).generate_otp(step)


def step_of(salt: str, code: str, *, now: datetime, after: int) -> int | None:
    """Return the step that a code belongs to, or None where it is wrong.

    Only steps later than `after` count, so that a code that was seen is not taken a second time.
    """
    current = int(now.timestamp()) // STEP_S
    for step in range(current - _TOLERANCE_STEPS, current + _TOLERANCE_STEPS + 1):
        if step > after and constant_time_compare(code_at(salt, step), code):
            return step
    return None
