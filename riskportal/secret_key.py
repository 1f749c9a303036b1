"""The secret that signs sessions: from the environment, or kept in the data directory of a single machine."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from riskportal.env import refuse

NAME = "RISK_SECRET_KEY"
_LEAST_LENGTH = 32
# What examples and tutorials ship; .env.example has the first.
_PLACEHOLDERS = ("change-me", "changeme", "django-insecure", "secret-key", "your-secret")


def checked(key: str) -> str:
    """Return a key that was given, or stop the start where it is short or an example's."""
    if any(placeholder in key.lower() for placeholder in _PLACEHOLDERS):
        refuse(NAME, None, "this is an example's key; make one with: openssl rand -hex 32")
    if len(key) < _LEAST_LENGTH:
        refuse(NAME, None, f"is under {_LEAST_LENGTH} characters; make one with: openssl rand -hex 32")
    return key


def kept(directory: Path) -> str:
    """Return the random key kept in `directory` (mode 0600), made at the first call.

    Of several processes that start at once, one makes it and all return the same.
    """
    path = directory / "secret_key"
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        refuse(NAME, None, f"{path} can be read by others; run: chmod 600 {path}")
    return checked(path.read_text(encoding="ascii").strip())


def _make(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    try:
        # A link appears whole, or not at all where another process was first.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
