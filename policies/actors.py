"""What the audit log calls whoever makes a change."""

from __future__ import annotations

from audit.actors import command_line

__all__ = ["command_line"]
